"""A connection to PostgreSQL that ends or falls silent: asked again, or not known within a second, and nothing left behind."""

import asyncio
import gc
import os
import socket
import time
import uuid

import psutil
import psycopg
import pytest

import app.database
from app.core.errors import Unavailable
from app.infra.sessions_postgres import PostgresSessionChecks
from tests.infra.chopper import chopper, sockets_to
from tests.infra.rows import (
    by_way_of,
    checks_on,
    is_waiting,
    let_answers_take,
    now,
    statements,
    tables_locked,
    terminate,
    until,
    username_of,
    write_people,
)
from tests.support.postgres import Cluster, Postgres
from tests.support.proxy import TcpProxy
from tests.support.stacks import Templates

pytestmark = pytest.mark.waits
IN_TIME = 1.6  # a second, and a slow machine


# A connection that ends.


async def test_a_connection_ended_while_idle_is_opened_again(url: str) -> None:
    (sid, name), *_ = write_people(url, 1).items()
    async with checks_on(url) as checks:
        for _ in range(3):
            assert await username_of(checks, sid) == name
            assert await asyncio.to_thread(terminate, url) == 1
            assert await username_of(checks, sid) == name  # whether its end was noticed or not
            assert await asyncio.to_thread(terminate, url) == 1
            for _ in range(20):
                await asyncio.sleep(0.002)  # the loop hears of it
            assert await asyncio.gather(*(username_of(checks, each) for each in (sid, uuid.uuid4()))) == [name, None]


async def test_a_connection_ended_while_idle_whose_number_another_took_harms_neither(url: str, postgres: Cluster) -> None:
    """The system gives the number of a closed socket to whoever opens the next one: here to somebody's HTTP connection."""
    (sid, name), *_ = write_people(url, 1).items()
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with TcpProxy(postgres.port) as line:
        async with checks_on(by_way_of(url, line.port)) as checks:
            assert await username_of(checks, sid) == name
            (number,) = sockets_to(line.port)
            await asyncio.to_thread(line.cut)
            await asyncio.to_thread(line.heal)
            strangers: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
            taken: list[int] = []
            deadline = time.monotonic() + 10
            while number not in taken and time.monotonic() < deadline:
                strangers.append(await asyncio.open_connection("127.0.0.1", port))
                taken.append(strangers[-1][1].get_extra_info("socket").fileno())
            try:
                assert await username_of(checks, sid) == name
                for reader, writer in strangers:
                    writer.write(b"still there?\n")
                    assert await asyncio.wait_for(reader.readline(), 5) == b"still there?\n"
                assert number in taken or sockets_to(line.port) == [number]
            finally:
                for _, writer in strangers:
                    writer.close()
    server.close()
    await server.wait_closed()


async def test_a_connection_ended_while_idle_whose_number_a_driver_took_harms_neither(url: str, postgres: Cluster) -> None:
    """As above, with somebody who watches the socket as psycopg does: with add_reader."""
    (sid, name), *_ = write_people(url, 1).items()
    loop = asyncio.get_running_loop()
    with TcpProxy(postgres.port) as line:
        async with checks_on(by_way_of(url, line.port)) as checks:
            assert await username_of(checks, sid) == name
            (number,) = sockets_to(line.port)
            await asyncio.to_thread(line.cut)
            await asyncio.to_thread(line.heal)
            for _ in range(20):
                await asyncio.sleep(0.002)  # the loop hears of it
            near, far = socket.socketpair()
            try:
                near.setblocking(False)
                if near.fileno() != number:
                    os.dup2(near.fileno(), number, inheritable=False)
                came = asyncio.Event()
                loop.add_reader(number, came.set)
                assert await username_of(checks, sid) == name
                far.send(b"x")
                await asyncio.wait_for(came.wait(), 5)
                loop.remove_reader(number)
            finally:
                if near.fileno() != number:
                    os.close(number)
                near.close()
                far.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def test_a_connection_ended_while_asked_is_asked_again_on_a_new_one(url: str) -> None:
    (sid, name), *_ = write_people(url, 1).items()
    async with checks_on(url) as checks:
        assert await username_of(checks, sid) == name
        for _ in range(3):
            with tables_locked(url):
                first = asyncio.create_task(username_of(checks, sid))
                await until(lambda: is_waiting(url), "the question is under way")
                joined = asyncio.create_task(username_of(checks, sid))
                assert await asyncio.to_thread(terminate, url) == 1
            assert await first == await joined == name


@pytest.mark.promise("P5", "P6")
async def test_a_server_killed_while_asked_is_not_known_and_then_asked_again(
    private_postgres: Postgres, templates: Templates
) -> None:
    url = templates.copy_postgres(private_postgres.cluster, "authkeep_killed")
    (sid, name), *_ = write_people(url, 1).items()
    async with checks_on(url) as checks:
        assert await username_of(checks, sid) == name
        with psycopg.connect(url) as locking:
            locking.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
            asked = [asyncio.create_task(username_of(checks, sid)) for _ in range(3)]
            await until(lambda: is_waiting(url), "the question is under way")
            await asyncio.to_thread(private_postgres.kill)
            with pytest.raises(psycopg.OperationalError):
                locking.execute("SELECT 1")
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in found] == [Unavailable] * 3
        with pytest.raises(Unavailable):
            await username_of(checks, sid)
        await asyncio.to_thread(private_postgres.start)
        assert await username_of(checks, sid) == name


@pytest.mark.promise("P2", "P6")
async def test_an_answer_cut_at_any_byte_is_asked_again(url: str, postgres: Cluster) -> None:
    (alive, name), (ended, _) = write_people(url, 2).items()
    statements(url, f"UPDATE sessions SET ended_at = now() WHERE id = '{ended}'")
    with chopper(postgres.port) as line:
        async with checks_on(by_way_of(url, line.port)) as checks:
            assert await username_of(checks, alive) == name
            line.arm(10**6, "cut")
            await asyncio.gather(username_of(checks, alive), username_of(checks, ended))
            length = sum(line.passed)
            assert length > 100
            for most in (*range(0, length, 7), *range(length - 7, length)):
                line.arm(most, "cut")
                found = list(await asyncio.gather(username_of(checks, alive), username_of(checks, ended)))
                assert found == [name, None], most


@pytest.mark.promise("P5")
async def test_an_answer_cut_before_its_end_stops_nobody_else(url: str, postgres: Cluster) -> None:
    """All but the last bytes of an answer are there: the loop goes on, and what was asked is not known within the second."""
    people = write_people(url, 50)
    with chopper(postgres.port) as line:
        async with checks_on(by_way_of(url, line.port)) as checks:
            sid = next(iter(people))
            assert await username_of(checks, sid) == people[sid]
            line.arm(10**6, "hold")
            await username_of(checks, sid)
            length = sum(line.passed)
            for missing in (1, 5, 6, 7, 20):
                line.arm(length - missing, "hold")
                releasing = asyncio.get_running_loop().run_in_executor(None, _release_late, line)
                turns, began = 0, time.monotonic()
                asked = asyncio.create_task(username_of(checks, sid))
                while not asked.done():
                    await asyncio.sleep(0.01)
                    turns += 1
                with pytest.raises(Unavailable):
                    await asked
                assert time.monotonic() - began < IN_TIME, missing
                assert turns > 20, missing
                await releasing
                assert await username_of(checks, sid) == people[sid]


def _release_late(line: object) -> None:
    """Two seconds after something is held, so that a loop that waits for it comes back at all."""
    held_at: float | None = None
    deadline = time.monotonic() + 10
    while time.monotonic() < (deadline if held_at is None else held_at + 2.0):
        time.sleep(0.01)
        if held_at is None and line.holding:  # type: ignore[attr-defined]  # not declared by the class it is on
            held_at = time.monotonic()
    line.release()  # type: ignore[attr-defined]  # not declared by the class it is on


# A server that does not answer.


@pytest.mark.promise("P5", "P6")
async def test_a_statement_that_the_server_gives_up_is_not_known(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.database, "STATEMENT_TIMEOUT_MS", 100)
    (sid, name), *_ = write_people(url, 1).items()
    async with checks_on(url) as checks:
        assert await username_of(checks, sid) == name
        with tables_locked(url):
            began = time.monotonic()
            found = await asyncio.gather(*(username_of(checks, sid) for _ in range(5)), return_exceptions=True)
            assert [type(each) for each in found] == [Unavailable] * 5
            assert time.monotonic() - began < IN_TIME
        assert await username_of(checks, sid) == name


@pytest.mark.promise("P5", "P6")
@pytest.mark.parametrize("silence", ["partition", "lock"])
async def test_whoever_asks_a_silent_server_knows_within_a_second_that_it_is_silent(
    url: str, postgres: Cluster, silence: str
) -> None:
    (sid, name), *_ = write_people(url, 1).items()
    waited: list[float] = []

    async def ask(checks: PostgresSessionChecks) -> None:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await checks.find_live(sid, now())
        waited.append(time.monotonic() - began)

    async def ask_for_three_seconds(checks: PostgresSessionChecks) -> None:
        asked, deadline = [], time.monotonic() + 3
        while time.monotonic() < deadline:
            asked.append(asyncio.create_task(ask(checks)))
            await asyncio.sleep(0.03)
        await asyncio.gather(*asked)

    with TcpProxy(postgres.port) as line:
        async with checks_on(by_way_of(url, line.port)) as checks:
            assert await username_of(checks, sid) == name
            if silence == "partition":
                await asyncio.to_thread(line.partition)
                await ask_for_three_seconds(checks)
                await asyncio.to_thread(line.heal)
            else:
                with tables_locked(url):
                    await ask_for_three_seconds(checks)
            assert len(waited) > 30
            assert max(waited) < IN_TIME
            assert await username_of(checks, sid) == name


# Nothing is left behind.


@pytest.mark.parametrize("end", ["terminated", "silent", "refused"])
async def test_fifty_connections_later_nothing_is_left_open(
    url: str, postgres: Cluster, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    (sid, name), *_ = write_people(url, 1).items()
    process, loop = psutil.Process(), asyncio.get_running_loop()

    def open_now() -> tuple[int, int]:
        return process.num_fds(), len(loop._selector.get_map())  # type: ignore[attr-defined]  # not declared by the class it is on

    with TcpProxy(postgres.port) as line:
        async with checks_on(by_way_of(url, line.port)) as checks:
            assert await username_of(checks, sid) == name
            await asyncio.to_thread(terminate, url)  # the threads of a first time are there now
            assert await username_of(checks, sid) == name
            gc.collect()
            before = open_now()
            if end == "silent":
                let_answers_take(monkeypatch, 0.03)
                await asyncio.to_thread(line.partition)
            elif end == "refused":
                await asyncio.to_thread(line.cut)
            gc.disable()  # what is left to the collector is left behind
            try:
                for _ in range(50):
                    if end == "terminated":
                        await asyncio.to_thread(terminate, url)
                        assert await username_of(checks, sid) == name
                    else:
                        with pytest.raises(Unavailable):
                            await checks.find_live(sid, now())
                if end != "terminated":
                    let_answers_take(monkeypatch, 1.0)
                    await asyncio.to_thread(line.heal)
                    assert await username_of(checks, sid) == name
                await until(lambda: open_now() <= before, f"{open_now()} is {before} again")
            finally:
                gc.enable()
