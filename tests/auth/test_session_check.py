"""The check at every request asks the database itself, joins no question already sent, and says 503 when it can't know."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient
from sqlalchemy import update
from sqlalchemy.engine import make_url

from app.auth.models import Session
from app.config import Settings
from app.core.errors import Unavailable
from app.core.ports import LiveSession
from app.core.server import Server
from app.infra.postgres_batches import Line
from app.infra.sessions_postgres import PostgresSessionChecks
from app.users.models import User
from tests.auth.scene import end_in_database, execute, replica, sid_of, status_of
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.postgres import Postgres
from tests.support.proxy import TcpProxy
from tests.support.stacks import Templates


async def test_the_row_found_is_the_fresh_user(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    sid = sid_of(user.tokens)
    live = await server.sessions.find_live(sid, clock())
    assert live is not None
    assert (live.id, str(live.account.id), live.account.username, live.account.role) == (sid, user.id, user.username, "user")
    assert not live.account.email_verified
    assert clock() - live.used_at < timedelta(minutes=1)
    assert live.used_at.tzinfo is not None
    await execute(server, update(User).where(User.id == live.account.id).values(role="admin", email_verified_at=clock()))
    again = await server.sessions.find_live(sid, clock())
    assert again is not None
    assert (again.account.role, again.account.email_verified) == ("admin", True)


async def test_a_health_check_beside_it_changes_no_answer(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    sid = sid_of((await api.new_user(client)).tokens)
    for _ in range(5):
        live, _ = await asyncio.gather(server.sessions.find_live(sid, clock()), server.sessions.ping())
        assert live is not None
        _, live = await asyncio.gather(server.sessions.ping(), server.sessions.find_live(sid, clock()))
        assert live is not None


@pytest.mark.promise("P2")
async def test_no_row_that_says_alive_no_entry(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    ended, disabled, deleted, expired, alive = [sid_of((await api.new_user(client)).tokens) for _ in range(5)]

    async def user_of(sid: uuid.UUID) -> uuid.UUID:
        live = await server.sessions.find_live(sid, clock())
        assert live is not None
        return live.account.id

    await end_in_database(server, ended, clock())
    await execute(server, update(User).where(User.id == await user_of(disabled)).values(disabled_at=clock()))
    async with server.database.write() as db:
        await db.delete(await db.get_one(User, await user_of(deleted)))
    await execute(server, update(Session).where(Session.id == expired).values(expires_at=clock()))
    for sid in (ended, disabled, deleted, expired, uuid.uuid4(), uuid.UUID(int=0)):
        assert await server.sessions.find_live(sid, clock()) is None
    assert await server.sessions.find_live(alive, clock()) is not None
    assert await server.sessions.find_live(alive, clock() + timedelta(days=31)) is None


@pytest.mark.promise("P2")
async def test_a_check_begun_after_an_ending_was_answered_is_refused_under_load(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    hammering, over = [await api.login(client, user.username) for _ in range(2)], asyncio.Event()

    async def hammer(tokens: dict[str, Any]) -> None:
        while not over.is_set():
            assert await status_of(client, tokens) == 200
            await asyncio.sleep(0)  # on SQLite nothing else here would let the others have a turn

    load = [asyncio.create_task(hammer(tokens)) for tokens in hammering]
    for _ in range(3):
        tokens = await api.login(client, user.username)
        assert await status_of(client, tokens) == 200
        assert (await client.post("/auth/logout", headers=api.bearer(tokens))).status_code == 204
        assert [await status_of(client, tokens) for _ in range(3)] == [401] * 3
    over.set()
    await asyncio.gather(*load)


# PostgreSQL: questions share statements.


class Held(PostgresSessionChecks):
    """The answer of a statement, once the database has given it, is kept on its way until `let_go`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[set[uuid.UUID]] = []
        self.answered = asyncio.Event()
        self.let_go = asyncio.Event()

    async def answers(self, line: Line, batch: list[tuple[uuid.UUID, datetime]]) -> list[LiveSession | None]:
        self.asked.append({session_id for session_id, _ in batch})
        found = await super().answers(line, batch)
        self.answered.set()
        await self.let_go.wait()
        return found


class Joining(Held):
    """The control: broken on purpose, a question joins the statement under way if that asks the same."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._under_way: dict[uuid.UUID, asyncio.Future[LiveSession | None]] = {}

    async def find_live(self, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
        if session_id not in self._under_way:
            self._under_way[session_id] = asyncio.ensure_future(super().find_live(session_id, now))
        return await self._under_way[session_id]


@asynccontextmanager
async def opened(checks: Held) -> AsyncIterator[Held]:
    try:
        yield checks
    finally:
        checks.let_go.set()
        await checks.close()


async def ask_before_and_after_the_end(
    checks: Held, server: Server, session_id: uuid.UUID, clock: TravellingClock
) -> tuple[LiveSession | None, LiveSession | None]:
    before = asyncio.ensure_future(checks.find_live(session_id, clock()))
    await checks.answered.wait()
    await end_in_database(server, session_id, clock())
    after = asyncio.ensure_future(checks.find_live(session_id, clock()))
    await asyncio.sleep(0)  # it has asked
    checks.let_go.set()
    return await before, await after


@pytest.mark.promise("P2")
async def test_a_question_never_joins_a_statement_already_sent(
    client: AsyncClient, server: Server, settings: Settings, clock: TravellingClock
) -> None:
    session_id = sid_of((await api.new_user(client)).tokens)
    async with opened(Held(settings.database_url)) as checks:
        before, after = await ask_before_and_after_the_end(checks, server, session_id, clock)
    assert before is not None  # asked, and answered by the database, before the end
    assert after is None
    assert len(checks.asked) == 2


async def test_a_check_that_joined_would_accept_a_dead_session(
    client: AsyncClient, server: Server, settings: Settings, clock: TravellingClock
) -> None:
    """The control of the test above."""
    session_id = sid_of((await api.new_user(client)).tokens)
    async with opened(Joining(settings.database_url)) as checks:
        _, after = await ask_before_and_after_the_end(checks, server, session_id, clock)
    assert after is not None


async def test_questions_that_wait_share_the_next_statement(
    client: AsyncClient, settings: Settings, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    sids = [sid_of(await api.login(client, user.username)) for _ in range(5)]
    async with opened(Held(settings.database_url)) as checks:
        first = asyncio.ensure_future(checks.find_live(sids[0], clock()))
        await checks.answered.wait()
        rest = [asyncio.ensure_future(checks.find_live(sid, clock())) for sid in (*sids, *sids, uuid.UUID(int=1))]
        await asyncio.sleep(0)
        checks.let_go.set()
        found = await asyncio.gather(first, *rest)
    assert checks.asked == [{sids[0]}, {*sids, uuid.UUID(int=1)}]
    assert [live.id if live else None for live in found] == [sids[0], *sids, *sids, None]


async def test_a_caller_that_gives_up_costs_the_others_nothing(
    client: AsyncClient, settings: Settings, clock: TravellingClock
) -> None:
    session_id = sid_of((await api.new_user(client)).tokens)
    async with opened(Held(settings.database_url)) as checks:
        gone = asyncio.ensure_future(checks.find_live(session_id, clock()))
        await checks.answered.wait()
        impatient, patient = [asyncio.ensure_future(checks.find_live(session_id, clock())) for _ in range(2)]
        await asyncio.sleep(0)
        for task in (gone, impatient):
            task.cancel()
        checks.let_go.set()
        assert (await patient) is not None
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(gone, impatient, return_exceptions=True)
        )
        assert await checks.find_live(session_id, clock()) is not None


@pytest.mark.waits
@pytest.mark.promise("P5", "P6", "P7")
@pytest.mark.asvs("V16.5.2", "V16.5.3")
async def test_a_silent_postgres_means_503_within_a_second_and_heals(env: dict[str, str], clock: TravellingClock) -> None:
    url = make_url(env["DATABASE_URL"])
    with TcpProxy(int(url.port or 0)) as line:
        address = url.set(port=line.port).render_as_string(hide_password=False)
        async with replica(env, clock, DATABASE_URL=address) as app, client_of(app) as client:
            user, gone = await api.new_user(client), await api.new_user(client)
            await end_in_database(app.state.server, sid_of(gone.tokens), clock())
            line.partition()
            started = time.perf_counter()
            answers = await asyncio.gather(*(client.get("/auth/me", headers=each.headers) for each in (user, gone) * 5))
            assert time.perf_counter() - started < 1.6
            assert {answer.status_code for answer in answers} == {503}
            assert all(answer.headers["retry-after"] == "1" for answer in answers)
            assert {answer.json()["code"] for answer in answers} == {"unavailable"}
            line.heal()
            await until_known(client, user)
            assert await status_of(client, gone.tokens) == 401


async def test_a_postgres_that_restarts_is_asked_again(
    env: dict[str, str], private_postgres: Postgres, templates: Templates, clock: TravellingClock
) -> None:
    address = templates.copy_postgres(private_postgres.cluster, "authkeep_restarts")
    async with replica(env, clock, DATABASE_URL=address) as app, client_of(app) as client:
        user, gone = await api.new_user(client), await api.new_user(client)
        assert (await client.post("/auth/logout", headers=gone.headers)).status_code == 204
        private_postgres.restart("immediate")
        assert await status_of(client, user.tokens) == 200  # the first question after it, on a new connection
        assert await status_of(client, gone.tokens) == 401
        private_postgres.stop()
        answer = await client.get("/auth/me", headers=user.headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        private_postgres.start()
        await until_known(client, user)
        private_postgres.stop()
        (private_postgres.folder / "data" / "standby.signal").touch()  # what a failover leaves behind: a read-only copy
        private_postgres.start()
        assert private_postgres.cluster.execute("SELECT pg_is_in_recovery()") == [(True,)]
        assert await status_of(client, user.tokens) == 401
        checks: Any = app.state.server.sessions
        assert await checks.find_live(sid_of(user.tokens), clock()) is None


async def until_known(client: AsyncClient, user: api.User) -> None:
    """Until the check answers again; never anything but 200 and 503 on the way."""
    deadline = time.monotonic() + 10
    while (status := await status_of(client, user.tokens)) != 200:
        assert status == 503
        assert time.monotonic() < deadline, "it does not heal"


async def test_closing_leaves_nobody_waiting_forever(settings: Settings, clock: TravellingClock) -> None:
    checks = Held(settings.database_url)
    asking = asyncio.ensure_future(checks.find_live(uuid.uuid4(), clock()))
    await checks.answered.wait()
    await checks.close()
    with pytest.raises(Unavailable):
        await asking
    checks.let_go.set()


# SQLite: a file that others may lock.

# Another process that recovers the write-ahead log (https://sqlite.org/walformat.html#wal_locks): it holds the write and the
# recovery lock, and the index's header is not valid meanwhile.
RECOVERING = """
import fcntl, sys
file = open(sys.argv[1] + "-shm", "r+b", buffering=0)
for byte in (120, 122):
    fcntl.lockf(file, fcntl.LOCK_EX, 1, byte)
file.write(bytes(96))
print("locked", flush=True)
sys.stdin.read()
"""
WRITING = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(code: str, file: Path) -> Iterator[None]:
    command = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"locked\n"
            yield
        finally:
            other.communicate()


@pytest.mark.promise("P5", "P6", "P7")
@pytest.mark.asvs("V16.5.2", "V16.5.3")
async def test_a_locked_file_means_503_within_a_second_and_heals(
    client: AsyncClient, server: Server, data_folder: Path, clock: TravellingClock
) -> None:
    user, gone = await api.new_user(client), await api.new_user(client)
    await end_in_database(server, sid_of(gone.tokens), clock())
    with another_process(RECOVERING, data_folder / "authkeep.db"):
        started = time.perf_counter()
        answers = await asyncio.gather(*(client.get("/auth/me", headers=each.headers) for each in (user, gone)))
        assert 0.5 < time.perf_counter() - started < 2
        assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 2
    assert await status_of(client, user.tokens) == 200
    assert await status_of(client, gone.tokens) == 401


async def test_a_lock_let_go_in_time_is_not_noticed(client: AsyncClient, data_folder: Path) -> None:
    user = await api.new_user(client)
    with another_process(RECOVERING, data_folder / "authkeep.db"):
        asking = asyncio.create_task(status_of(client, user.tokens))
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done
    assert await asking == 200


@pytest.mark.promise("P5")
async def test_while_another_process_writes_the_check_answers_and_an_ending_is_refused_not_lost(
    client: AsyncClient, data_folder: Path
) -> None:
    user = await api.new_user(client)
    with another_process(WRITING, data_folder / "authkeep.db"):
        assert await status_of(client, user.tokens) == 200
        started = time.perf_counter()
        refused = await client.post("/auth/logout", headers=user.headers)
        assert time.perf_counter() - started < 4
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert await status_of(client, user.tokens) == 200
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    assert await status_of(client, user.tokens) == 401


async def test_a_writer_does_not_bar_the_check(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    async with server.database.write() as db:
        await db.execute(update(Session).values(ended_at=clock(), end_reason="test"))
        assert await status_of(client, user.tokens) == 200  # not committed
        await db.rollback()
    assert await status_of(client, user.tokens) == 200
