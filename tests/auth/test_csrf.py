"""What a browser is made to send by somebody else's page: refused; and what our own pages send: not."""

import uuid
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from starlette.requests import Request

from app.config import Settings
from app.core import csrf
from app.core.csrf import origin_of, safe_next
from app.core.server import Server
from tests.auth.browsing import JSON, ORIGIN, SAME, Browsing, add_pages, sign_in
from tests.support import api

APP = "https://app.example.com"
EVIL = "https://evil.example.net"
SUBMIT = {"Content-Type": "application/x-www-form-urlencoded"}

# Headers that a cookie comes with, and whether a call that changes something passes.
UNSAFE: list[tuple[dict[str, str], bool]] = [
    ({"Origin": ORIGIN, **JSON}, True),
    ({"Origin": ORIGIN, "Content-Type": "application/json; charset=utf-8"}, True),
    ({"Origin": APP, **JSON}, True),
    ({"Origin": APP, "Sec-Fetch-Site": "same-site", **JSON}, True),
    ({**JSON}, False),
    ({"Sec-Fetch-Site": "same-origin", **JSON}, False),
    ({"Origin": EVIL, **JSON}, False),
    ({"Origin": "null", **JSON}, False),
    ({"Origin": "", **JSON}, False),
    ({"Origin": f"{ORIGIN}.evil.example.net", **JSON}, False),
    ({"Origin": f"{ORIGIN}, {EVIL}", **JSON}, False),
    ({"Origin": ORIGIN.upper(), **JSON}, False),
    ({"Origin": "http://localhost", **JSON}, False),
    ({"Origin": "https://localhost:8000", **JSON}, False),
    ({"Origin": ORIGIN}, False),
    ({"Origin": ORIGIN, "Content-Type": "text/plain"}, False),
    ({"Origin": ORIGIN, "Content-Type": "text/plain; application/json"}, False),
    ({"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}, False),
    ({"Origin": ORIGIN, "Content-Type": "application/jsonp"}, False),
]


@pytest.mark.asvs("V3.5.1", "V3.5.2", "V3.5.3")
@pytest.mark.env(CORS_ORIGINS=APP)
async def test_a_call_that_changes_something_comes_from_a_page_that_may_make_it(client: AsyncClient, server: Server) -> None:
    for headers, passes in UNSAFE:
        browsing = await sign_in(server, client)
        answer = await client.post("/auth/logout-all", headers={**browsing.headers, **headers})
        assert answer.status_code == (204 if passes else 403), headers
        alive = (await client.get("/auth/me", headers=browsing.headers)).status_code
        assert alive == (401 if passes else 200), headers
        if not passes:
            assert (answer.json()["code"], answer.headers["content-type"]) == ("csrf_refused", "application/problem+json")


@pytest.mark.asvs("V3.5.1")
@pytest.mark.env(CORS_ORIGINS=APP)
async def test_it_is_so_for_each_method_and_for_logout(client: AsyncClient, server: Server) -> None:
    other = {"Origin": EVIL, **JSON}
    browsing = await sign_in(server, client)
    second = await sign_in(server, client, browsing.user)
    path = f"/auth/sessions/{second.pair.session_id}"
    for method, url, body in (
        ("DELETE", path, None),
        ("POST", "/auth/logout", None),
        ("POST", "/auth/logout", {}),
        ("POST", "/auth/reauthenticate", {"password": api.PASSWORD}),
        ("POST", "/auth/change-password", {"current_password": api.PASSWORD, "new_password": "quite another 1!"}),
    ):
        refused = await client.request(method, url, json=body, headers={**browsing.headers, **other})
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_refused"), url
    # A DELETE without a body needs no type: no form can make one, and a script is asked for its origin first.
    assert (await client.delete(path, headers={**browsing.headers, "Origin": ORIGIN})).status_code == 204
    assert (await client.get("/auth/me", headers=browsing.headers)).status_code == 200


@pytest.mark.env(CORS_ORIGINS=APP)
async def test_a_bearer_token_needs_none_of_it(client: AsyncClient, server: Server) -> None:
    """The control: whoever holds the token put it there."""
    for headers, _ in UNSAFE:
        user = await api.new_user(client)
        client.cookies.clear()
        assert (await client.post("/auth/logout-all", headers={**user.headers, **headers})).status_code == 204, headers


@pytest.mark.asvs("V3.5.1")
@pytest.mark.env(CORS_ORIGINS=APP)
async def test_what_only_reads_must_not_come_from_elsewhere(client: AsyncClient, server: Server) -> None:
    browsing = await sign_in(server, client)
    cases: list[tuple[dict[str, str], int]] = [
        ({}, 200),
        ({"Origin": ORIGIN}, 200),
        ({"Origin": APP}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": APP, "Sec-Fetch-Site": "cross-site"}, 403),
    ]
    for headers, expected in cases:
        for path in ("/auth/me", "/auth/me/", "/auth/sessions"):
            answer = await client.get(path, headers={**browsing.headers, **headers})
            assert answer.status_code == expected, (path, headers)
        # About another application's request, whose origin is that application's business.
        assert (await client.get("/auth/verify", headers={**browsing.headers, **headers})).status_code == 204
        assert (await client.get("/auth/me", headers={**browsing.user.headers, **headers})).status_code == 200


async def test_without_the_check_the_foreign_page_would_get_through(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the tests above: a server broken on purpose."""
    browsing = await sign_in(server, client)
    monkeypatch.setattr("app.core.caller.check_cookie_call", lambda *_: None)
    assert (await client.post("/auth/logout-all", headers={**browsing.headers, "Origin": EVIL})).status_code == 204


# Forms


async def show(client: AsyncClient, browsing: Browsing | None = None) -> tuple[str, dict[str, str]]:
    """A form's token, and the cookies of the browser that was shown it."""
    client.cookies.clear()
    shown = await client.get("/account/test/form", headers=browsing.headers if browsing else {})
    assert shown.status_code == 200
    cookies = f"authkeep-form={shown.cookies['authkeep-form']}"
    client.cookies.clear()
    return shown.text, {"Cookie": f"{cookies}; authkeep={browsing.cookie}" if browsing else cookies}


async def send(client: AsyncClient, token: str, headers: dict[str, str]) -> int:
    client.cookies.clear()
    body = {"form_token": token, "name": "x"}
    return (await client.post("/account/test/form", data=body, headers=headers)).status_code


@pytest.mark.asvs("V3.5.1")
async def test_a_form_counts_from_a_page_of_ours_in_the_browser_that_was_shown_it(
    app: FastAPI, client: AsyncClient, server: Server
) -> None:
    add_pages(app)
    browsing, other = await sign_in(server, client), await sign_in(server, client)
    token, mine = await show(client, browsing)
    assert await send(client, token, {**mine, **SAME}) == 200
    assert await send(client, token, {**mine, "Origin": ORIGIN}) == 200  # a browser that tells no site
    assert await send(client, token, {**mine, "Sec-Fetch-Site": "same-origin"}) == 200
    assert await send(client, token, {**mine, "Origin": "null", "Sec-Fetch-Site": "same-origin"}) == 200  # by no-referrer
    refused: dict[str, dict[str, str]] = {
        "neither": {},
        "another origin": {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
        "another origin, no site": {"Origin": EVIL},
        "a neighbour": {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
        "a lie": {"Origin": EVIL, "Sec-Fetch-Site": "same-origin"},
        "a sandbox": {"Origin": "null"},
        "a sandbox elsewhere": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    }
    for name, headers in refused.items():
        assert await send(client, token, {**mine, **headers}) == 403, name
    theirs, their_headers = await show(client, other)
    anonymous, nobody = await show(client)
    for name, (wrong, headers) in {
        "none": ("", mine),
        "another browser's": (theirs, mine),
        "another browser": (token, their_headers),
        "before signing in": (anonymous, {"Cookie": f"{nobody['Cookie']}; authkeep={browsing.cookie}"}),
        "no cookie": (token, {"Cookie": f"authkeep={browsing.cookie}"}),
        "cut": (token[:-1], mine),
        "not ASCII": (token[:-1] + "\u00e9", mine),
    }.items():
        assert await send(client, wrong, {**headers, **SAME}) == 403, name
    assert await send(client, anonymous, {**nobody, **SAME}) == 200
    page = await client.post("/account/test/form", data={"form_token": "x"}, headers={**mine, **SAME})
    assert page.headers["content-type"].startswith("text/html")


async def test_one_form_cookie_serves_many_forms_and_is_bound(app: FastAPI, client: AsyncClient) -> None:
    add_pages(app)
    first = await client.get("/account/test/form")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age" not in cookie
    second = await client.get("/account/test/form")
    assert "set-cookie" not in second.headers
    assert second.text == first.text
    for made_up in ("x", "A" * 43 + "=", "A" * 40, ""):
        client.cookies.clear()
        anew = await client.get("/account/test/form", headers={"Cookie": f"authkeep-form={made_up}"})
        assert "set-cookie" in anew.headers, made_up


async def test_what_is_no_form_is_refused(app: FastAPI, client: AsyncClient) -> None:
    add_pages(app)
    token, headers = await show(client)
    for content, sent, expected in (
        (b'{"form_token": "x"}', JSON, 415),
        (f"form_token={token}&x=%ff".encode(), SUBMIT, 400),
        (f"form_token={token}&x=\xff".encode("latin-1"), SUBMIT, 400),
        (f"form_token={token}{'&a=b' * 40}".encode(), SUBMIT, 400),
        (b"", SUBMIT, 403),
        (b"form_token=x" * 10_000, SUBMIT, 413),
    ):
        answer = await client.post("/account/test/form", content=content, headers={**headers, **SAME, **sent})
        assert answer.status_code == expected, content[:20]
    assert await send(client, token, {**headers, **SAME}) == 200


async def test_without_the_token_any_page_of_the_origin_would_do(
    app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the form's token: a server that looks at the origin alone."""
    add_pages(app)
    _, headers = await show(client)
    assert await send(client, "x", {**headers, **SAME}) == 403

    def by_origin(request: Request, _fields: Any) -> None:
        assert request.headers["origin"] == ORIGIN

    monkeypatch.setattr(csrf, "check_form", by_origin)
    assert await send(client, "x", {**headers, **SAME}) == 200


# Where a person is led


GOOD_NEXT = [
    "/",
    "/account/",
    "/account/sessions?x=1#y",
    "/%2f%2fevil.example.net",
    "/a//b",
    APP,
    f"{APP}/",
    f"{APP}/in?a=b&c=d#e",
    f"{APP}?x",
    "https://other.example.org:8443/x",
]
BAD_NEXT = [
    "",
    "account",
    "./x",
    "//evil.example.net",
    "///evil.example.net",
    "/\\evil.example.net",
    "\\\\evil.example.net",
    "/\t/evil.example.net",
    "/\n/evil.example.net",
    "\t//evil.example.net",
    " //evil.example.net",
    "/a b",
    "/\x00",
    "/\x7f",
    "/\u2028",
    "/\u00e9",
    "/\u3002\u3002",
    "http:evil.example.net",
    "https:/evil.example.net",
    "https:///evil.example.net",
    "https:app.example.com",
    "https://evil.example.net",
    "http://app.example.com",
    "https://app.example.com.evil.example.net",
    "https://app.example.com@evil.example.net",
    "https://app.example.com:443@evil.example.net",
    "https://x@app.example.com/",
    "https://app.example.com\\@evil.example.net",
    "https://app.example.com:8443/",
    "https://app.example.com:99999/",
    "https://other.example.org/x",
    "https://APP.example.com\n.evil.example.net",
    "https://[::1",
    "javascript:alert(1)",
    "JavaScript:alert(1)//https://app.example.com",
    "data:text/html,x",
    "vbscript:x",
    "blob:https://app.example.com/x",
    "mailto:x@app.example.com",
    "/" + "a" * 2000,
]


@pytest.mark.asvs("V3.7.2")
@pytest.mark.env(NEXT_ORIGINS=f"{APP},https://other.example.org:8443")
def test_next_leads_to_own_paths_and_named_origins_alone(settings: Settings) -> None:
    assert [value for value in GOOD_NEXT if safe_next(settings, value) != value] == []
    assert [value for value in BAD_NEXT if safe_next(settings, value) is not None] == []
    assert safe_next(settings, None) is None


def test_without_next_origins_no_other_origin_is_led_to(settings: Settings) -> None:
    assert safe_next(settings, f"{APP}/") is None
    assert safe_next(settings, f"{settings.public_url}/account/") is None  # own pages are named by their path
    assert safe_next(settings, "/account/") == "/account/"


def test_an_origin_is_written_as_browsers_write_it() -> None:
    for url, origin in {
        "https://Auth.Example.com": "https://auth.example.com",
        "https://auth.example.com:443/x": "https://auth.example.com",
        "http://localhost:80": "http://localhost",
        "http://localhost:8000/base": "http://localhost:8000",
        "http://[::1]:8000": "http://[::1]:8000",
    }.items():
        assert origin_of(url) == origin


@pytest.mark.env(PUBLIC_URL="https://Auth.example.com:443/accounts")
async def test_the_own_origin_is_that_of_public_url(client: AsyncClient, server: Server) -> None:
    browsing = await sign_in(server, client)
    headers = {"Cookie": f"__Host-authkeep={browsing.cookie}", **JSON}
    path = f"/auth/sessions/{uuid.uuid4()}"
    for origin, expected in (("https://auth.example.com", 404), ("http://localhost:8000", 403), ("http://auth.example.com", 403)):
        assert (await client.delete(path, headers={**headers, "Origin": origin})).status_code == expected


@pytest.mark.asvs("V3.5.1")
@pytest.mark.env(CORS_ORIGINS=APP)
async def test_staffs_routes_take_a_cookie_from_our_own_pages_alone(app: FastAPI, client: AsyncClient, server: Server) -> None:
    """A flaw in an application of CORS_ORIGINS is none in the administration of people; a token goes from anywhere."""
    browsing = await sign_in(server, client)
    await api.make_admin(app, browsing.user.username)
    path = f"/users/{browsing.user.id}"
    for headers, status in (
        ({}, 200),
        ({"Origin": ORIGIN}, 200),
        ({"Origin": APP}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        assert (await client.get(path, headers={**browsing.headers, **headers})).status_code == status, headers
    for headers, status in (({"Origin": APP, **JSON}, 403), ({"Origin": ORIGIN, **JSON}, 200)):
        answer = await client.post(f"{path}/verify-email", headers={**browsing.headers, **headers})
        assert answer.status_code == status, headers
    client.cookies.clear()
    bearer = await api.login(client, browsing.user.username)
    client.cookies.clear()
    assert (await client.get(path, headers={**api.bearer(bearer), "Origin": APP})).status_code == 200
