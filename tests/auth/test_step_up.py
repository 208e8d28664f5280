"""Step-up: whoever has a second factor proves it anew before anything that does lasting harm; losing it ends what it opened."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient, Response
from sqlalchemy.exc import OperationalError

from app.auth import proofs, steps
from app.auth.credentials import SessionCredentials
from app.auth.deps import AuthKit
from app.auth.proofs import Given
from app.auth.sessions import facts_of, open_session
from app.auth.sockets import SECOND_PROOFS, Proved
from app.core.assurance import Proof
from app.core.caller import FRESH, Caller, backed, backed_page, fresh, fresh_page
from app.core.server import Server
from app.users import service as users
from tests.architecture.test_routes import rules_of
from tests.auth.browsing import BROWSER, SAME, Browsing, sign_in
from tests.auth.holding import TickingClock
from tests.auth.proving import App, enrol, log_in_by, prove_row, proved
from tests.auth.scene import claims_of, events, replica, session_row, sid_of
from tests.edge.test_slashes import fill
from tests.hostile.surface import JSON, operations
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock

PATH = "/auth/reauthenticate"
CHALLENGE = 'Bearer error="insufficient_user_authentication", acr_values="aal2", max_age=600'
NEW = "Another-harbour-72-kettle!"


@pytest.fixture
def clock() -> TravellingClock:
    return TickingClock()


@pytest.fixture
async def user(client: AsyncClient) -> api.User:
    return await api.new_user(client)


async def prove(client: AsyncClient, headers: dict[str, str], **body: Any) -> Response:
    return await client.post(PATH, json={"password": api.PASSWORD, **body}, headers=headers)


def code_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def wants_more(answer: Response) -> bool:
    return (answer.status_code, answer.headers.get("www-authenticate")) == (401, CHALLENGE)


async def renewed(server: Server, user: api.User, clock: TravellingClock) -> dict[str, str]:
    """A token of the session as its row is now."""
    session = await session_row(server, sid_of(user.tokens))
    async with server.database.read() as db:
        account = (await users.get_user(db, uuid.UUID(user.id))).account()
    token = server.kit(AuthKit).tokens.write_access(account, facts_of(session), clock())
    return {"Authorization": f"Bearer {token}"}


async def weak(server: Server, client: AsyncClient, user: api.User, clock: TravellingClock) -> tuple[App, dict[str, str]]:
    """An app, and a session of its owner that was proved by the password alone a moment ago, as on a remembered browser."""
    app, _ = await enrol(client, clock, user.headers)
    await prove_row(server, sid_of(user.tokens), "aal1", "pwd", authenticated_at=clock())
    return app, await renewed(server, user, clock)


# What wants it.


def guarded(app: FastAPI) -> list[tuple[str, str]]:
    """The calls of the API that want a fresh proof, but for admins' own."""
    found = []
    for context in iter_route_contexts(app.routes):
        if rules_of(context) in ({fresh}, {backed}):
            found += [(method, str(context.path)) for method in sorted(context.methods or ())]
    return sorted(found)


async def call(app: FastAPI, client: AsyncClient, method: str, path: str, headers: dict[str, str]) -> Response:
    (operation,) = [each for each in operations(app) if (each.method, each.path) == (method, path)]
    body = operation.good_body() if JSON in operation.content and path != "/auth/mfa/totp" else {}
    url = fill(path, **{name: str(uuid.uuid4()) for name in ("user_id", "session_id", "invitation_id", "passkey_id")})
    return await client.request(method, url, json=body, headers=headers)


@pytest.mark.asvs("V7.5.1")
async def test_what_does_lasting_harm_wants_the_second_factor_of_who_has_one(
    app: FastAPI, client: AsyncClient, server: Server, user: api.User, clock: TravellingClock
) -> None:
    """A password given this minute does not do; so neither does a stolen session with a stolen password."""
    _, headers = await weak(server, client, user, clock)
    calls = guarded(app)
    assert {
        ("DELETE", "/auth/me"),
        ("GET", "/auth/me/export"),
        ("POST", "/auth/me/email"),
        ("POST", "/auth/change-password"),
        ("DELETE", "/auth/mfa/totp"),
        ("POST", "/auth/mfa/recovery-codes"),
    } <= set(calls)
    for method, path in [*calls, ("POST", "/auth/mfa/totp")]:
        answer = await call(app, client, method, path, headers)
        assert wants_more(answer), (method, path, answer.text)
        assert answer.json()["code"] == "insufficient_user_authentication"
    assert (await client.get("/auth/me", headers=headers)).status_code == 200


async def test_a_server_that_does_not_ask_for_it_is_found(
    app: FastAPI, client: AsyncClient, server: Server, user: api.User, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    _, headers = await weak(server, client, user, clock)

    async def nobody_has_one(*_: object) -> bool:
        return False

    monkeypatch.setattr(SessionCredentials, "has_second_factor", nobody_has_one)
    assert (await client.get("/auth/me/export", headers=headers)).status_code == 200


@pytest.mark.promise("P6")
async def test_who_can_not_be_asked_about_is_let_in_nowhere(
    client: AsyncClient, user: api.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr("app.auth.repository.list_factors", stuck)
    answer = await client.get("/auth/me/export", headers=user.headers)
    assert code_of(answer) == (503, "unavailable")
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200


@pytest.mark.asvs("V7.5.1")
async def test_pages_lead_to_where_it_can_be_given(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    browsing = await sign_in(server, client)
    pages = sorted(
        str(context.path)
        for context in iter_route_contexts(app.routes)
        if rules_of(context) & {fresh_page, backed_page} and "GET" in (context.methods or ())
    )
    assert {"/account/password", "/account/email", "/account/leave"} <= set(pages)
    opened = [(await client.get(page, headers=browsing.headers)).status_code for page in pages]
    assert opened == [200] * len(pages)  # the control: nobody has a factor yet
    await enrol(client, clock, browsing.user.headers)
    other = await weak_browsing(server, client, browsing, clock)
    for page in pages:
        answer = await client.get(page, headers=other)
        where = answer.headers["location"].partition("?")[0]
        assert (answer.status_code, where) == (303, "/account/reauthenticate"), page


async def weak_browsing(server: Server, client: AsyncClient, browsing: Browsing, clock: TravellingClock) -> dict[str, str]:
    """A browser's session by the password alone, though there is a factor by now: the first one ended those before it."""
    kit, now = server.kit(AuthKit), clock()
    async with server.database.write() as db:
        account = (await users.get_user(db, uuid.UUID(browsing.user.id))).account()
        pair = await open_session(db, kit, account, BROWSER, now, amr="pwd", device=None, browser=True)
    client.cookies.clear()
    return {"Cookie": f"authkeep={pair.cookie}"}


async def test_without_a_factor_all_is_as_it_was(client: AsyncClient, user: api.User, clock: TravellingClock) -> None:
    assert (await client.get("/auth/me/export", headers=user.headers)).status_code == 200
    clock.advance(FRESH + timedelta(minutes=4))
    stale = await client.get("/auth/me/export", headers=user.headers)
    assert stale.headers["www-authenticate"] == 'Bearer error="insufficient_user_authentication", max_age=600'
    change = {"current_password": user.password, "new_password": NEW}
    changed = await client.post("/auth/change-password", json=change, headers=user.headers)
    assert changed.status_code == 200
    claims = claims_of(changed.json()["access_token"])
    assert (claims["acr"], claims["amr"]) == ("aal1", ["pwd"])
    assert claims["auth_time"] > int(clock().timestamp()) - 60


# Giving it.


async def test_the_password_alone_is_no_proof_any_more_and_costs_nothing(
    client: AsyncClient, server: Server, user: api.User, clock: TravellingClock
) -> None:
    _, headers = await weak(server, client, user, clock)
    for password in [api.PASSWORD, "Wrong-harbour-71-kettle!"] * 6:
        assert wants_more(await prove(client, headers, password=password))
    for fact in ("user.reauthenticated", "user.reauthentication_failed"):
        assert await events(server, fact) == []


@pytest.mark.asvs("V7.5.1")
async def test_password_and_code_make_a_proof_of_two_factors(
    client: AsyncClient, server: Server, user: api.User, clock: TravellingClock
) -> None:
    app, headers = await weak(server, client, user, clock)
    before = await session_row(server, sid_of(user.tokens))
    answer = await prove(client, headers, code=app.code())
    assert answer.status_code == 200, answer.text
    claims = claims_of(answer.json()["access_token"])
    assert (claims["acr"], claims["amr"]) == ("aal2", ["pwd", "otp"])
    assert claims["auth_time"] > before.authenticated_at.timestamp()
    better = api.bearer(answer.json())
    assert (await client.get("/auth/me/export", headers=better)).status_code == 200
    assert wants_more(await client.get("/auth/me/export", headers=headers))  # the older token says what it said
    clock.advance(FRESH + timedelta(seconds=5))
    assert wants_more(await client.get("/auth/me/export", headers=better))
    (event,) = await events(server, "user.reauthenticated")
    assert (event.session_id, event.data) == (sid_of(user.tokens), {"by": "pwd otp"})


async def test_a_recovery_code_does_as_well(client: AsyncClient, server: Server, user: api.User, clock: TravellingClock) -> None:
    _, headers = await enrol(client, clock, user.headers)
    codes = (await client.post("/auth/mfa/recovery-codes", headers=headers)).json()["codes"]
    clock.advance(FRESH + timedelta(seconds=5))
    answer = await prove(client, headers, recovery_code=codes[0])
    assert answer.status_code == 200, answer.text
    assert claims_of(answer.json()["access_token"])["acr"] == "aal2"
    assert code_of(await prove(client, headers, recovery_code=codes[0])) == (400, "proof_wrong")


@pytest.mark.asvs("V7.2.4")
async def test_by_cookie_the_cookie_is_a_new_one(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    browsing = await sign_in(server, client)
    app, _ = await enrol(client, clock, browsing.user.headers)
    cookie = await weak_browsing(server, client, browsing, clock)
    answer = await prove(client, {**cookie, **SAME}, code=app.code())
    assert answer.status_code == 200, answer.text
    after = {"Cookie": f"authkeep={answer.cookies['authkeep']}"}
    client.cookies.clear()
    assert (await client.get("/auth/me", headers=cookie)).status_code == 401
    assert (await client.get("/account/leave", headers=after)).status_code == 200


@pytest.mark.asvs("V6.5.1")
@pytest.mark.promise("P3")
async def test_one_code_is_one_proof_though_twenty_ask_on_two_replicas(
    app: FastAPI, client: AsyncClient, server: Server, user: api.User, clock: TravellingClock, env: dict[str, str]
) -> None:
    phone, headers = await weak(server, client, user, clock)
    code = phone.code()
    async with replica(env, clock) as other, client_of(other) as second:
        racing = [prove(each, headers, code=code) for _ in range(10) for each in (client, second)]
        answers = await asyncio.gather(*racing)
    assert {answer.status_code for answer in answers} <= {200, 400, 429, 503}
    assert sum(answer.status_code == 200 for answer in answers) == 1
    assert len(await events(server, "user.reauthenticated")) == 1


# Guessing.


async def guesses(server: Server, user: api.User) -> int:
    from app.tickets.repository import count_guesses

    async with server.database.read() as db:
        return await count_guesses(db, steps._tries_of(server.kit(AuthKit), uuid.UUID(user.id)))


@pytest.mark.asvs("V6.6.3")
async def test_who_does_not_know_the_password_uses_up_nobodys_tries(
    client: AsyncClient, server: Server, user: api.User, clock: TravellingClock
) -> None:
    """A stolen session must not keep its owner from signing in."""
    app, headers = await weak(server, client, user, clock)
    bodies: list[dict[str, Any]] = [{"code": "000000"}, {"recovery_code": "x"}, {"credential": {"id": "x"}}]
    for body in bodies:
        for _ in range(5):
            clock.advance(timedelta(minutes=16))
            headers = await renewed(server, user, clock)
            answer = await prove(client, headers, password="Wrong-harbour-71-kettle!", **body)
            assert code_of(answer) == (400, "password_wrong")
    clock.advance(timedelta(minutes=16))
    headers = await renewed(server, user, clock)
    alone = await client.post(PATH, json={"credential": {"id": "x"}}, headers=headers)
    assert code_of(alone) == (400, "proof_wrong")
    assert await guesses(server, user) == 0
    assert await log_in_by(client, user, app)


@pytest.mark.asvs("V6.6.3", "V6.3.1")
async def test_twenty_wrong_codes_in_a_day_count_with_those_of_logins(
    client: AsyncClient, server: Server, user: api.User, clock: TravellingClock
) -> None:
    app, headers = await weak(server, client, user, clock)
    for tried in range(20):
        clock.advance(timedelta(minutes=16))
        headers = await renewed(server, user, clock)
        assert code_of(await prove(client, headers, code="000000")) == (400, "proof_wrong"), tried
    clock.advance(timedelta(minutes=16))
    headers = await renewed(server, user, clock)
    assert code_of(await prove(client, headers, code=app.code())) == (429, "too_many_tries")
    first = await client.post("/auth/login", json={"username": user.username, "password": user.password})
    second = {"attempt": first.json()["attempt"], "code": app.code()}
    assert code_of(await client.post("/auth/login/totp", json=second)) == (429, "too_many_tries")
    assert len(await events(server, "user.second_factor.failed")) == 20


@pytest.mark.asvs("V2.2.1")
async def test_odd_proofs_are_refused(client: AsyncClient, user: api.User) -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"code": "123456"},
        {"recovery_code": "x"},
        {"password": api.PASSWORD, "code": "123456", "recovery_code": "x"},
        {"password": api.PASSWORD, "code": "123456", "credential": {}},
        {"password": api.PASSWORD, "code": 123456},
        {"password": api.PASSWORD, "code": ""},
        {"password": api.PASSWORD, "code": "1" * 65},
        {"password": api.PASSWORD, "code": "12\x00456"},
        {"password": api.PASSWORD, "credential": "x"},
        {"password": None, "credential": None},
        {"credential": []},
    ]
    for body in bodies:
        answer = await client.post(PATH, json=body, headers=user.headers)
        assert code_of(answer) == (422, "validation_error"), body
    for code in ("123456", "x", "١٢٣٤٥٦", "1" * 64):
        assert code_of(await prove(client, user.headers, code=code)) == (400, "proof_wrong"), code


# A proof that needs no password.


class Key:
    """Stands in for passkeys: `right` is the answer of a key of this session."""

    name = "passkey"

    def __init__(self, *, alone: bool) -> None:
        self.factor, self.alone, self.bound_to = uuid.uuid4(), alone, uuid.UUID(int=0)

    async def check(self, _db: Any, _user_id: uuid.UUID, bound_to: uuid.UUID, value: Any, *_: Any) -> Proved | None:
        self.bound_to = bound_to
        return Proved("passkey", "passkey", self.factor, "aal2-phr", self.alone) if value == {"id": "right"} else None


async def test_a_key_that_knows_its_owner_does_without_the_password(client: AsyncClient, server: Server, user: api.User) -> None:
    key = Key(alone=True)
    server.parts[SECOND_PROOFS] = [key]
    wrong = await client.post(PATH, json={"credential": {"id": "wrong"}}, headers=user.headers)
    assert code_of(wrong) == (400, "proof_wrong")
    answer = await client.post(PATH, json={"credential": {"id": "right"}}, headers=user.headers)
    assert answer.status_code == 200, answer.text
    claims = claims_of(answer.json()["access_token"])
    assert (claims["acr"], claims["amr"], key.bound_to) == ("aal2-phr", ["passkey"], sid_of(user.tokens))
    row = await session_row(server, sid_of(user.tokens))
    assert (row.opened_with, row.proved_with) == (None, f"passkey:{key.factor.hex}")
    assert len(await events(server, "user.reauthentication_failed")) == 1


async def test_one_that_does_not_is_no_proof_without_it(client: AsyncClient, server: Server, user: api.User) -> None:
    server.parts[SECOND_PROOFS] = [Key(alone=False)]
    right = {"credential": {"id": "right"}}
    assert code_of(await client.post(PATH, json=right, headers=user.headers)) == (400, "proof_wrong")
    answer = await prove(client, user.headers, **right)
    assert claims_of(answer.json()["access_token"])["amr"] == ["pwd", "passkey"]


# After enrolling, changing, losing.


async def caller_of(server: Server, user: api.User, cookie: str | None = None) -> Caller:
    session = await session_row(server, sid_of(user.tokens))
    async with server.database.read() as db:
        account = (await users.get_user(db, uuid.UUID(user.id))).account()
    return Caller(account, session.id, "", None, BROWSER, session.authenticated_at, session.acr, cookie)


async def test_enrolling_raises_the_session_that_did_it_and_moves_no_moment(
    client: AsyncClient, server: Server, user: api.User, clock: TravellingClock
) -> None:
    before = claims_of(user.tokens["access_token"])
    clock.advance(timedelta(minutes=5))
    _, headers = await enrol(client, clock, user.headers)
    after = claims_of(headers["Authorization"].removeprefix("Bearer "))
    assert (after["sid"], after["auth_time"]) == (before["sid"], before["auth_time"])
    assert (after["acr"], after["amr"]) == ("aal2", ["pwd", "otp"])
    assert (await client.post("/auth/mfa/recovery-codes", headers=headers)).status_code == 200
    assert wants_more(await client.post("/auth/mfa/recovery-codes", headers=user.headers))
    clock.advance(timedelta(minutes=5))
    assert wants_more(await client.post("/auth/mfa/recovery-codes", headers=headers))


@pytest.mark.asvs("V6.3.6")
async def test_a_session_rises_from_the_password_and_from_nothing_else(server: Server, user: api.User) -> None:
    """Not from mail, which is no factor; and what rests on another factor goes on to do so."""
    key = Proved("passkey", "passkey", uuid.uuid4(), "aal2-phr")
    for amr, acr, risen in (
        ("mail", "aal1", ("mail", "aal1", None)),
        ("mail otp", "aal1", ("mail otp", "aal1", None)),
        ("pwd otp", "aal2", ("pwd otp", "aal2", None)),
        ("passkey", "aal2-phr", ("passkey", "aal2-phr", None)),
        ("pwd", "aal1", ("pwd passkey", "aal2-phr", f"passkey:{key.factor.hex if key.factor else None}")),
    ):
        await prove_row(server, sid_of(user.tokens), acr, amr)
        caller = await caller_of(server, user)
        async with server.database.write() as db:
            await users.lock_user(db, caller.me.id)
            await proofs.raise_proof(db, server.kit(AuthKit), caller.me, caller, key, server.clock())
        row = await session_row(server, sid_of(user.tokens))
        assert (row.amr, row.acr, row.proved_with) == risen


async def test_a_change_of_password_keeps_what_the_session_rested_on(
    client: AsyncClient, server: Server, user: api.User, clock: TravellingClock
) -> None:
    """The second factor was not given anew: its moment stays."""
    _, headers = await enrol(client, clock, user.headers)
    before = claims_of(headers["Authorization"].removeprefix("Bearer "))
    clock.advance(timedelta(minutes=5))
    change = {"current_password": user.password, "new_password": NEW}
    answer = await client.post("/auth/change-password", json=change, headers=headers)
    assert answer.status_code == 200, answer.text
    after = claims_of(answer.json()["access_token"])
    assert after["sid"] != before["sid"]
    assert [after[name] for name in ("acr", "amr", "auth_time")] == [before[name] for name in ("acr", "amr", "auth_time")]
    clock.advance(timedelta(minutes=5))
    assert wants_more(await client.get("/auth/me/export", headers=api.bearer(answer.json())))


@pytest.mark.asvs("V6.5.6")
@pytest.mark.promise("P2")
async def test_losing_a_factor_ends_what_it_opened_or_proved_but_for_who_acts(
    client: AsyncClient, server: Server, user: api.User, clock: TravellingClock, env: dict[str, str]
) -> None:
    app, headers = await enrol(client, clock, user.headers)
    opened = await log_in_by(client, user, app)
    reproved = await log_in_by(client, user, app)
    await prove_row(server, sid_of(reproved), "aal2-phr", "passkey", proved_with=f"passkey:{uuid.uuid4().hex}")
    risen, other = await log_in_by(client, user, app), await log_in_by(client, user, app)
    await prove_row(server, sid_of(risen), opened_with=None)
    await prove_row(server, sid_of(other), "aal2-phr", "passkey", opened_with=None, proved_with=None)
    stranger = await proved(server, client)
    gone = await client.delete("/auth/mfa/totp", headers=headers)
    assert gone.status_code == 204, gone.text
    async with replica(env, clock) as second, client_of(second) as elsewhere:
        for each in (client, elsewhere):
            dead = [(await each.get("/auth/me", headers=api.bearer(tokens))).status_code for tokens in (opened, reproved, risen)]
            assert dead == [401] * 3
            for alive in (headers, api.bearer(other), api.bearer(stranger)):
                assert (await each.get("/auth/me", headers=alive)).status_code == 200
    reasons = [(await session_row(server, sid_of(tokens))).end_reason for tokens in (opened, reproved, risen)]
    assert reasons == ["factor_lost"] * 3


async def test_a_server_that_forgets_what_opened_a_session_is_found(
    client: AsyncClient, server: Server, user: api.User, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(steps, "factor_key", lambda *_: None)
    app, headers = await enrol(client, clock, user.headers)
    opened = await log_in_by(client, user, app)
    assert (await client.delete("/auth/mfa/totp", headers=headers)).status_code == 204
    assert (await client.get("/auth/me", headers=api.bearer(opened))).status_code == 200


async def test_a_proof_that_comes_after_the_end_is_none(
    client: AsyncClient, server: Server, user: api.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended between the check of the password and the last statement."""
    caller, kit = await caller_of(server, user), server.kit(AuthKit)
    check: Callable[..., Awaitable[tuple[int, bool]]] = proofs._check_password

    async def ended_meanwhile(*given: Any) -> tuple[int, bool]:
        found = await check(*given)
        assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
        return found

    monkeypatch.setattr(proofs, "_check_password", ended_meanwhile)
    with pytest.raises(Exception, match="token_invalid"):
        await proofs.reauthenticate(server.database, kit, caller, Given(api.PASSWORD), server.clock())
    assert await events(server, "user.reauthenticated") == []
    async with server.database.write() as db:
        with pytest.raises(Exception, match="token_invalid"):
            await proofs.renew_proof(db, kit, caller.me, caller, Proof(server.clock(), "pwd", "aal2"), server.clock())


# Admins.


@pytest.mark.asvs("V6.3.3")
@pytest.mark.parametrize("rule", ["optional", "admins", "required"])
async def test_admins_act_by_a_second_factor_where_they_must_have_one(
    settings: Any, clock: TravellingClock, env: dict[str, str], rule: str
) -> None:
    """A session of before the rule, or of a remembered browser, is good for what anybody may do, and no more."""
    async with replica(env, clock, MFA=rule) as app, client_of(app) as client:
        server: Server = app.state.server
        boss = await api.new_admin(app, client)
        assert (await client.get("/users/", headers=boss.headers)).status_code == 200  # in the grace
        phone, headers = await enrol(client, clock, boss.headers)
        assert (await client.get("/users/", headers=headers)).status_code == 200
        await prove_row(server, sid_of(boss.tokens), "aal1", "pwd")
        answer = await client.get("/users/", headers=await renewed(server, boss, clock))
        assert (answer.status_code == 200) == (rule == "optional")
        if rule != "optional":
            assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_user_authentication", acr_values="aal2"'
            again = await prove(client, await renewed(server, boss, clock), code=phone.code())
            assert (await client.get("/users/", headers=api.bearer(again.json()))).status_code == 200


@pytest.mark.asvs("V6.3.3")
async def test_past_the_grace_an_older_session_of_an_admin_without_a_factor_administers_nothing(
    clock: TravellingClock, env: dict[str, str]
) -> None:
    """The session was opened before there was the rule."""
    async with replica(env, clock) as app, client_of(app) as client:
        boss = await api.new_admin(app, client)
    async with replica(env, clock, MFA="admins", MFA_GRACE_DAYS="7") as app, client_of(app) as client:
        server: Server = app.state.server
        assert (await client.get("/users/", headers=await renewed(server, boss, clock))).status_code == 200
        clock.advance(timedelta(days=7, seconds=5))
        headers = await renewed(server, boss, clock)
        assert (await client.get("/users/", headers=headers)).status_code == 401
        assert (await client.get("/auth/me", headers=headers)).status_code == 200
