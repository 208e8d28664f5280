"""Logging in: by form or JSON, by username or address; one refusal for every failure; nothing opened behind a change.

A login that began before a change of password, role or status and ends after it opens no session (docs/adr/0003): the
tests hold it between the check of the password and the opening of the session, and each has a control.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import func, select

from app.audit.models import AuditEvent
from app.auth import service
from app.auth.models import LoginFailure, Session
from app.core.server import Server
from app.users import service as users
from app.users.models import User
from tests.auth.holding import Crowd, Gate, HookedPool, pool_of
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in

WRONG = "Wrong-harbour-71-kettle!"
NEXT = "Other-lantern-93-basket!"
LOGIN = "/auth/login"
Work = Callable[[], Awaitable[int]]


async def sessions_of(server: Server) -> list[Session]:
    async with server.database.read() as db:
        return list((await db.scalars(select(Session).order_by(Session.created_at))).all())


async def facts_of(server: Server) -> list[AuditEvent]:
    async with server.database.read() as db:
        events = await db.scalars(select(AuditEvent).where(AuditEvent.fact.startswith("user.login")).order_by(AuditEvent.id))
        return list(events.all())


def codes(response: Response) -> list[str]:
    return [error["code"] for error in response.json()["errors"]]


def identical(responses: list[Response]) -> bool:
    """Whether the answers can't be told apart, by status, header or body."""
    seen = {
        (one.status_code, one.content, tuple(pair for pair in one.headers.multi_items() if pair[0] != "x-request-id"))
        for one in responses
    }
    return len(seen) == 1


@pytest.mark.asvs("V14.3.2", "V15.3.1")
async def test_the_answer_is_a_pair_of_tokens_that_nobody_may_store(client: AsyncClient, server: Server) -> None:
    await api.register(client, "alice")
    response = await client.post(LOGIN, data={"username": "alice", "password": api.PASSWORD})
    assert response.status_code == 200, response.text
    body = response.json()
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "device"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 900)
    assert response.headers["cache-control"] == "no-store"
    assert (await client.get("/auth/me", headers=api.bearer(body))).json()["username"] == "alice"


async def test_username_and_address_are_taken_in_any_case_by_form_and_json(client: AsyncClient) -> None:
    await api.register(client, "Alice", "Alice.B@b\u00fccher.example")
    addresses = ["alice.b@xn--bcher-kva.example", "ALICE.B@B\u00dcCHER.EXAMPLE", "Alice.B@bu\u0308cher.example"]
    for name in ("alice", "ALICE", "aLiCe", *addresses):
        form = await client.post(LOGIN, data={"username": name, "password": api.PASSWORD})
        assert form.status_code == 200, (name, form.text)
        body = await client.post(LOGIN, json={"username": name, "password": api.PASSWORD})
        assert body.status_code == 200, (name, body.text)
    for address in addresses:
        body = await client.post(LOGIN, json={"email": address, "password": api.PASSWORD})
        assert body.status_code == 200, (address, body.text)


async def test_the_fields_of_an_oauth2_form_are_read_over(client: AsyncClient) -> None:
    await api.register(client, "alice")
    form = {"username": "alice", "password": api.PASSWORD, "grant_type": "password", "scope": "", "client_id": "x"}
    assert (await client.post(LOGIN, data=form)).status_code == 200
    assert (await client.post(LOGIN, data=form | {"client_secret": "", "device": ""})).status_code == 200
    charset = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    raw = f"username=alice&password={api.PASSWORD.replace('!', '%21')}"
    assert (await client.post(LOGIN, content=raw, headers=charset)).status_code == 200


@pytest.mark.asvs("V15.3.3", "V2.2.3")
async def test_json_names_one_account_and_nothing_else(client: AsyncClient, server: Server) -> None:
    await api.register(client, "alice")
    good = {"username": "alice", "password": api.PASSWORD}
    both = await client.post(LOGIN, json=good | {"email": "alice@example.com"})
    assert (both.status_code, codes(both)) == (422, ["one_identifier"])
    neither = await client.post(LOGIN, json={"password": api.PASSWORD})
    assert (neither.status_code, codes(neither)) == (422, ["one_identifier"])
    for extra in ({"role": "admin"}, {"grant_type": "password"}, {"amr": "otp"}):
        refused = await client.post(LOGIN, json=good | extra)
        assert (refused.status_code, codes(refused)) == (422, ["extra_forbidden"])
    assert await sessions_of(server) == []


@pytest.mark.asvs("V15.3.5", "V2.2.1", "V16.5.1")
async def test_a_login_that_is_none_is_refused_without_an_echo(client: AsyncClient, server: Server) -> None:
    for value in ("", "sesame\x00sesame", "sesame" * 171, 8675309, ["sesame"], {"sesame": 1}, None, True):
        for field in ("username", "email", "password"):
            if value is None and field != "password":
                continue  # the same as leaving it out
            other = {"password": api.PASSWORD} if field != "password" else {"username": "alice"}
            response = await client.post(LOGIN, json=other | {field: value})
            assert response.status_code == 422, (field, value)
            assert "sesame" not in response.text
            assert "8675309" not in response.text
    for content_type in ("text/plain", "multipart/form-data; boundary=x", "application/xml", ""):
        response = await client.post(LOGIN, content=b"sesame", headers={"Content-Type": content_type})
        assert response.status_code == 415, content_type
    for raw in (b"[1]", b"null", b'"x"', b"{", b"\xff", b'{"password": NaN}'):
        response = await client.post(LOGIN, content=raw, headers={"Content-Type": "application/json"})
        assert response.status_code == 422, raw
    for raw in (b"", b"username=alice", b"%ff", b"username=alice&password=%ff", b"\xff=1", b"&".join([b"a=b"] * 30)):
        response = await client.post(LOGIN, content=raw, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert response.status_code == 422, raw
    assert await facts_of(server) == []


@pytest.mark.promise("P8")
@pytest.mark.asvs("V6.3.8")
async def test_unknown_wrong_and_disabled_are_one_answer(client: AsyncClient, app: FastAPI) -> None:
    admin = await api.new_admin(app, client)
    await api.register(client, "alice")
    disabled = await api.register(client, "bob")
    deleted = await api.register(client, "carol")
    assert (await client.put(f"/users/{disabled['id']}/status", json={"active": False}, headers=admin.headers)).status_code == 200
    assert (await client.delete(f"/users/{deleted['id']}", headers=admin.headers)).status_code == 204
    async with client_of(app) as stranger:
        tries = [
            ("nobody", WRONG),
            ("no@body.example", WRONG),
            ("alice", WRONG),
            ("alice@example.com", WRONG),
            ("a\u00e9", WRONG),
        ]
        tries += [("bob", api.PASSWORD), ("bob", WRONG), ("bob@example.com", api.PASSWORD), ("carol", api.PASSWORD)]
        answers = [await stranger.post(LOGIN, json={"username": name, "password": password}) for name, password in tries]
        answers += [await stranger.post(LOGIN, data={"username": name, "password": password}) for name, password in tries]
    assert identical(answers)
    first = answers[0]
    assert (first.status_code, first.json()["code"]) == (401, "login_failed")
    assert first.headers["www-authenticate"].startswith("Bearer")
    assert first.headers["cache-control"] == "no-store"
    assert "set-cookie" not in first.headers


@pytest.mark.asvs("V6.2.8")
async def test_the_password_counts_as_it_was_typed(client: AsyncClient) -> None:
    await api.register(client, "alice", password=" Salt & Pepper ")
    for near in (
        "Salt & Pepper",
        " Salt & Pepper",
        " salt & pepper ",
        " Salt  & Pepper ",
        " Salt & Pepper \t",
        "+Salt & Pepper+",
    ):
        assert (await client.post(LOGIN, json={"username": "alice", "password": near})).status_code == 401, near
        await api.login(client, "alice", " Salt & Pepper ")


@pytest.mark.asvs("V16.3.1", "V16.2.1")
async def test_logins_and_failures_are_recorded(client: AsyncClient, server: Server) -> None:
    alice = uuid.UUID((await api.register(client, "alice"))["id"])
    agent = {"User-Agent": "tests/1.0"}
    await client.post(LOGIN, json={"username": "alice", "password": WRONG}, headers=agent)
    await client.post(LOGIN, json={"username": "nobody", "password": WRONG}, headers=agent)
    await client.post(LOGIN, json={"username": "alice", "password": api.PASSWORD}, headers=agent)
    events = await facts_of(server)
    failed, succeeded = "user.login.failed", "user.login.succeeded"
    assert [(event.fact, event.subject_id) for event in events] == [(failed, alice), (failed, None), (succeeded, alice)]
    assert {(event.address, event.user_agent) for event in events} == {("127.0.0.1", "tests/1.0")}
    assert all(event.request_id for event in events)
    assert not [event.data for event in events if "nobody" in str(event.data) or WRONG in str(event.data)]


async def test_a_login_opens_one_session_of_thirty_days(client: AsyncClient, server: Server) -> None:
    account = await api.register(client, "alice")
    answer = await client.post(LOGIN, json={"username": "alice", "password": api.PASSWORD}, headers={"User-Agent": "tests/1.0"})
    assert answer.status_code == 200
    (session,) = await sessions_of(server)
    assert (str(session.user_id), session.generation, session.amr) == (account["id"], 0, "pwd")
    assert (session.address, session.user_agent, session.ended_at) == ("127.0.0.1", "tests/1.0", None)
    assert (session.expires_at - session.created_at).days == 30
    async with server.database.read() as db:
        assert await db.scalar(select(User.last_login_at)) == session.created_at


@pytest.mark.asvs("V7.2.2", "V7.2.4")
async def test_each_login_is_a_session_of_its_own(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    again = await api.login(client, user.username)
    assert again["access_token"] != user.tokens["access_token"]
    assert again["refresh_token"] != user.tokens["refresh_token"]
    assert len({session.id for session in await sessions_of(server)}) == 2
    assert (await client.post("/auth/logout", headers=api.bearer(again))).status_code == 204
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200


@pytest.mark.asvs("V6.2.10")
async def test_a_password_does_not_grow_old(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    clock.advance(seconds=400 * 86400)
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 401
    assert (await api.login(client, user.username))["access_token"]


# A change that happens while a login is on its way.


@asynccontextmanager
async def login_held(app: FastAPI, server: Server, name: str, password: str = api.PASSWORD) -> Any:
    """A login that has proved its password and waits to open its session; call what is yielded to let it go."""
    gate = Gate()
    async with pool_of(server, after=gate), client_of(app) as other:
        under_way = asyncio.create_task(other.post(LOGIN, json={"username": name, "password": password}))
        await gate.reached.wait()

        async def let_go() -> Response:
            gate.opened.set()
            return await under_way

        try:
            yield let_go
        finally:
            await let_go()


Change = Callable[..., Awaitable[None]]


async def change_password(client: AsyncClient, user: api.User, **_: Any) -> None:
    body = {"current_password": user.password, "new_password": NEXT}
    assert (await client.post("/auth/change-password", json=body, headers=user.headers)).status_code == 200


async def reset(client: AsyncClient, user: api.User, *, smtp: SmtpServer, clock: TravellingClock, work: Work, **_: Any) -> None:
    assert (await client.post("/auth/forgot-password", json={"email": user.email})).status_code == 202
    clock.advance(seconds=3)
    await work()
    (token,) = [link.partition("token=")[2] for link in links_in(smtp.wait_for(user.email)) if "token=" in link]
    body = {"token": token, "new_password": NEXT}
    assert (await client.post("/auth/reset-password", json=body)).status_code == 204


async def promote(client: AsyncClient, user: api.User, *, admin: api.User, **_: Any) -> None:
    body = {"role": "admin"}
    assert (await client.put(f"/users/{user.id}/role", json=body, headers=admin.headers)).status_code == 200


async def disable(client: AsyncClient, user: api.User, *, admin: api.User, **_: Any) -> None:
    body = {"active": False}
    assert (await client.put(f"/users/{user.id}/status", json=body, headers=admin.headers)).status_code == 200


async def disable_and_enable(client: AsyncClient, user: api.User, *, admin: api.User, **_: Any) -> None:
    for active in (False, True):
        answer = await client.put(f"/users/{user.id}/status", json={"active": active}, headers=admin.headers)
        assert answer.status_code == 200


async def delete(client: AsyncClient, user: api.User, *, admin: api.User, **_: Any) -> None:
    assert (await client.delete(f"/users/{user.id}", headers=admin.headers)).status_code == 204


CHANGES: list[Change] = [change_password, reset, promote, disable, disable_and_enable, delete]


async def race(
    change: Change, client: AsyncClient, app: FastAPI, server: Server, clock: TravellingClock, smtp: SmtpServer, work: Work
) -> tuple[Response, list[Session]]:
    """A login of somebody's that ends after the change; its answer, and which of their sessions are alive."""
    admin = await api.new_admin(app, client)
    user = await api.new_user(client)
    async with login_held(app, server, user.username) as let_go:
        await change(client, user, admin=admin, smtp=smtp, clock=clock, work=work)
        alive_before = {session.id for session in await sessions_of(server) if session.ended_at is None}
        answer = await let_go()
    opened = [one for one in await sessions_of(server) if one.ended_at is None and one.id not in alive_before]
    return answer, opened


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.2", "V15.4.2")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("no_welcome_mail")
async def test_a_login_begun_before_a_change_and_ended_after_it_opens_no_session(
    change: Change,
    client: AsyncClient,
    app: FastAPI,
    server: Server,
    clock: TravellingClock,
    smtp: SmtpServer,
    work: Work,
) -> None:
    answer, opened = await race(change, client, app, server, clock, smtp, work)
    assert (answer.status_code, answer.json()["code"]) == (401, "login_failed")
    assert opened == []
    assert (await facts_of(server))[-1].fact == "user.login.failed"


@pytest.mark.parametrize("change", [change for change in CHANGES if change is not delete])
@pytest.mark.usefixtures("no_welcome_mail")
async def test_control_without_the_second_look_such_a_login_opens_a_session(
    change: Change,
    client: AsyncClient,
    app: FastAPI,
    server: Server,
    clock: TravellingClock,
    smtp: SmtpServer,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    async def take_as_it_is(db: Any, before: Any, _now: Any) -> Any:
        user = await users.lock_user(db, before.id)
        return user.account() if user else None

    monkeypatch.setattr(service, "_touch_unchanged", take_as_it_is)
    answer, opened = await race(change, client, app, server, clock, smtp, work)
    assert answer.status_code == 200
    assert len(opened) == 1


async def test_a_login_ended_before_the_change_is_ended_by_it(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    other = await api.login(client, user.username)
    await change_password(client, user)
    assert (await client.get("/auth/me", headers=api.bearer(other))).status_code == 401


# Work that is dear: it holds nothing, and there is only so much of it.


async def open_transactions(server: Server) -> int:
    """How many connections are in use."""
    engines = {id(engine): engine for engine in (server.database._writer, server.database._reader)}
    return sum(engine.pool.checkedout() for engine in engines.values())  # type: ignore[attr-defined]  # declared by the pools that have it


@pytest.mark.asvs("V15.2.2", "V15.4.4")
async def test_while_sixteen_logins_hash_everybody_else_is_served(client: AsyncClient, app: FastAPI, server: Server) -> None:
    users = [await api.new_user(client) for _ in range(2)]
    crowd = Crowd(17)  # sixteen logins, and the test, which comes last
    async with pool_of(server, before=crowd) as pool, client_of(app) as other:
        names = [users[0].username] + [f"nobody{number}" for number in range(15)]
        logins = [asyncio.create_task(other.post(LOGIN, json={"username": name, "password": api.PASSWORD})) for name in names]
        await until(lambda: pool.done["check"] == 16)
        assert await open_transactions(server) == 0
        assert (await client.get("/auth/me", headers=users[0].headers)).status_code == 200
        assert (await client.post("/auth/logout", headers=users[1].headers)).status_code == 204
        assert not [login for login in logins if login.done()]
        await crowd("check")
        answers = await asyncio.gather(*logins)
    assert [answer.status_code for answer in answers] == [200] + [401] * 15


async def test_control_a_login_that_holds_its_connection_is_noticed(
    client: AsyncClient, app: FastAPI, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.register(client, "alice")
    right = service.log_in

    async def holding(database: Any, *args: Any, **more: Any) -> Any:
        async with database.read() as db:
            await db.execute(select(func.count()).select_from(User))
            return await right(database, *args, **more)

    monkeypatch.setattr(service, "log_in", holding)
    async with login_held(app, server, "alice") as let_go:
        assert await open_transactions(server) == 1
        assert (await let_go()).status_code == 200


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


@pytest.mark.asvs("V15.2.2", "V2.4.1")
async def test_a_full_queue_sheds_before_any_look_up(client: AsyncClient, app: FastAPI, server: Server) -> None:
    user = await api.new_user(client)
    crowd = Crowd(10)  # nine places for one thread, and the test
    async with pool_of(server, before=crowd, threads=1) as pool, client_of(app) as other:
        waiting = [
            asyncio.create_task(other.post(LOGIN, json={"username": f"nobody{number}", "password": WRONG})) for number in range(9)
        ]
        await until(lambda: pool.done["check"] == 9)
        rows = await counted(server)
        shed = [
            await client.post(LOGIN, json={"username": user.username, "password": api.PASSWORD}),
            await client.post(LOGIN, json={"username": "nobody", "password": WRONG}),
        ]
        registration = {"username": "bob", "email": "bob@example.com", "password": api.PASSWORD}
        shed.append(await client.post("/auth/register", json=registration))
        assert identical(shed)
        assert (shed[0].status_code, shed[0].json()["code"]) == (503, "overloaded")
        assert int(shed[0].headers["retry-after"]) >= 1
        assert await counted(server) == rows
        assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
        await crowd("check")
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {401}
        assert (await client.post(LOGIN, json={"username": user.username, "password": api.PASSWORD})).status_code == 200


async def counted(server: Server) -> tuple[int, int]:
    """How many failures and security events have been written down."""
    async with server.database.read() as db:
        failures = await db.scalar(select(func.count()).select_from(LoginFailure))
        events = await db.scalar(select(func.count()).select_from(AuditEvent))
    return failures or 0, events or 0


def test_the_pool_has_nine_places_a_thread() -> None:
    pool = HookedPool(threads=2)
    from contextlib import ExitStack

    from app.core.errors import Overloaded

    with ExitStack() as stack:
        for _ in range(18):
            stack.enter_context(pool.place())
        with pytest.raises(Overloaded), pool.place():
            pass
    with pool.place():  # given back
        pass
