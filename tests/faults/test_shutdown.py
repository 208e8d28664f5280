"""SIGTERM under load: whoever was heard gets a whole answer, and the server ends with 0."""

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.checks import longest, untimely
from tests.faults.conftest import Figures
from tests.faults.traffic import Person, Reply
from tests.faults.world import START_SECONDS, World, broken
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.faults
SENDING_TURNS = 50  # of the event loop: what was begun before them is on its way
MOMENTS = 5
END_SECONDS = 12


@dataclass
class Ending:
    code: int = -1
    in_flight: int = 0
    found: list[str] = field(default_factory=list)


async def ended_under_load(world: World, server: ServerProcess, people: list[Person], chance: random.Random) -> Ending:
    """Slow requests (they hash) are in flight when the signal comes."""
    ending = Ending()
    began = len(world.traffic.replies)
    tasks = [asyncio.create_task(world.traffic.login(server, person)) for person in people]
    tasks += [asyncio.create_task(_pages(world, server)) for _ in range(2)]
    await asyncio.sleep(chance.uniform(0.02, 0.15))
    begun = time.monotonic()
    await _until_heard(server)
    asked = time.monotonic()
    ending.code = await asyncio.to_thread(server.terminate, END_SECONDS)
    await asyncio.gather(*tasks)
    replies = world.traffic.replies[began:]
    heard = [reply for reply in replies if reply.sent < begun and reply.done > asked]
    ending.in_flight = len(heard)
    ending.found = untimely(replies, unanswered=True) + [f"heard and dropped: {reply}" for reply in heard if reply.status is None]
    ending.found += [] if ending.code == 0 else [f"exit code {ending.code}"]
    ending.found += _lost(world, replies)
    return ending


async def _until_heard(server: ServerProcess) -> None:
    """Until the server has taken every connection and read all that was sent on them: so says the kernel, see proc(5)."""
    for _ in range(SENDING_TURNS):
        await asyncio.sleep(0.001)
    port = f":{server.port:04X}"
    while _is_unheard(port):
        time.sleep(0.001)  # nobody here sends any more


def _is_unheard(port: str) -> bool:
    """Of a socket that listens the second queue is of connections nobody took yet, of others of bytes nobody read."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(port))


def _lost(world: World, replies: list[Reply]) -> list[str]:
    opened = world.count("SELECT count(*) FROM audit_events WHERE fact = 'user.login.succeeded'")
    sessions = world.count("SELECT count(*) FROM sessions")
    return [] if opened == sessions else [f"{opened} logins audited, {sessions} sessions"]


async def _pages(world: World, server: ServerProcess) -> Reply:
    reply = await world.traffic.send(server, "live", "GET", "/health/live")
    while reply.ok:
        reply = await world.traffic.send(server, "live", "GET", "/health/live")
    return reply


async def _endings(world: World, arguments: tuple[str, ...], *, launcher: str | None = None) -> list[Ending]:
    chance = random.Random(13)
    script = broken(launcher) if launcher else None
    server = world.serve(launcher=script, arguments=arguments, BCRYPT_ROUNDS="9")
    people = await world.newcomers(server, 12)
    endings = []
    for number in range(MOMENTS):
        if number:
            server.start().wait_ready(START_SECONDS)
        endings.append(await ended_under_load(world, server, people, chance))
    return endings


@pytest.mark.promise("P1", "P5")
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_told_to_end_answers_whom_it_heard(world: World, workers: int, figures: Figures) -> None:
    endings = await _endings(world, ("--workers", str(workers)))

    assert [ending.found for ending in endings] == [[] for _ in endings]
    assert sum(ending.in_flight for ending in endings) >= MOMENTS, "nothing was in flight"
    in_flight = sum(ending.in_flight for ending in endings)
    figures(endings=len(endings), in_flight=in_flight, longest=longest(world.traffic.replies))


@pytest.mark.promise("P5")
async def test_control_a_server_that_just_ends_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.test_shutdown.MOMENTS", 2)
    endings = await _endings(world, (), launcher="ends_at_once")

    assert any("heard and dropped" in each for ending in endings for each in ending.found)


async def test_a_request_held_up_in_the_database_is_answered_before_the_end(world: World) -> None:
    """One that waits for a lock when the signal comes is answered once the lock is gone."""
    server = world.serve()
    person = await world.traffic.newcomer(server)
    tokens = await world.traffic.tokens(server, person)
    async with world.holding_a_lock(person):
        logout = asyncio.create_task(world.traffic.logout(server, tokens["access_token"]))
        await asyncio.sleep(0.3)
        assert not logout.done()
        os.kill(server.pid, signal.SIGTERM)
        await asyncio.sleep(0.2)
    reply = await logout

    assert reply.status == 204
    assert await asyncio.to_thread(server.wait_exit) == 0
