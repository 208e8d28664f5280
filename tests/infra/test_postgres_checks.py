"""Questions to PostgreSQL in batches: everybody's own answer, whoever asks beside them."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from httpx2 import AsyncClient

from app.core.errors import Unavailable
from app.infra.sessions_postgres import PostgresSessionChecks
from tests.auth.scene import replica
from tests.infra.chopper import shrink_buffer, sockets_to
from tests.infra.rows import (
    by_way_of,
    checks_on,
    let_answers_take,
    now,
    statements,
    until,
    username_of,
    write_people,
)
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.postgres import Cluster
from tests.support.proxy import TcpProxy
from tests.support.stacks import settings_env

MANY = 5_000
SOME = random.Random(7)


# What is asked and answered.


async def test_a_batch_with_doubles_and_strangers(url: str) -> None:
    people = write_people(url, 3)
    (one, two, three), stranger = people, uuid.uuid4()
    statements(url, f"UPDATE sessions SET ended_at = now() WHERE id = '{three}'")
    async with checks_on(url) as checks:
        asked = [one, one, stranger, two, three, one, uuid.UUID(int=0), stranger, two, uuid.UUID(int=2**128 - 1)]
        expected = [people[sid] if sid in {one, two} else None for sid in asked]
        for _ in range(2):
            assert await asyncio.gather(*(username_of(checks, sid) for sid in asked)) == expected


async def test_thousands_at_once_each_get_their_own_row_though_the_socket_takes_little(
    url: str, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = write_people(url, MANY)
    statements(url, "UPDATE sessions SET ended_at = now() WHERE id::text < '4'")
    ended = {row[0] for row in statements(url, "SELECT id FROM sessions WHERE ended_at IS NOT NULL")}
    assert 0 < len(ended) < MANY
    let_answers_take(monkeypatch, 20)
    loop = asyncio.get_running_loop()
    add_writer = loop.add_writer
    waits: list[int] = []

    with TcpProxy(postgres.port, narrow=True) as line:
        async with checks_on(by_way_of(url, line.port)) as checks:
            await checks.ping()
            (number,) = sockets_to(line.port)
            shrink_buffer(number)

            def noted(waiting: int, *given: Any) -> None:
                add_writer(waiting, *given)
                if waiting == number and not waits:
                    loop.run_in_executor(None, line.heal)
                waits.append(waiting)

            await asyncio.to_thread(line.partition)  # nobody reads until somebody waits
            monkeypatch.setattr(loop, "add_writer", noted)
            asked = [*people, *SOME.sample(sorted(people), 500)]
            found = await asyncio.gather(*(username_of(checks, sid) for sid in asked))
            assert number in waits
            assert found == [None if sid in ended else people[sid] for sid in asked]
            assert await username_of(checks, asked[0]) == found[0]


@pytest.mark.promise("P5", "P6")
async def test_a_question_that_is_half_sent_when_the_line_falls_silent_is_given_up(url: str, postgres: Cluster) -> None:
    people = write_people(url, 2_000)
    with TcpProxy(postgres.port) as line:
        async with checks_on(by_way_of(url, line.port)) as checks:
            await checks.ping()
            shrink_buffer(*sockets_to(line.port))
            await asyncio.to_thread(line.partition)
            ids = list(people) * 20  # more than all buffers on the way take
            found = await asyncio.gather(*(checks.find_live(sid, now()) for sid in ids), return_exceptions=True)
            assert {type(each) for each in found} == {Unavailable}
            await asyncio.to_thread(line.heal)
            assert await username_of(checks, ids[0]) == people[ids[0]]


@pytest.mark.promise("P2")
async def test_random_endings_between_batches_are_seen_by_every_later_question(url: str) -> None:
    """Questions without pause on one connection; whoever asks after an ending was committed is told so."""
    people = write_people(url, 60)
    ended: set[uuid.UUID] = set()
    wrong: list[uuid.UUID] = []
    over = asyncio.Event()
    answers = 0

    async def ask_on(checks: PostgresSessionChecks, chance: random.Random) -> None:
        nonlocal answers
        while not over.is_set():
            sid = chance.choice(list(people))
            dead = sid in ended
            if (await username_of(checks, sid) is not None) and dead:
                wrong.append(sid)
            answers += 1

    async with checks_on(url) as checks:
        asking = [asyncio.create_task(ask_on(checks, random.Random(seed))) for seed in range(12)]
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as database:
            for sid in list(people)[:50]:
                before = answers
                await database.execute("UPDATE sessions SET ended_at = now() WHERE id = %s", (sid,))
                ended.add(sid)
                await until(lambda before=before: answers > before + 30, "questions go on")  # type: ignore[misc]  # mypy knows no defaults of lambdas
        over.set()
        await asyncio.gather(*asking)
    assert wrong == []
    assert len(ended) == 50


# Time zones.


@pytest.fixture(params=["database", "role", "environment"])
async def in_tokyo(
    request: pytest.FixtureRequest, url: str, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AsyncClient]:
    """A server whose database, role or environment is set to another time zone."""
    name = url.rsplit("/", 1)[1]
    if request.param == "database":
        statements(url, f"ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'")
    elif request.param == "role":
        statements(url, f"ALTER ROLE postgres IN DATABASE {name} SET timezone TO 'Asia/Tokyo'")
    else:
        monkeypatch.setenv("PGTZ", "Asia/Tokyo")  # libpq reads it
    assert statements(url, "SHOW timezone") == [("Asia/Tokyo",)]
    async with replica(settings_env(url), clock) as app, client_of(app) as client:
        yield client


async def test_a_server_in_another_time_zone_changes_no_answer(in_tokyo: AsyncClient) -> None:
    user = await api.new_user(in_tokyo)
    registered = (await in_tokyo.get("/auth/me/", headers=user.headers)).json()["created_at"]
    by_lane = await in_tokyo.get("/auth/me", headers=user.headers)
    by_route = await in_tokyo.get("/auth/me", headers={**user.headers, "Origin": "https://elsewhere.example.com"})
    slashed = await in_tokyo.get("/auth/me/", headers=user.headers)
    assert {answer.json()["created_at"] for answer in (by_lane, by_route, slashed)} == {registered}
    assert by_lane.content == by_route.content == slashed.content
    assert registered.endswith("Z")
    assert registered[:13] == f"{now():%Y-%m-%dT%H}" or now().minute == 0


# A row that one version does not understand.


async def test_a_role_that_this_version_does_not_know_costs_nobody_else_the_answer(url: str) -> None:
    """As after a newer version wrote it, while both run."""
    people = write_people(url, 3)
    odd, *others = people
    statements(url, f"UPDATE users SET role = 'owner' WHERE username = '{people[odd]}'")
    async with checks_on(url) as checks:
        found = await asyncio.gather(*(checks.find_live(sid, now()) for sid in people), return_exceptions=True)
        assert [getattr(each, "id", None) for each in found] == [None, *others]
