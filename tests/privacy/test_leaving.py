"""DELETE /auth/me: access ends at once, a sign-in within seven days brings the account back, later nothing does."""

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import delete, update

from app.core.server import Server
from app.models import Job, User
from app.users import holding
from tests.auth.holding import Gate, pool_of
from tests.auth.scene import assert_dead, events, execute, session_row, sid_of, status_of, two_clients
from tests.mail.postman import NEW_PASSWORD, Postman, near, rows_of, token_in
from tests.privacy.scene import WEEK, Work, leave, left
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, text_of


async def login_status(client: AsyncClient, user: api.User, password: str | None = None) -> int:
    client.cookies.clear()
    form = {"username": user.username, "password": password or user.password}
    return (await client.post("/auth/login", data=form)).status_code


async def user_row(server: Server, user: api.User) -> dict[str, Any]:
    (row,) = [row for row in await rows_of(server, "users") if str(row["id"]) == user.id]
    return row


async def is_there(server: Server, user: api.User) -> bool:
    return user.id in {str(row["id"]) for row in await rows_of(server, "users")}


@pytest.mark.promise("P2", "P10")
@pytest.mark.asvs("V7.4.2")
async def test_leaving_ends_every_session_at_once_and_says_when_all_is_gone(
    client: AsyncClient, server: Server, clock: TravellingClock, work: Work, smtp: SmtpServer
) -> None:
    user = await api.new_user(client)
    second = await api.login(client, user.username)
    erased_at = await left(client, user.headers)
    assert near(erased_at, clock() + WEEK, seconds=10)
    for tokens in (user.tokens, second):
        await assert_dead(client, tokens)
        assert (await session_row(server, sid_of(tokens))).end_reason == "left"
    assert await rows_of(server, "known_devices") == []
    (event,) = await events(server, "user.leaving.started")
    assert (str(event.actor_id), str(event.subject_id), event.session_id) == (user.id, user.id, sid_of(user.tokens))
    await work()
    letter = text_of(await smtp.wait_for_async(user.email, subject="Your account will be erased"))
    assert user.username in letter
    assert f"{erased_at:%Y-%m-%d %H:%M} UTC" in letter


async def test_a_link_mailed_before_is_void(client: AsyncClient, postman: Postman) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    await left(client, user.headers)
    assert (await postman.reset(token)).status_code == 400


async def test_it_wants_a_fresh_proof_and_a_live_session(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    clock.advance(seconds=601)
    answer = await leave(client, user.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication")
    assert (await leave(client, {})).status_code == 401
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    assert (await leave(client, user.headers)).json()["code"] == "token_invalid"
    assert (await user_row(server, user))["leaving_at"] is None


async def test_a_browser_gives_its_cookie_back(client: AsyncClient) -> None:
    user = await api.new_user(client)
    form = {"username": user.username, "password": user.password, "transport": "cookie"}
    tokens = (await client.post("/auth/login", json=form)).json()
    answer = await leave(client, api.bearer(tokens))
    assert answer.status_code == 202
    assert 'authkeep-refresh=""' in answer.headers["set-cookie"]


async def test_the_last_admin_stays(app: FastAPI, client: AsyncClient, server: Server) -> None:
    one = await api.new_admin(app, client)
    answer = await leave(client, one.headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    assert [(str(each.subject_id), each.data) for each in await events(server, "access.denied")] == [
        (one.id, {"reason": "last_admin"})
    ]
    assert await status_of(client, one.tokens, "/users/") == 200
    two = await api.new_admin(app, client)
    await left(client, two.headers)
    # An admin who is leaving administers nothing: the other is the last again, on every path.
    assert (await leave(client, one.headers)).status_code == 409
    for method, path, body in (
        ("PUT", f"/users/{one.id}/role", {"role": "user"}),
        ("PUT", f"/users/{one.id}/status", {"active": False}),
        ("DELETE", f"/users/{one.id}", None),
    ):
        assert (await client.request(method, path, json=body, headers=one.headers)).status_code == 409
    assert (await client.delete(f"/users/{two.id}", headers=one.headers)).status_code == 204


async def test_two_admins_who_leave_at_once_never_leave_nobody(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock
) -> None:
    users = [await api.new_admin(app, client) for _ in range(2)]
    async with two_clients(app, env, clock) as clients:
        for _ in range(5):
            tokens = [await api.login(client, user.username) for user in users]
            asks = (leave(each, api.bearer(pair)) for each, pair in zip(clients, tokens, strict=True))
            statuses = sorted([answer.status_code for answer in await asyncio.gather(*asks)])
            assert statuses == [202, 409]


@pytest.mark.promise("P3")
async def test_leaving_twice_at_once_is_leaving_once(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    pairs = [user.tokens, await api.login(client, user.username)]
    async with two_clients(app, env, clock) as clients:
        answers = await asyncio.gather(*(leave(clients[n % 2], api.bearer(pairs[n % 2])) for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] + [401] * 19
    assert len(await events(server, "user.leaving.started")) == 1
    assert len([row for row in await rows_of(server, "jobs") if row["kind"] == "erasure"]) == 1


async def test_without_reading_the_session_again_one_would_leave_several_times(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a server broken on purpose, to which a session that was alive when the request came is alive for good."""

    async def believe(*_: Any) -> None: ...

    monkeypatch.setattr(holding, "confirm", believe)
    user = await api.new_user(client)
    answers = await asyncio.gather(*(leave(client, user.headers) for _ in range(20)))
    assert sum(answer.status_code == 202 for answer in answers) > 1
    assert len(await events(server, "user.leaving.started")) > 1


@pytest.mark.parametrize("after", [timedelta(0), WEEK - timedelta(seconds=5)])
async def test_signing_in_brings_the_account_back(
    after: timedelta, client: AsyncClient, server: Server, clock: TravellingClock, work: Work, smtp: SmtpServer
) -> None:
    user = await api.new_user(client)
    await client.patch("/auth/me", json={"display_name": "Stays"}, headers=user.headers)
    await left(client, user.headers)
    clock.advance(after)
    await work()
    tokens = await api.login(client, user.username)
    account = (await client.get("/auth/me", headers=api.bearer(tokens))).json()
    assert (account["id"], account["display_name"]) == (user.id, "Stays")
    await assert_dead(client, user.tokens)
    assert await login_status(client, user) == 200
    (event,) = await events(server, "user.leaving.cancelled")  # once, by the first of the two
    assert (str(event.actor_id), str(event.subject_id)) == (user.id, user.id)
    clock.advance(WEEK * 2)
    await work()
    assert (await user_row(server, user))["leaving_at"] is None
    assert await events(server, "user.erased") == []
    letter = await smtp.wait_for_async(user.email, subject="Your account stays")
    assert user.username in text_of(letter)


async def test_who_leaves_again_has_seven_days_again(
    client: AsyncClient, server: Server, clock: TravellingClock, work: Work
) -> None:
    user = await api.new_user(client)
    await left(client, user.headers)
    clock.advance(timedelta(days=6))
    tokens = await api.login(client, user.username)
    await left(client, api.bearer(tokens))
    clock.advance(timedelta(days=6))  # the first erasure is due, and does nothing
    await work()
    assert await is_there(server, user)
    clock.advance(timedelta(days=1, seconds=1))
    await work()
    assert not await is_there(server, user)


async def test_a_wrong_password_brings_nothing_back(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    await left(client, user.headers)
    assert await login_status(client, user, "wrong but long enough 1!") == 401
    assert (await user_row(server, user))["leaving_at"] is not None


async def test_a_reset_alone_brings_nothing_back_but_the_login_after_it_does(
    client: AsyncClient, server: Server, postman: Postman
) -> None:
    user = await api.new_user(client)
    await left(client, user.headers)
    assert (await postman.reset(await postman.fetch_token(user.email))).status_code == 204
    assert (await user_row(server, user))["leaving_at"] is not None
    assert await login_status(client, user, NEW_PASSWORD) == 200
    assert (await user_row(server, user))["leaving_at"] is None


@pytest.mark.env(MAGIC_LINK="true")
async def test_a_sign_in_by_a_mailed_link_brings_the_account_back_but_not_after_seven_days(
    client: AsyncClient, server: Server, postman: Postman, smtp: SmtpServer
) -> None:
    user, late = await api.new_user(client), await api.new_user(client)
    answers = []
    for who in (user, late):
        await left(client, who.headers)
        await client.post("/auth/magic-link", json={"email": who.email})
        await postman.deliver()
        token = token_in(await smtp.wait_for_async(who.email, subject="Sign in to your account"))
        if who is late:
            past = server.clock() - WEEK
            await execute(server, update(User).where(User.id == uuid.UUID(late.id)).values(leaving_at=past))
        answers.append(await client.post("/auth/magic-link/verify", json={"token": token}))
    assert [answer.status_code for answer in answers] == [200, 400], answers[0].text
    assert (await user_row(server, user))["leaving_at"] is None
    assert (await user_row(server, late))["leaving_at"] is not None
    assert [str(event.subject_id) for event in await events(server, "user.leaving.cancelled")] == [user.id]


async def test_a_disabled_account_does_not_come_back(app: FastAPI, client: AsyncClient, server: Server) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)
    await left(client, user.headers)
    shown = (await client.get(f"/users/{user.id}", headers=admin.headers)).json()
    assert datetime.fromisoformat(shown["leaving_at"]) == (await user_row(server, user))["leaving_at"]
    await client.put(f"/users/{user.id}/status", json={"active": False}, headers=admin.headers)
    assert await login_status(client, user) == 401
    assert (await user_row(server, user))["leaving_at"] is not None


@pytest.mark.promise("P8")
async def test_after_seven_days_nothing_opens_it_although_it_is_not_erased_yet(
    client: AsyncClient, server: Server, clock: TravellingClock, postman: Postman, smtp: SmtpServer
) -> None:
    user = await api.new_user(client)
    await left(client, user.headers)
    token = await postman.fetch_token(user.email)
    week_ago = clock() - WEEK
    await execute(server, update(User).where(User.id == uuid.UUID(user.id)).values(leaving_at=week_ago))
    unknown = await client.post("/auth/login", data={"username": "nobody71", "password": user.password})
    refused = await client.post("/auth/login", data={"username": user.username, "password": user.password})
    assert (refused.status_code, refused.content) == (unknown.status_code, unknown.content)
    assert refused.json()["code"] == "login_failed"
    assert (await postman.reset(token)).json()["code"] == "ticket_invalid"
    mails = len(smtp.sent_to(user.email))
    await postman.ask(user.email)
    await execute(server, delete(Job).where(Job.kind == "erasure"))  # as if the worker had lost it
    await postman.deliver()
    assert len(smtp.sent_to(user.email)) == mails
    assert await is_there(server, user)


@pytest.mark.promise("P2")
async def test_a_login_that_began_before_opens_nothing(client: AsyncClient, server: Server) -> None:
    """The password was right and already checked when its owner left: that login takes nothing back."""
    user = await api.new_user(client)
    gate = Gate()
    async with pool_of(server, after=gate):
        login = asyncio.create_task(
            client.post("/auth/login", data={"username": user.username, "password": user.password}),
        )
        await gate.reached.wait()
        await left(client, user.headers)
        gate.opened.set()
        assert (await login).status_code == 401
    assert (await user_row(server, user))["leaving_at"] is not None
