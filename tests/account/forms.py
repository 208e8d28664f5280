"""Pages without a browser: opened, checked, their forms sent as a browser would send them."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from httpx2 import AsyncClient, Response

ORIGIN = "http://localhost:8000"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none';"
    " style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
ADDRESS = re.compile(
    r"/[a-z0-9./_-]*(\?v=[0-9a-f]{12}|\?(by=[a-z]+&)?next=[a-z0-9%._~/-]+|\?by=[a-z]+)?|#[a-z_]+"
    r"|/admin[a-z0-9./_-]*\?[a-z0-9%._~=&+-]+",
    re.IGNORECASE,
)


class Elements(HTMLParser):
    """Every element of a page, with its attributes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def fields(self) -> dict[str, dict[str, str | None]]:
        """Inputs by name, but for the form's token."""
        return {str(each["name"]): each for each in self.named("input") if each["name"] != "form_token"}


def check_page(answer: Response, *, lang: str = "en", policy: str = POLICY, drawn: bool = False) -> Elements:
    """What must hold of every page; one that is `drawn` holds charts."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    elements = Elements(answer.text)
    names = {tag for tag, _ in elements.found}
    assert not names & {"iframe", "object", "embed", "base", "style", *(() if drawn else ("svg",))}
    assert all(script.get("src") and script["type"] == "module" for script in elements.named("script"))
    for tag, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            assert ADDRESS.fullmatch(attributes.get(name) or "/ok"), (tag, attributes)
    assert elements.named("html") == [{"lang": lang}]
    head = answer.text.partition("</head>")[0]  # charts have titles of their own
    assert head.count("<title>") == len(elements.named("h1")) == 1
    assert drawn or len(elements.named("title")) == 1
    labelled = {label.get("for") for label in elements.named("label")}
    typed = [each for each in elements.named("input") if each["type"] not in {"hidden"}]
    assert {each["id"] for each in typed} <= labelled
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    described = {one for _, attributes in elements.found for one in str(attributes.get("aria-describedby") or "").split()}
    assert described <= set(ids)
    return elements


@dataclass
class Visitor:
    """A browser of sorts: it keeps cookies and says where its forms come from."""

    client: AsyncClient
    headers: dict[str, str] = field(default_factory=lambda: {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"})

    async def open(self, path: str, **params: str) -> Response:
        return await self.client.get(path, params=params)

    async def token(self, path: str = "/account/forgot") -> str:
        """The token of the forms that are shown now."""
        shown = await self.client.get(path)
        assert shown.status_code == 200, shown.text
        tokens = {each["value"] for each in Elements(shown.text).named("input") if each["name"] == "form_token"}
        (token,) = tokens
        assert token
        return token

    async def post(self, path: str, **fields: str) -> Response:
        """Send a form with the token of the day."""
        data = {"form_token": await self.token(), **fields}
        return await self.client.post(path, data=data, headers=self.headers)

    async def sign_in(self, username: str, password: str) -> Response:
        """To the profile."""
        answer = await self.post("/account/sign-in", username=username, password=password)
        assert answer.status_code == 303, answer.text
        return answer
