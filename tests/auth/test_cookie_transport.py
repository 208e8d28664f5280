"""A page's script whose refresh token the browser keeps: out of the script's reach, and of no use to other pages."""

from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from httpx2 import AsyncClient, Response

from app.core.server import Server
from tests.auth.browsing import BROWSER, JSON, sign_in
from tests.auth.scene import claims_of, events, session_row, sid_of
from tests.support import api

APP, EVIL = "https://app.example.com", "https://evil.example.net"
SPA = {"Origin": APP, "User-Agent": BROWSER.user_agent}
NAME = "authkeep-refresh"
pytestmark = pytest.mark.env(CORS_ORIGINS=APP)


def cookies_in(answer: Response) -> dict[str, Morsel[str]]:
    found: dict[str, Morsel[str]] = {}
    for header in answer.headers.get_list("set-cookie"):
        found |= SimpleCookie(header)
    return found


async def log_in(client: AsyncClient, username: str, headers: dict[str, str] = SPA, **more: Any) -> Response:
    body = {"username": username, "password": api.PASSWORD, "transport": "cookie", **more}
    return await client.post("/auth/login", json=body, headers=headers)


async def refresh(client: AsyncClient, cookie: str | None, headers: dict[str, str] = SPA, **body: Any) -> Response:
    client.cookies.clear()
    sent = {**headers, **({"Cookie": f"{NAME}={cookie}"} if cookie else {})}
    return await client.post("/auth/refresh", json={"transport": "cookie", **body}, headers=sent)


@pytest.mark.asvs("V3.3.2", "V3.3.4", "V14.3.3")
async def test_the_refresh_token_is_in_the_cookie_and_not_in_the_answer(client: AsyncClient) -> None:
    account = await api.register(client)
    answer = await log_in(client, account["username"])
    body, kept = answer.json(), cookies_in(answer)
    assert (answer.status_code, body["refresh_token"]) == (200, None)
    token = kept[NAME].value
    assert token not in answer.text
    assert claims_of(token)["sid"] == claims_of(body["access_token"])["sid"]
    assert (kept[NAME]["httponly"], kept[NAME]["samesite"], kept[NAME]["path"]) == (True, "lax", "/")
    assert 30 * 86400 - 60 < int(kept[NAME]["max-age"]) <= 30 * 86400
    assert "authkeep" not in kept  # no session of pages
    assert answer.headers["access-control-allow-credentials"] == "true"
    again = await refresh(client, token)
    assert (again.status_code, again.json()["refresh_token"]) == (200, None)
    successor = cookies_in(again)[NAME].value
    assert claims_of(successor)["gen"] == 1
    assert (await client.get("/auth/me", headers=api.bearer(again.json()))).json()["id"] == account["id"]


@pytest.mark.asvs("V3.5.1", "V3.5.2")
async def test_the_cookie_is_spent_by_a_page_that_may_and_by_no_other(client: AsyncClient, server: Server) -> None:
    account = await api.register(client)
    token = cookies_in(await log_in(client, account["username"]))[NAME].value
    for headers in ({}, {"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-origin"}):
        refused = await refresh(client, token, headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_refused"), headers
        assert "set-cookie" not in refused.headers
    plain = await client.post(
        "/auth/refresh",
        content=b'{"transport": "cookie"}',
        headers={**SPA, "Cookie": f"{NAME}={token}", "Content-Type": "text/plain"},
    )
    assert plain.status_code == 415
    assert (await session_row(server, sid_of_cookie(token))).generation == 0
    assert (await refresh(client, token)).status_code == 200


def sid_of_cookie(token: str) -> Any:
    return sid_of({"access_token": token})


@pytest.mark.asvs("V3.5.1")
async def test_no_other_page_signs_somebody_in(client: AsyncClient, server: Server) -> None:
    account = await api.register(client)
    for origin in (EVIL, "null", f"{APP}.evil.example.net"):
        refused = await log_in(client, account["username"], {"Origin": origin})
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_refused")
    assert await events(server, "user.login.succeeded") == []
    assert (await log_in(client, account["username"], {})).status_code == 200  # a program that keeps cookies


async def test_the_cookie_is_the_session_and_theft_ends_it(client: AsyncClient, server: Server) -> None:
    account = await api.register(client)
    first = await log_in(client, account["username"])
    token = cookies_in(first)[NAME].value
    second = cookies_in(await refresh(client, token))[NAME].value
    stolen = await refresh(client, token, {"Origin": APP, "User-Agent": "another"})
    assert (stolen.status_code, stolen.json()["code"]) == (401, "token_invalid")
    assert (await refresh(client, second)).status_code == 401
    assert len(await events(server, "session.theft_detected")) == 1


async def test_a_cookies_token_goes_into_no_body(client: AsyncClient) -> None:
    """Or a script that was slipped into the page could carry it away."""
    account = await api.register(client)
    token = cookies_in(await log_in(client, account["username"]))[NAME].value
    client.cookies.clear()
    for body in ({}, {"transport": "body"}, {"refresh_token": None}):
        answer = await client.post("/auth/refresh", json=body, headers={**SPA, "Cookie": f"{NAME}={token}"})
        assert answer.status_code == 422, body
        assert answer.json()["errors"][0]["code"] == "missing"
    assert (await refresh(client, None)).status_code == 401
    assert (await refresh(client, None)).json()["code"] == "unauthenticated"
    assert (await refresh(client, "x")).json()["code"] == "token_invalid"


async def test_a_token_of_the_body_can_move_into_the_cookie(client: AsyncClient) -> None:
    user = await api.new_user(client)
    moved = await refresh(client, None, refresh_token=user.tokens["refresh_token"])
    assert (moved.status_code, moved.json()["refresh_token"]) == (200, None)
    assert claims_of(cookies_in(moved)[NAME].value)["gen"] == 1
    other = await api.new_user(client)
    refused = await refresh(client, None, {"Origin": EVIL}, refresh_token=other.tokens["refresh_token"])
    assert refused.status_code == 403


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1")
async def test_logout_ends_it_and_takes_the_cookie_away(client: AsyncClient, server: Server) -> None:
    account = await api.register(client)
    body = await log_in(client, account["username"])
    token, access = cookies_in(body)[NAME].value, body.json()["access_token"]
    client.cookies.clear()
    for headers in ({"Origin": EVIL, **JSON}, JSON, SPA):
        refused = await client.post("/auth/logout", headers={**headers, "Cookie": f"{NAME}={token}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_refused")
    out = await client.post("/auth/logout", headers={**SPA, **JSON, "Cookie": f"{NAME}={token}"})
    assert out.status_code == 204
    assert (cookies_in(out)[NAME].value, cookies_in(out)[NAME]["max-age"]) == ("", "0")
    assert (await refresh(client, token)).status_code == 401
    assert (await client.get("/auth/me", headers={"Authorization": f"Bearer {access}"})).status_code == 401


@pytest.mark.asvs("V7.2.4")
async def test_a_login_ends_what_the_browser_held(client: AsyncClient, server: Server) -> None:
    account, planted = await api.register(client), await api.new_user(client)
    page = await sign_in(server, client)
    held = f"{NAME}={planted.tokens['refresh_token']}; authkeep={page.cookie}"
    answer = await log_in(client, account["username"], {**SPA, "Cookie": held})
    assert answer.status_code == 200
    for session_id in (sid_of(planted.tokens), page.pair.session_id):
        assert (await session_row(server, session_id)).end_reason == "replaced"
    assert (await session_row(server, sid_of(answer.json()))).ended_at is None
    # A login that fails ends nothing.
    another = await api.new_user(client)
    client.cookies.clear()
    headers = {**SPA, "Cookie": f"{NAME}={another.tokens['refresh_token']}"}
    assert (await log_in(client, account["username"], headers, password="wrong")).status_code == 401
    assert (await session_row(server, sid_of(another.tokens))).ended_at is None


async def test_a_change_of_password_hands_over_as_the_login_did(client: AsyncClient, server: Server) -> None:
    account = await api.register(client)
    tokens = (await log_in(client, account["username"])).json()
    change = {"current_password": api.PASSWORD, "new_password": "quite another 1!", "transport": "cookie"}
    answer = await client.post("/auth/change-password", json=change, headers={**SPA, **api.bearer(tokens)})
    assert (answer.status_code, answer.json()["refresh_token"]) == (200, None)
    assert (await refresh(client, cookies_in(answer)[NAME].value)).status_code == 200
    page = await sign_in(server, client)
    change = {"current_password": api.PASSWORD, "new_password": "quite another 1!"}
    by_cookie = await client.post("/auth/change-password", json=change, headers=page.own_page)
    assert (by_cookie.status_code, by_cookie.json()["refresh_token"]) == (200, None)
    anew = cookies_in(by_cookie)["authkeep"].value
    client.cookies.clear()
    for cookie, expected in ((page.cookie, 401), (anew, 200)):
        assert (await client.get("/auth/me", headers={"Cookie": f"authkeep={cookie}"})).status_code == expected
