"""SQLite with a full disk and with a locked file: 503 in time, readers go on, and it heals by itself."""

import asyncio
import random
import resource
import sqlite3
from contextlib import closing

import pytest

from tests.faults.checks import longest, tally
from tests.faults.conftest import Figures
from tests.faults.watching import Watch
from tests.faults.world import World, broken
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.faults
MOMENTS = 30
ROOM = 40_000  # bytes that fit into the journal: a transaction or a few


def _limit(server: ServerProcess, size: int) -> None:
    """No file of the process may grow beyond this: what a full disk is to whoever writes."""
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def disk_full(world: World, *, moments: int, launcher: str | None = None) -> Watch:
    """The disk is full again and again, under load, at different points of a transaction's writing."""
    server = world.serve(launcher=broken(launcher) if launcher else None, LOG_LEVEL="ERROR")
    chance = random.Random(17)
    async with Watch(world, server).on(load=4) as watch:
        for _ in range(moments):
            _limit(server, chance.randrange(ROOM))
            watch.found += await watch.until_answered(503, seconds=20)
            _limit(server, resource.RLIM_INFINITY)
            watch.found += await watch.until_answered(201)
        watch.found += await watch.until_healed()
    watch.found += watch.wrong()
    return watch


@pytest.mark.promise("P1", "P5", "P6", "P7", "P10")
async def test_a_full_disk_is_a_503_and_heals(embedded_world: World, figures: Figures) -> None:
    watch = await disk_full(embedded_world, moments=MOMENTS)

    assert watch.found == []
    figures(moments=MOMENTS, replies=tally(watch.replies), longest=longest(watch.replies))


@pytest.mark.promise("P5")
async def test_control_a_full_disk_taken_for_a_crash_is_found(embedded_world: World) -> None:
    watch = await disk_full(embedded_world, moments=1, launcher="crashes_on_outage")

    assert any("crash" in each for each in watch.found), watch.found


async def locked(world: World, *, launcher: str | None = None) -> Watch:
    """Somebody else holds the file, longer than a request may take."""
    server = world.serve(launcher=broken(launcher) if launcher else None)
    # Two of them draw no lots: a change that waits takes four seconds, and the others may all be at one.
    async with Watch(world, server).on(load=4, only=("me", "register")) as watch:
        for _ in range(2):
            with closing(sqlite3.connect(world.sqlite_file, timeout=10, isolation_level=None)) as somebody:
                somebody.execute("BEGIN EXCLUSIVE")
                watch.found += await watch.until(lambda reply: (reply.what, reply.status) == ("register", 503), "503", 7)
                watch.found += await watch.until(lambda reply: (reply.what, reply.status) == ("me", 200), "me 200", 7)
                await asyncio.sleep(3)
                somebody.execute("ROLLBACK")
            watch.found += await watch.until_healed()
    watch.found += watch.wrong()
    return watch


@pytest.mark.promise("P1", "P5", "P7")
async def test_a_locked_file_is_a_503_for_writers_and_nothing_for_readers(embedded_world: World, figures: Figures) -> None:
    watch = await locked(embedded_world)

    assert watch.found == []
    figures(replies=tally(watch.replies), longest=longest(watch.replies))


@pytest.mark.promise("P5")
async def test_control_a_server_that_waits_for_the_lock_is_found(embedded_world: World) -> None:
    watch = await locked(embedded_world, launcher="waits_for_locks")

    assert any("late" in each for each in watch.found), watch.found
