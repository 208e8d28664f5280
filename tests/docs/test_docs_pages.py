"""/docs and /redoc over HTTP: what they load, from where, and what their policy forbids."""

import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core.docs import ASSETS, FOLDER, install_docs
from app.core.problems import install_handlers

PAGES = ("/docs", "/redoc")
TITLE = "Keys & <Locks>"


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None)
    install_docs(app)
    install_handlers(app)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://localhost") as client:
        yield client


class Links(HTMLParser):
    """The addresses in a page, and whatever would run without having one."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._in_code = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_code = tag in {"script", "style"}
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action"}]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._in_code and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_code = False


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_answers_with_the_apps_title_escaped(client: AsyncClient, page: str) -> None:
    answer = await client.get(page)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<title>Keys &amp; &lt;Locks&gt; – " in answer.text
    assert TITLE not in answer.text


@pytest.mark.asvs("V3.6.1")
@pytest.mark.parametrize("page", PAGES)
async def test_everything_a_page_names_is_on_this_server_and_there(client: AsyncClient, page: str) -> None:
    addresses = Links((await client.get(page)).text).addresses
    assert len(addresses) >= 4
    for address in addresses:
        parts = urlsplit(address)
        assert (parts.scheme, parts.netloc) == ("", ""), address
        assert (await client.get(address)).status_code == 200, address


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_has_no_inline_script_or_style(client: AsyncClient, page: str) -> None:
    assert Links((await client.get(page)).text).inline == []


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_has_a_policy_of_its_own_without_unsafe_or_foreign_sources(client: AsyncClient, page: str) -> None:
    policy = directives((await client.get(page)).headers["content-security-policy"])
    nonces = [source for source in policy["style-src"] if source.startswith("'nonce-")]
    assert policy.pop("style-src") == ["'self'", *nonces]
    assert len(nonces) == (1 if page == "/redoc" else 0)
    assert policy.pop("worker-src", []) == (["blob:"] if page == "/redoc" else [])
    assert policy == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
    }


async def test_redocs_style_nonce_is_new_in_each_answer_and_the_pages_own(client: AsyncClient) -> None:
    nonces = set()
    for _ in range(2):
        answer = await client.get("/redoc")
        nonce = re.search(r"'nonce-([\w-]{43})'", answer.headers["content-security-policy"])
        assert nonce is not None
        assert f'nonce="{nonce[1]}"' in answer.text
        nonces.add(nonce[1])
    assert len(nonces) == 2


@pytest.mark.parametrize("name", sorted(ASSETS))
async def test_an_asset_has_its_media_type_and_may_be_kept(client: AsyncClient, name: str) -> None:
    answer = await client.get(f"/docs/assets/{name}")
    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    kinds = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "png": "image/png"}
    assert answer.headers["content-type"] == kinds.get(name.rpartition(".")[2], "text/plain; charset=utf-8")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "public, max-age=86400"


async def test_only_an_address_with_the_contents_own_digest_is_kept_for_good(client: AsyncClient) -> None:
    linked = next(a for a in Links((await client.get("/docs")).text).addresses if "swagger-ui.css" in a)
    kept = await client.get(linked)
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    other = await client.get("/docs/assets/swagger-ui.css?v=0000000000000000")
    assert other.headers["cache-control"] == "public, max-age=86400"


@pytest.mark.parametrize(
    "name",
    [
        "unknown.js",
        "LICENSES.md",  # it is in the folder, but not on the list
        "",
        "%2e%2e",
        "..%2f..%2fconfig.py",
        "%2e%2e/%2e%2e/config.py",
        "..%5c..%5cconfig.py",
        "%2fetc%2fpasswd",
        "docs.css%00",
        "DOCS.CSS",
    ],
)
async def test_any_other_name_is_not_found(client: AsyncClient, name: str) -> None:
    answer = await client.get(f"/docs/assets/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_behind_a_path_prefix_every_link_starts_with_it() -> None:
    app = FastAPI(docs_url=None, redoc_url=None)
    install_docs(app)
    async with AsyncClient(transport=ASGITransport(app, root_path="/keep"), base_url="http://localhost") as client:
        for page in PAGES:
            answer = await client.get(page, headers={"X-Forwarded-Prefix": "/evil"})
            assert {address.split("/")[1] for address in Links(answer.text).addresses} == {"keep"}
            assert 'data-openapi="/keep/openapi.json"' in answer.text


async def test_the_pages_are_not_part_of_the_api_they_show(client: AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json()["paths"] == {}


def test_an_app_without_an_openapi_document_gets_no_docs() -> None:
    with pytest.raises(ValueError, match="openapi_url"):
        install_docs(FastAPI(openapi_url=None))


def test_the_vendored_files_are_those_that_the_licence_notes_list() -> None:
    listed = re.findall(r"\| `(.+?)` \| (\d+) \| `([0-9a-f]{64})` \|", (FOLDER / "LICENSES.md").read_text())
    ours = {"docs.css", "start-redoc.js", "start-swagger.js", "LICENSES.md"}
    assert {name for name, _, _ in listed} | ours == {path.name for path in FOLDER.iterdir()}
    for name, size, digest in listed:
        content = (FOLDER / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(size), digest), name
