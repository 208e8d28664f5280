"""Acting as somebody with a browser: a cookie of its own wins everywhere but in the console, and is never forgotten quietly."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import AsyncClient, Response

from app.core.cookies import new_session_cookie
from app.core.server import Server
from tests.auth.browsing import JSON, SAME, Browsing, sign_in
from tests.auth.scene import events, session_row
from tests.impersonation.scene import act, somebody
from tests.support import api
from tests.support.clock import TravellingClock

TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


@dataclass(frozen=True)
class Browser:
    """Somebody of the staff at a browser, who acts as a person."""

    own: Browsing
    person: api.User
    acting: str
    form: str
    form_token: str

    @property
    def staff(self) -> api.User:
        return self.own.user

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"authkeep={self.own.cookie}; authkeep-acting={self.acting}; authkeep-form={self.form}"}

    @property
    def own_headers(self) -> dict[str, str]:
        return {"Cookie": f"authkeep={self.own.cookie}; authkeep-form={self.form}"}


async def begin(client: AsyncClient, own: Browsing, person: api.User, reason: str = "ticket 4711") -> tuple[Response, str]:
    """Send the console's form; the answer, and the cookie of the forms."""
    path = f"/admin/users/{person.id}/impersonate"
    shown = await client.get(path, headers=own.headers)
    assert shown.status_code == 200, shown.text
    form = shown.cookies["authkeep-form"]
    cookies = {"Cookie": f"authkeep={own.cookie}; authkeep-form={form}", **SAME}
    (token, *_) = TOKEN.findall(shown.text)
    client.cookies.clear()
    return await client.post(path, data={"form_token": token, "reason": reason}, headers=cookies), form


async def acting_browser(server: Server, client: AsyncClient, staff: str = "support", person: str = "user") -> Browser:
    own = await sign_in(server, client, await somebody(server, client, staff))
    other = await somebody(server, client, person)
    client.cookies.clear()
    answer, form = await begin(client, own, other)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/"), answer.text
    acting = answer.cookies["authkeep-acting"]
    client.cookies.clear()
    cookies = {"Cookie": f"authkeep={own.cookie}; authkeep-acting={acting}; authkeep-form={form}"}
    page = await client.get("/account/", headers=cookies)
    assert page.status_code == 200
    (token, *_) = TOKEN.findall(page.text)
    client.cookies.clear()
    return Browser(own, other, acting, form, token)


def dropped(answer: Response, name: str = "authkeep-acting") -> bool:
    return any(value.startswith(f'{name}="";') and "Max-Age=0" in value for value in answer.headers.get_list("set-cookie"))


async def test_it_begins_in_the_console_and_the_cookie_outlives_no_more_than_the_own_one(
    client: AsyncClient, server: Server
) -> None:
    own = await sign_in(server, client, await somebody(server, client, "support"))
    person = await somebody(server, client, "user")
    client.cookies.clear()
    answer, _ = await begin(client, own, person)
    (cookie,) = [value for value in answer.headers.get_list("set-cookie") if value.startswith("authkeep-acting=")]
    seconds = int(re.findall(r"Max-Age=(\d+)", cookie)[0])
    # Longer than the session it holds: were it gone first, the browser would be its owner's again, and nobody told.
    assert seconds > 29 * 86400
    assert ("HttpOnly" in cookie, "SameSite=lax" in cookie, "Path=/" in cookie) == (True, True, True)
    (started,) = await events(server, "impersonation.started")
    assert started.session_id is not None
    row = await session_row(server, started.session_id)
    assert (row.expires_at - row.created_at).total_seconds() == 1800


async def test_who_acts_is_the_person_everywhere_but_in_the_console(client: AsyncClient, server: Server) -> None:
    browser = await acting_browser(server, client)
    me = await client.get("/auth/me", headers=browser.headers)
    assert (me.json()["id"], me.json()["impersonated_by"]) == (browser.person.id, browser.staff.id)
    verified = await client.get("/auth/verify", headers=browser.headers)
    assert (verified.headers["x-auth-user"], verified.headers["x-auth-actor"]) == (browser.person.id, browser.staff.id)
    desk = await client.get(f"/admin/users/{browser.person.id}/impersonate", headers=browser.headers)
    assert (desk.status_code, browser.staff.username in desk.text, 'class="acting"' in desk.text) == (200, True, False)


async def test_stop_ends_it_and_leads_back(client: AsyncClient, server: Server) -> None:
    browser = await acting_browser(server, client)
    sent: dict[str, Any] = {"data": {"form_token": browser.form_token}, "headers": {**browser.headers, **SAME}}
    stopped = await client.post("/account/acting-stop", **sent)
    assert (stopped.status_code, dropped(stopped)) == (303, True)
    assert stopped.headers["location"] == f"/admin/users/{browser.person.id}?done=acting-ended"
    assert not dropped(stopped, "authkeep")
    (ended,) = await events(server, "impersonation.ended")
    assert (str(ended.actor_id), str(ended.subject_id)) == (browser.staff.id, browser.person.id)
    own = await client.get("/auth/me", headers=browser.own_headers)
    assert own.json()["id"] == browser.staff.id


@pytest.mark.parametrize("way", ["api", "page"])
async def test_signing_out_ends_that_alone(client: AsyncClient, server: Server, way: str) -> None:
    browser = await acting_browser(server, client)
    if way == "api":
        answer = await client.post("/auth/logout", headers={**browser.headers, **SAME, **JSON})
        assert answer.status_code == 204
    else:
        sent: dict[str, Any] = {"data": {"form_token": browser.form_token}, "headers": {**browser.headers, **SAME}}
        answer = await client.post("/account/sign-out", **sent)
        assert answer.headers["location"] == "/account/acting-ended"
    assert (dropped(answer), dropped(answer, "authkeep")) == (True, False)
    assert (await client.get("/auth/me", headers=browser.own_headers)).json()["id"] == browser.staff.id
    assert (await client.get("/auth/me", headers=browser.headers)).status_code == 401


async def test_a_dead_one_is_told_and_never_turns_into_the_own_session(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    browser = await acting_browser(server, client)
    clock.advance(seconds=1801)
    for path in ("/auth/me", "/auth/verify", "/auth/sessions"):
        assert (await client.get(path, headers=browser.headers)).status_code == 401, path
    for path in ("/account/", "/account/sessions", "/account/security", "/account/sign-in", "/account/forgot"):
        led = await client.get(path, headers=browser.headers)
        assert (led.status_code, led.headers["location"]) == (303, "/account/acting-ended"), path
        assert not dropped(led), path
    save: dict[str, Any] = {
        "data": {"form_token": browser.form_token, "username": "somebodyelse"},
        "headers": {**browser.headers, **SAME},
    }
    saved = await client.post("/account/", **save)
    assert (saved.status_code, saved.headers["location"]) == (303, "/account/acting-ended")
    ended = await client.get("/account/acting-ended", headers=browser.headers)
    assert (ended.status_code, dropped(ended)) == (200, True)
    assert "as yourself" in ended.text
    assert browser.staff.username not in ended.text
    own = await client.get("/auth/me", headers=browser.own_headers)
    assert own.json()["username"] == browser.staff.username


async def test_a_link_to_the_page_of_the_end_ends_nothing(client: AsyncClient, server: Server) -> None:
    browser = await acting_browser(server, client)
    answer = await client.get("/account/acting-ended", headers=browser.headers)
    assert (answer.status_code, answer.headers["location"], dropped(answer)) == (303, "/account/", False)
    assert (await client.get("/auth/me", headers=browser.headers)).status_code == 200


async def test_no_cookie_is_good_in_the_place_of_the_other(client: AsyncClient, server: Server) -> None:
    browser, stranger = await acting_browser(server, client), await sign_in(server, client)
    client.cookies.clear()
    hostile = {
        "acting as one's own": f"authkeep={browser.acting}",
        "one's own as acting": f"authkeep-acting={browser.own.cookie}",
        "a stranger's own as acting": f"authkeep={browser.own.cookie}; authkeep-acting={stranger.cookie}",
        "made up": f"authkeep={browser.own.cookie}; authkeep-acting={new_session_cookie(uuid.uuid4())}",
        "junk": f"authkeep={browser.own.cookie}; authkeep-acting=junk",
        "huge": f"authkeep={browser.own.cookie}; authkeep-acting={'A' * 8000}",
        "another's secret": f"authkeep-acting={browser.acting[:24]}{stranger.cookie[24:]}",
    }
    for name, cookies in hostile.items():
        for path in ("/auth/me", "/auth/verify", "/auth/sessions"):
            answer = await client.get(path, headers={"Cookie": cookies})
            assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), (name, path)
        page = await client.get("/account/", headers={"Cookie": cookies})
        assert page.status_code == 303, name
        assert page.headers["location"].startswith(("/account/acting-ended", "/account/sign-in")), name


async def test_an_acting_session_of_tokens_is_no_browsers(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    cookie = new_session_cookie(uuid.UUID(acting.answer["session_id"]))
    for name in ("authkeep", "authkeep-acting"):
        assert (await client.get("/auth/me", headers={"Cookie": f"{name}={cookie}"})).status_code == 401


async def test_the_own_refresh_token_is_no_way_round(client: AsyncClient, server: Server) -> None:
    browser = await acting_browser(server, client)
    cookies = f"{browser.headers['Cookie']}; authkeep-refresh={browser.staff.tokens['refresh_token']}"
    sent: dict[str, Any] = {"json": {"transport": "cookie"}, "headers": {"Cookie": cookies, **SAME}}
    refused = await client.post("/auth/refresh", **sent)
    assert (refused.status_code, refused.json()["code"]) == (403, "impersonated")


async def test_a_form_of_the_one_is_not_taken_as_the_other(client: AsyncClient, server: Server) -> None:
    """A page that was open before, in another tab, must not act on whoever's account the browser is in now."""
    browser = await acting_browser(server, client)
    mine = await client.get("/account/", headers=browser.own_headers)
    (own_token, *_) = TOKEN.findall(mine.text)
    assert own_token != browser.form_token
    body = {"username": browser.staff.username, "display_name": "Somebody", "locale": ""}
    for token, headers in ((own_token, browser.headers), (browser.form_token, browser.own_headers)):
        answer = await client.post("/account/", data={**body, "form_token": token}, headers={**headers, **SAME})
        assert answer.status_code == 403
    for token in ("", own_token, "junk"):
        stop = await client.post("/account/acting-stop", data={"form_token": token}, headers={**browser.headers, **SAME})
        assert stop.status_code == 403
    assert (await client.get("/auth/me", headers=browser.headers)).status_code == 200
    elsewhere = {**browser.headers, "Origin": "https://evil.tld", "Sec-Fetch-Site": "cross-site"}
    for path in ("/account/acting-stop", f"/admin/users/{browser.person.id}/impersonate"):
        data = {"form_token": browser.form_token, "reason": "for evil"}
        assert (await client.post(path, data=data, headers=elsewhere)).status_code == 403


async def test_without_a_cookie_of_that_kind_stopping_stops_nothing(client: AsyncClient, server: Server) -> None:
    own = await sign_in(server, client)
    client.cookies.clear()
    page = await client.get("/account/", headers=own.headers)
    form, (token, *_) = page.cookies["authkeep-form"], TOKEN.findall(page.text)
    client.cookies.clear()
    cookies = {"Cookie": f"authkeep={own.cookie}; authkeep-form={form}", **SAME}
    answer = await client.post("/account/acting-stop", data={"form_token": token}, headers=cookies)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/")
    assert (await client.get("/auth/me", headers=own.headers)).status_code == 200


async def test_the_console_refuses_what_the_route_refuses(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    own = await sign_in(server, client, await somebody(server, client, "support"))
    person, boss = await somebody(server, client, "user"), await somebody(server, client, "admin")
    client.cookies.clear()
    odd, _ = await begin(client, own, person, "  ")
    assert (odd.status_code, "Say why, in 3 to 200 characters." in odd.text) == (422, True)
    above, _ = await begin(client, own, boss)
    assert above.status_code == 403
    hostile, _ = await begin(client, own, person, "<script>alert(1)</script>" * 20)
    assert (hostile.status_code, "<script>alert" in hostile.text) == (422, False)
    assert await events(server, "impersonation.started") == []
    clock.advance(seconds=601)
    stale = await client.get(f"/admin/users/{person.id}/impersonate", headers=own.headers)
    assert stale.headers["location"] == f"/account/reauthenticate?next=/admin/users/{person.id}/impersonate"
    for role, status in (("auditor", 403), ("user", 403)):
        other = await sign_in(server, client, await somebody(server, client, role))
        client.cookies.clear()
        assert (await client.get(f"/admin/users/{person.id}/impersonate", headers=other.headers)).status_code == status


async def test_signing_in_anew_ends_both(client: AsyncClient, server: Server) -> None:
    """Whoever signs in takes the browser over: what it held before is over, and the person's session with it."""
    browser = await acting_browser(server, client)
    other = await somebody(server, client, "user")
    body = {"username": other.username, "password": other.password, "transport": "cookie"}
    answer = await client.post("/auth/login", json=body, headers={**browser.headers, **SAME})
    assert answer.status_code == 200
    client.cookies.clear()
    assert (await client.get("/auth/me", headers=browser.headers)).status_code == 401
    assert (await client.get("/auth/me", headers=browser.own_headers)).status_code == 401


async def test_in_production_the_cookie_is_bound_to_the_host(client: AsyncClient) -> None:
    from app.core.cookies import ACTING, STRICT, Cookies

    named: Callable[[str], str] = Cookies(https=True).name
    assert named(ACTING) == "__Host-authkeep-acting"
    assert ACTING not in STRICT  # it must come along with every link that the own one comes along with
