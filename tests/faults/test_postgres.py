"""PostgreSQL restarted and crashed under load, paused, full, locked, behind a broken line: 503 in time, and healed by itself."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import psycopg
import pytest

from tests.faults.checks import longest, tally
from tests.faults.conftest import Figures
from tests.faults.watching import Watch
from tests.faults.world import World, broken
from tests.support.postgres import Postgres
from tests.support.proxy import TcpProxy

pytestmark = pytest.mark.faults
RESTARTS = 6


async def restarted(world: World, postgres: Postgres, *, launcher: str | None = None, restarts: int = RESTARTS) -> Watch:
    """Restart it under load, by turns cleanly, by a crash and by kill -9."""
    server = world.serve(launcher=broken(launcher) if launcher else None)
    chance = random.Random(7)
    async with Watch(world, server).on(load=8) as watch:
        for number in range(restarts):
            await watch.until_answered(201)
            await asyncio.sleep(chance.uniform(0, 0.1))
            if number % 3 == 2:
                await asyncio.to_thread(postgres.kill)
                await asyncio.to_thread(postgres.start)
            else:
                await asyncio.to_thread(postgres.restart, "fast" if number % 3 else "immediate")
            watch.found += await watch.until_healed()
    watch.found += watch.wrong()
    return watch


@pytest.mark.promise("P1", "P5", "P6", "P7", "P8", "P10")
async def test_a_postgres_restarted_under_load_costs_a_moment(
    own_world: World, private_postgres: Postgres, figures: Figures
) -> None:
    watch = await restarted(own_world, private_postgres)

    assert watch.found == []
    figures(restarts=RESTARTS, replies=tally(watch.replies), longest=longest(watch.replies))


@pytest.mark.promise("P5")
async def test_control_a_server_that_calls_an_outage_a_crash_is_found(own_world: World, private_postgres: Postgres) -> None:
    watch = await restarted(own_world, private_postgres, launcher="crashes_on_outage", restarts=2)

    assert any("crash" in each for each in watch.found), watch.found


@asynccontextmanager
async def paused(_world: World, postgres: Postgres) -> AsyncIterator[None]:
    """SIGSTOP: it takes connections and says nothing."""
    await asyncio.to_thread(postgres.pause)
    try:
        yield
    finally:
        await asyncio.to_thread(postgres.resume)


async def stalled(world: World, postgres: Postgres, fault: Any, *, launcher: str | None = None, url: str = "") -> Watch:
    """Some seconds without an answer from the database, under load."""
    server = world.serve(launcher=broken(launcher) if launcher else None, DATABASE_URL=url or world.database_url)
    async with Watch(world, server).on(only=("me", "register")) as watch:
        await watch.until_answered(201)
        tokens = [tokens["access_token"] for _, tokens in watch.people]
        await asyncio.gather(*(world.traffic.me(server, token) for token in tokens))
        async with fault(world, postgres):
            watch.found += await watch.until_not_ready()
            replies = await asyncio.gather(*(world.traffic.me(server, token) for token in tokens))
            watch.found += [f"accepted what can't be known: {reply}" for reply in replies if reply.ok]
            watch.found += await watch.until_answered(503, seconds=7)
            watch.found += await watch.until(lambda reply: (reply.what, reply.status) == ("me", 503), "me 503", 7)
            await asyncio.sleep(2)
        watch.found += await watch.until_healed()
    watch.found += watch.wrong()
    return watch


@pytest.mark.promise("P1", "P5", "P6", "P7", "P8")
async def test_a_paused_postgres_is_noticed_and_healed(own_world: World, private_postgres: Postgres, figures: Figures) -> None:
    watch = await stalled(own_world, private_postgres, paused)

    assert watch.found == []
    figures(replies=tally(watch.replies), longest=longest(watch.replies))


@pytest.mark.promise("P5", "P7")
async def test_control_a_server_without_deadlines_is_found(own_world: World, private_postgres: Postgres) -> None:
    watch = await stalled(own_world, private_postgres, paused, launcher="waits_for_ever")

    assert any("late" in each for each in watch.found), watch.found


@pytest.mark.promise("P6")
async def test_control_a_server_that_accepts_what_it_cannot_know_is_found(own_world: World, private_postgres: Postgres) -> None:
    watch = await stalled(own_world, private_postgres, paused, launcher="accepts_the_unknowable")

    assert any("accepted what can't be known" in each for each in watch.found), watch.found


@pytest.mark.promise("P1", "P5", "P6", "P7")
@pytest.mark.parametrize("how", ["cut", "partition"])
async def test_a_broken_line_to_postgres_is_noticed_and_healed(own_world: World, private_postgres: Postgres, how: str) -> None:
    with TcpProxy(private_postgres.port) as line:

        @asynccontextmanager
        async def off(_world: World, _postgres: Postgres) -> AsyncIterator[None]:
            await asyncio.to_thread(line.cut if how == "cut" else line.partition)
            try:
                yield
            finally:
                await asyncio.to_thread(line.heal)

        url = own_world.database_url.replace(f":{private_postgres.port}/", f":{line.port}/")
        watch = await stalled(own_world, private_postgres, off, url=url)

    assert watch.found == []


@pytest.mark.promise("P5", "P7")
@pytest.mark.parametrize("private_postgres", [{"max_connections": "20"}], indirect=True)
async def test_a_postgres_without_a_connection_left_is_a_503(own_world: World, private_postgres: Postgres) -> None:
    server = own_world.serve()
    async with Watch(own_world, server).on(load=4) as watch:
        with ExitStack() as hoard:
            _take_all(hoard, private_postgres, own_world.database_url)
            many = [
                own_world.traffic.login(server, watch.people[n % 4][0], "Wrong-harbour-99!", "wrong password") for n in range(40)
            ]
            await asyncio.gather(*many)
        watch.found += await watch.until_healed()

    assert watch.found + watch.wrong() == []


@pytest.mark.promise("P5", "P7")
async def test_a_pool_held_by_locks_is_a_503_and_signed_in_people_go_on(
    own_world: World, private_postgres: Postgres, figures: Figures
) -> None:
    server = own_world.serve()
    async with Watch(own_world, server).on(load=4) as watch:
        victim = await own_world.traffic.newcomer(server)
        tokens = [await own_world.traffic.tokens(server, victim) for _ in range(4)]
        with psycopg.connect(own_world.database_url) as holder:
            holder.execute("SELECT id FROM users WHERE username = %s FOR UPDATE", (victim.username,))
            held = [own_world.traffic.logout(server, tokens[n % 4]["access_token"]) for n in range(40)]
            held += [own_world.traffic.me(server, tokens[n % 4]["access_token"]) for n in range(8)]
            replies = await asyncio.gather(*held)
            holder.rollback()
        watch.found += await watch.until_healed()

    assert {reply.status for reply in replies if reply.what == "logout"} == {503}
    assert {reply.status for reply in replies if reply.what == "me"} == {200}
    assert watch.found + watch.wrong() == []
    figures(longest=longest(replies))


def _take_all(hoard: ExitStack, postgres: Postgres, url: str) -> None:
    """Take every connection there is; a superuser's too."""
    del postgres
    while True:
        try:
            hoard.enter_context(psycopg.connect(url, autocommit=True))
        except psycopg.OperationalError:
            return
