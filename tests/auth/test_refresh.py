"""Refresh: a generation has at most one successor, a quick repeat is forgiven, theft ends the session once (promise P3)."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import delete, update

from app.auth.models import Session
from app.core.server import Server
from app.users.models import User
from tests.auth.scene import (
    assert_dead,
    claims_of,
    end_in_database,
    events,
    execute,
    refresh,
    session_row,
    sid_of,
    status_of,
    two_clients,
)
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer

Work = Callable[[], Awaitable[int]]
SUBJECT = "You were signed out for your safety"
THEFT, FROM_FUTURE = "session.theft_detected", "session.newer_than_database"


async def alarms(server: Server, session_id: uuid.UUID) -> Counter[str]:
    return Counter({fact: len(await events(server, fact, session_id=session_id)) for fact in (THEFT, FROM_FUTURE)})


async def test_a_refresh_gives_a_new_pair_for_the_same_session(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    answer = await refresh(client, user.tokens)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    fresh = answer.json()
    assert fresh.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (fresh["token_type"], fresh["expires_in"]) == ("bearer", 900)
    before, after = claims_of(user.tokens["refresh_token"]), claims_of(fresh["refresh_token"])
    assert (before["gen"], after["gen"]) == (0, 1)
    assert before["jti"] != after["jti"]
    assert {name: before[name] for name in ("iss", "aud", "sub", "sid", "exp")} == {
        name: after[name] for name in ("iss", "aud", "sub", "sid", "exp")
    }
    assert claims_of(fresh["access_token"])["jti"] != claims_of(user.tokens["access_token"])["jti"]
    assert await status_of(client, fresh) == 200
    assert (await session_row(server, sid_of(fresh))).generation == 1


async def test_a_session_can_be_refreshed_over_and_over(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    tokens = (await api.new_user(client)).tokens
    for generation in range(1, 6):
        clock.advance(seconds=60)
        tokens = (await refresh(client, tokens)).json()
        assert claims_of(tokens["refresh_token"])["gen"] == generation
    assert await status_of(client, tokens) == 200


@pytest.mark.promise("P3")
@pytest.mark.asvs("V2.3.4")
async def test_twenty_parallel_uses_on_two_replicas_make_one_successor(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock
) -> None:
    tokens = (await api.new_user(client)).tokens
    async with two_clients(app, env, clock) as clients:
        for generation in range(1, 4):
            answers = await asyncio.gather(*(refresh(clients[n % 2], tokens) for n in range(20)))
            assert [answer.status_code for answer in answers] == [200] * 20
            assert len({answer.json()["refresh_token"] for answer in answers}) == 1
            assert len({answer.json()["access_token"] for answer in answers}) == 20
            tokens = answers[0].json()
            assert claims_of(tokens["refresh_token"])["gen"] == generation
            assert (await session_row(server, sid_of(tokens))).generation == generation
        assert await status_of(clients[1], tokens) == 200


@pytest.mark.promise("P3", "P10")
@pytest.mark.asvs("V2.3.4")
@pytest.mark.usefixtures("no_welcome_mail")
async def test_of_twenty_thieves_at_once_one_gets_a_successor_and_the_session_ends_once(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock, smtp: SmtpServer, work: Work
) -> None:
    user = await api.new_user(client)
    async with two_clients(app, env, clock) as clients:
        answers = await asyncio.gather(*(refresh(clients[n % 2], user.tokens, agent=f"thief {n}") for n in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 19}
    sid = sid_of(user.tokens)
    row = await session_row(server, sid)
    assert (row.generation, row.end_reason) == (1, "theft")
    assert await alarms(server, sid) == {THEFT: 1, FROM_FUTURE: 0}
    (winner,) = (answer.json() for answer in answers if answer.status_code == 200)
    await assert_dead(client, winner)
    clock.advance(seconds=3)
    await work()
    assert [(mail["Delivered-To"], mail["Subject"]) for mail in smtp.messages] == [(user.email, SUBJECT)]


async def test_a_quick_repeat_gets_the_same_refresh_token_again(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    first = (await refresh(client, user.tokens)).json()
    clock.advance(seconds=8)
    second = (await refresh(client, user.tokens)).json()
    assert second["refresh_token"] == first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert (await session_row(server, sid_of(first))).generation == 1
    assert [await status_of(client, pair) for pair in (first, second)] == [200, 200]
    third = (await refresh(client, second)).json()
    assert claims_of(third["refresh_token"])["gen"] == 2


@pytest.mark.asvs("V7.4.1")
@pytest.mark.usefixtures("no_welcome_mail")
async def test_a_spent_refresh_token_ends_the_session_after_the_grace(
    client: AsyncClient, server: Server, clock: TravellingClock, smtp: SmtpServer, work: Work
) -> None:
    user = await api.new_user(client)
    other = await api.login(client, user.username)
    fresh = (await refresh(client, user.tokens)).json()
    clock.advance(seconds=10.5)
    refused = await refresh(client, user.tokens)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    await assert_dead(client, fresh)
    for _ in range(3):
        assert (await refresh(client, user.tokens)).status_code == 401
    sid = sid_of(fresh)
    assert (await session_row(server, sid)).end_reason == "theft"
    assert await alarms(server, sid) == {THEFT: 1, FROM_FUTURE: 0}
    (event,) = await events(server, THEFT)
    assert (str(event.subject_id), event.address) == (user.id, "127.0.0.1")
    clock.advance(seconds=3)
    await work()
    mail = smtp.wait_for(user.email)
    assert mail["Subject"] == SUBJECT
    assert len(smtp.messages) == 1
    assert await status_of(client, other) == 200


async def test_an_older_generation_than_the_last_is_theft_even_at_once(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    first = (await refresh(client, user.tokens)).json()
    second = (await refresh(client, first)).json()
    assert (await refresh(client, user.tokens)).status_code == 401
    await assert_dead(client, second)
    assert await alarms(server, sid_of(second)) == {THEFT: 1, FROM_FUTURE: 0}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("203.0.113.5", "203.0.113.250", True),
        ("203.0.113.5", "203.0.114.5", False),
        ("2001:db8:1:aaaa::1", "2001:db8:1:bbbb::9", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("203.0.113.5", "::ffff:203.0.113.9", True),
        ("203.0.113.5", "2001:db8:1::1", False),
    ],
)
async def test_the_grace_is_for_the_same_neighbourhood(
    app: FastAPI, client: AsyncClient, server: Server, first: str, second: str, same: bool
) -> None:
    user = await api.new_user(client)
    async with client_of(app, first) as one, client_of(app, second) as two:
        fresh = (await refresh(one, user.tokens)).json()
        repeat = await refresh(two, user.tokens)
    if same:
        assert repeat.json()["refresh_token"] == fresh["refresh_token"]
        assert await status_of(client, fresh) == 200
    else:
        assert repeat.status_code == 401
        await assert_dead(client, fresh)
    assert await alarms(server, sid_of(fresh)) == {THEFT: 0 if same else 1, FROM_FUTURE: 0}


async def test_the_grace_is_for_the_same_user_agent(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    fresh = (await refresh(client, user.tokens, agent="Firefox")).json()
    assert (await refresh(client, user.tokens, agent="Firefox")).json()["refresh_token"] == fresh["refresh_token"]
    assert (await refresh(client, user.tokens, agent="curl")).status_code == 401
    await assert_dead(client, fresh)
    assert await alarms(server, sid_of(fresh)) == {THEFT: 1, FROM_FUTURE: 0}


@pytest.mark.promise("P2", "P3")
async def test_a_token_newer_than_the_database_ends_the_session_with_an_alarm_of_its_own(
    client: AsyncClient, server: Server
) -> None:
    user = await api.new_user(client)
    fresh = (await refresh(client, user.tokens)).json()
    sid = sid_of(fresh)
    await execute(server, update(Session).where(Session.id == sid).values(generation=0))  # an older backup came back
    assert (await refresh(client, fresh)).status_code == 401
    row = await session_row(server, sid)
    assert (row.generation, row.end_reason) == (0, "newer_than_database")
    assert await alarms(server, sid) == {THEFT: 0, FROM_FUTURE: 1}
    await assert_dead(client, fresh)
    await assert_dead(client, user.tokens)
    assert await alarms(server, sid) == {THEFT: 0, FROM_FUTURE: 1}


async def test_a_dead_session_is_refused_without_alarm(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    expired, ended, missing, disabled, deleted = [await api.new_user(client) for _ in range(5)]
    for user in (ended, missing):  # also with a spent token of theirs: the state of the session decides first
        await refresh(client, user.tokens)
    await end_in_database(server, sid_of(ended.tokens), clock())
    await execute(server, delete(Session).where(Session.id == sid_of(missing.tokens)))
    await execute(server, update(User).where(User.id == uuid.UUID(disabled.id)).values(disabled_at=clock()))
    await execute(server, delete(User).where(User.id == uuid.UUID(deleted.id)))
    await execute(server, update(Session).where(Session.id == sid_of(expired.tokens)).values(expires_at=clock()))
    clock.advance(seconds=11)
    for user in (expired, ended, missing, disabled, deleted):
        await assert_dead(client, user.tokens)
    for fact in (THEFT, FROM_FUTURE):
        assert await events(server, fact) == []
    for user in (expired, disabled, deleted):
        assert (await session_row(server, sid_of(user.tokens))).generation == 0


@pytest.mark.asvs("V7.3.2")
async def test_the_absolute_expiry_never_moves(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    tokens = (await api.new_user(client)).tokens
    sid, end = sid_of(tokens), claims_of(tokens["refresh_token"])["exp"]
    expires_at = (await session_row(server, sid)).expires_at
    assert expires_at - (await session_row(server, sid)).created_at == timedelta(days=30)
    for _ in range(29):
        clock.advance(timedelta(days=1))
        tokens = (await refresh(client, tokens)).json()
        assert claims_of(tokens["refresh_token"])["exp"] == end
    clock.advance(timedelta(days=1) - timedelta(minutes=5))
    last = (await refresh(client, tokens)).json()
    assert claims_of(last["access_token"])["exp"] == claims_of(last["refresh_token"])["exp"] == end
    assert 0 < last["expires_in"] <= 300
    assert (await session_row(server, sid)).expires_at == expires_at
    assert await status_of(client, last) == 200
    clock.advance(timedelta(minutes=5))
    await assert_dead(client, last)
    assert await events(server, THEFT) == []


@pytest.mark.asvs("V8.3.1")
async def test_the_role_in_the_token_follows_the_row(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    assert claims_of(user.tokens["access_token"])["role"] == "user"
    await api.make_admin(app, user.username)
    fresh = (await refresh(client, user.tokens)).json()
    assert claims_of(fresh["access_token"])["role"] == "admin"
    assert (await client.get("/auth/me", headers=user.headers)).json()["role"] == "admin"  # the row, not the old claim


@pytest.mark.asvs("V9.2.2")
async def test_the_kinds_of_token_never_stand_in_for_each_other(client: AsyncClient) -> None:
    user = await api.new_user(client)
    swapped = {"access_token": user.tokens["refresh_token"], "refresh_token": user.tokens["access_token"]}
    await assert_dead(client, swapped)
    reset = {"token": user.tokens["refresh_token"], "new_password": "quite another 1!"}
    assert (await client.post("/auth/reset-password", json=reset)).json()["code"] == "ticket_invalid"
    out = await client.post("/auth/logout", headers=api.bearer(swapped), json={"refresh_token": swapped["refresh_token"]})
    assert out.status_code == 401
    assert await status_of(client, user.tokens) == 200


async def test_a_refresh_token_with_another_users_name_in_it_is_refused(client: AsyncClient, server: Server) -> None:
    """Even were one signed so: the session's row knows whose it is."""
    from app.auth.deps import AuthKit
    from app.core.ports import SessionFacts

    victim, other = await api.new_user(client), await api.new_user(client)
    row = await session_row(server, sid_of(victim.tokens))
    async with server.database.read() as db:
        account = (await db.get_one(User, uuid.UUID(other.id))).account()
    facts = SessionFacts(row.id, row.generation, row.rotated_at, row.created_at, row.expires_at, row.amr)
    kit = server.kit(AuthKit)
    forged = {
        "access_token": kit.tokens.write_access(account, facts, server.clock()),
        "refresh_token": kit.tokens.write_refresh(account, facts),
    }
    await assert_dead(client, forged)
    assert await status_of(client, victim.tokens) == 200
    assert await alarms(server, row.id) == {THEFT: 0, FROM_FUTURE: 0}
