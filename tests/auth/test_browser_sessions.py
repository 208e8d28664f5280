"""Sessions that a browser holds by cookie: the same row, the same blocklist, another secret."""

import uuid
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.auth import sessions
from app.auth.deps import AuthKit
from app.auth.models import Session
from app.auth.sessions import Held
from app.core.cookies import Cookies, new_session_cookie, session_id_in
from app.core.crypto import b64decode, b64encode, digest
from app.core.fastlane import FastLane
from app.core.server import Server
from tests.auth.browsing import BROWSER, JSON, SAME, add_pages, sign_in
from tests.auth.scene import end_in_database, events, execute, session_row, sid_of
from tests.auth.test_lanes import shown
from tests.support import api
from tests.support.clock import TravellingClock


async def status(client: AsyncClient, cookie: str, path: str = "/auth/me") -> int:
    client.cookies.clear()
    return (await client.get(path, headers={"Cookie": f"authkeep={cookie}"})).status_code


@pytest.mark.asvs("V7.2.3", "V3.3.4")
async def test_a_cookie_opens_what_a_token_opens(client: AsyncClient, server: Server) -> None:
    browsing = await sign_in(server, client)
    row = await session_row(server, browsing.pair.session_id)
    assert row.cookie_digest == digest(browsing.cookie)
    raw = b64decode(browsing.cookie)
    assert raw is not None
    assert (len(raw), raw[:16]) == (48, row.id.bytes)  # 256 random bits beside the id
    me = await client.get("/auth/me", headers=browsing.headers)
    assert (me.status_code, me.json()["id"]) == (200, browsing.user.id)
    verified = await client.get("/auth/verify", headers=browsing.headers)
    assert (verified.status_code, verified.headers["x-auth-session"]) == (204, str(row.id))
    (first, _) = (await client.get("/auth/sessions", headers=browsing.headers)).json()
    assert (first["id"], first["current"]) == (str(row.id), True)


@pytest.mark.asvs("V7.2.2")
async def test_nothing_but_the_very_cookie_opens(client: AsyncClient, server: Server) -> None:
    browsing, other = await sign_in(server, client), await sign_in(server, client)
    mine, theirs = (b64decode(each.cookie) or b"" for each in (browsing, other))
    hostile = {
        "another's secret": b64encode(mine[:16] + theirs[16:]),
        "no secret": b64encode(mine[:16] + bytes(32)),
        "the digest": b64encode(mine[:16] + digest(browsing.cookie)),
        "unknown session": new_session_cookie(uuid.uuid4()),
        "cut": browsing.cookie[:-4],
        "longer": browsing.cookie + "AAAA",
        "another spelling": browsing.cookie + "=",
        "quoted junk": '"\\000\\377"',
        "not ASCII": browsing.cookie[:-1] + "\u00e9",
        "huge": "A" * 20_000,
        "an access token": browsing.user.tokens["access_token"],
    }
    for name, value in hostile.items():
        client.cookies.clear()
        sent = [(b"Cookie", f"authkeep={value}".encode("latin-1"))]
        for path in ("/auth/me", "/auth/me/", "/auth/verify"):
            answer = await client.get(path, headers=sent)
            assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), name
    assert await status(client, browsing.cookie) == 200
    for name in ("authkeep-refresh", "authkeep-device", "authkeep2", "__Host-authkeep", "Authkeep"):
        assert (await client.get("/auth/me", headers={"Cookie": f"{name}={browsing.cookie}"})).status_code == 401, name


async def test_a_session_of_tokens_has_no_cookie(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    session_id = sid_of(user.tokens)
    assert (await session_row(server, session_id)).cookie_digest is None
    assert await status(client, new_session_cookie(session_id)) == 401


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1", "V7.3.2")
async def test_a_cookie_dies_with_its_session(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    row_ended, disabled, expired, all_ended = [await sign_in(server, client) for _ in range(4)]
    await end_in_database(server, row_ended.pair.session_id, clock())
    boss = await api.new_admin(app, client)
    client.cookies.clear()
    switched = await client.put(f"/users/{disabled.user.id}/status", json={"active": False}, headers=boss.headers)
    assert switched.status_code == 200
    answer = await client.post("/auth/logout-all", headers=all_ended.own_page)
    assert answer.status_code == 204
    assert "authkeep=" in answer.headers["set-cookie"]
    for browsing in (row_ended, disabled, all_ended):
        assert (await status(client, browsing.cookie), await status(client, browsing.cookie, "/auth/verify")) == (401, 401)
    assert await status(client, expired.cookie) == 200
    clock.advance(timedelta(days=31))
    assert await status(client, expired.cookie) == 401


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1")
async def test_logout_ends_the_cookies_session_and_takes_the_cookie_away(client: AsyncClient, server: Server) -> None:
    browsing = await sign_in(server, client)
    out = await client.post("/auth/logout", headers=browsing.own_page)
    assert (out.status_code, out.content) == (204, b"")
    assert out.headers["set-cookie"].startswith('authkeep="";')
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert await status(client, browsing.cookie) == 401
    again = await client.post("/auth/logout", headers=browsing.own_page)
    assert (again.status_code, again.json()["code"]) == (401, "token_invalid")
    (ended,) = await events(server, "session.ended", subject_id=uuid.UUID(browsing.user.id))
    assert (ended.session_id, ended.data) == (browsing.pair.session_id, {"reason": "logout"})


async def test_a_bearer_token_counts_before_a_cookie(client: AsyncClient, server: Server) -> None:
    browsing, other = await sign_in(server, client), await api.new_user(client)
    client.cookies.clear()
    both = {**browsing.headers, **other.headers}
    for path in ("/auth/me", "/auth/me/"):
        assert (await client.get(path, headers=both)).json()["id"] == other.id
    bad = {**browsing.headers, "Authorization": "Bearer a.b.c"}
    for path in ("/auth/me", "/auth/me/", "/auth/verify"):
        assert (await client.get(path, headers=bad)).status_code == 401
    basic = {**browsing.headers, "Authorization": "Basic eDp5"}
    assert (await client.get("/auth/me", headers=basic)).json()["id"] == browsing.user.id


async def test_a_cookie_is_answered_the_same_before_routing_and_by_its_route(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    browsing = await sign_in(server, client)
    more: list[dict[str, str]] = [
        {},
        SAME,
        {"Origin": "https://elsewhere.example.com"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Basic x"},
    ]
    for cookie in (browsing.cookie, "x", new_session_cookie(uuid.uuid4())):
        for headers in more:
            for path in ("/auth/me", "/auth/verify", "/auth/verify?role=admin"):
                asked = {"Cookie": f"authkeep={cookie}", **headers}
                by_lane = await client.get(path, headers=asked)
                with monkeypatch.context() as patch:
                    patch.setattr(FastLane, "_lane", lambda *_: None)
                    by_route = await client.get(path, headers=asked)
                assert by_lane.status_code == by_route.status_code, (path, headers)
                assert by_lane.content == by_route.content
                if path == "/auth/me":
                    assert shown(by_lane) == shown(by_route)


@pytest.mark.asvs("V3.3.1", "V3.3.2", "V3.3.3", "V3.3.4")
@pytest.mark.env(PUBLIC_URL="https://auth.example.com")
async def test_over_tls_the_cookie_is_bound_to_the_host(client: AsyncClient, server: Server) -> None:
    browsing = await sign_in(server, client)
    for name, expected in (("authkeep", 401), ("__Host-authkeep", 200)):
        assert (await client.get("/auth/me", headers={"Cookie": f"{name}={browsing.cookie}"})).status_code == expected
    headers = {"Cookie": f"__Host-authkeep={browsing.cookie}", "Origin": "https://auth.example.com", **JSON}
    renewed = await client.post("/auth/reauthenticate", json={"password": browsing.user.password}, headers=headers)
    cookie = renewed.headers["set-cookie"]
    assert cookie.startswith("__Host-authkeep=")
    (morsel,) = SimpleCookie(cookie).values()
    assert (morsel["httponly"], morsel["secure"], morsel["path"], morsel["samesite"]) == (True, True, "/", "lax")
    assert morsel["domain"] == ""
    assert 30 * 86400 - 60 < int(morsel["max-age"]) <= 30 * 86400  # as long as the session


@pytest.mark.asvs("V7.2.4")
async def test_what_the_browser_held_before_ends_with_a_login(client: AsyncClient, server: Server) -> None:
    """Whoever put a session of their own into somebody's browser goes on with nothing; nor does a guess end one."""
    planted, victim, by_token = [await sign_in(server, client) for _ in range(3)]
    kit, now = server.kit(AuthKit), server.clock()
    held = Held(cookie=planted.cookie, refresh=(by_token.user.tokens["refresh_token"],))
    await sessions.end_replaced(server.database, kit, held, BROWSER, now)
    assert await status(client, planted.cookie) == 401
    assert (await client.get("/auth/me", headers=by_token.user.headers)).status_code == 401
    assert (await session_row(server, planted.pair.session_id)).end_reason == "replaced"
    for guess in ("x", new_session_cookie(victim.pair.session_id)):
        await sessions.end_replaced(server.database, kit, Held(cookie=guess), BROWSER, now)
    assert await status(client, victim.cookie) == 200


@pytest.mark.promise("P6")
async def test_a_redis_that_forgot_and_a_row_that_knows(client: AsyncClient, server: Server) -> None:
    """A cookie whose digest left the row opens nothing, whatever else says yes."""
    browsing = await sign_in(server, client)
    gone = update(Session).where(Session.id == browsing.pair.session_id).values(cookie_digest=None)
    assert await execute(server, gone) == 1
    assert await status(client, browsing.cookie) == 401


async def test_pages_take_the_cookie_alone_and_lead_to_sign_in(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    add_pages(app)
    browsing = await sign_in(server, client)
    client.cookies.clear()
    for path in ("profile", "leave"):
        for headers in ({}, browsing.user.headers, {"Cookie": "authkeep=x"}):
            led = await client.get(f"/account/test/{path}?token=secret", headers=headers)
            assert (led.status_code, led.headers["location"]) == (303, f"/account/sign-in?next=/account/test/{path}")
        assert (await client.get(f"/account/test/{path}", headers=browsing.headers)).json() == {"who": browsing.user.id}
    clock.advance(seconds=601)
    assert (await client.get("/account/test/profile", headers=browsing.headers)).status_code == 200
    led = await client.get("/account/test/leave", headers=browsing.headers)
    assert (led.status_code, led.headers["location"]) == (303, "/account/reauthenticate?next=/account/test/leave")
    for headers, who in ((browsing.headers, browsing.user.id), ({}, None), ({"Cookie": "authkeep=x"}, None)):
        assert (await client.get("/account/test/anybody", headers=headers)).json() == {"who": who}


def test_cookie_values_are_read_in_one_spelling() -> None:
    session_id = uuid.uuid4()
    value = new_session_cookie(session_id)
    assert session_id_in(value) == session_id
    for bad in (None, "", value + "=", value[:-1], " " + value, value + "A", "\u00e9" * 64, value.replace(value[0], "+")):
        assert session_id_in(bad) is None
    assert Cookies(https=True).name("-form") == "__Host-authkeep-form"
