"""Questions to SQLite: those of one turn of the event loop are one statement, and everybody gets their own answer."""

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import Unavailable
from app.infra import sessions_sqlite
from app.infra.sessions_sqlite import SqliteSessionChecks
from tests.support.stacks import Templates

PEOPLE = 5_000
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = NOW + timedelta(hours=1)
ADD_USER = """
INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, epoch, created_at, password_changed_at)
VALUES (?1, ?2, ?2, ?2 || '@example.com', ?2 || '@example.com', '', 'user', 0, ?3, ?3)
"""
ADD_SESSION = """
INSERT INTO sessions (id, user_id, generation, rotated_at, created_at, used_at, authenticated_at, expires_at,
                      address, user_agent, amr)
VALUES (?1, ?2, 0, ?3, ?3, ?3, ?3, ?4, '', '', 'pwd')
"""


def stored(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


@pytest.fixture
def file(templates: Templates, tmp_path: Path) -> Path:
    """A migrated database."""
    return Path(templates.copy_sqlite(tmp_path / "authkeep.db").removeprefix("sqlite:///"))


@pytest.fixture
def database(file: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
async def checks(file: Path) -> AsyncIterator[SqliteSessionChecks]:
    checks = SqliteSessionChecks(f"sqlite+aiosqlite:///{file}")
    yield checks
    await checks.close()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the checks' connections are asked from now on."""
    seen: list[str] = []
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def watched(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.set_trace_callback(seen.append)
        return connection

    monkeypatch.setattr("app.infra.sessions_sqlite.sqlite3.connect", watched)
    return seen


def write_people(database: sqlite3.Connection, count: int) -> dict[uuid.UUID, str]:
    """So many accounts with a session each: session -> username."""
    people = {uuid.uuid4(): f"u{number}" for number in range(count)}
    database.execute("BEGIN")
    for session_id, name in people.items():
        user_id = uuid.uuid4().hex
        database.execute(ADD_USER, (user_id, name, stored(NOW)))
        database.execute(ADD_SESSION, (session_id.hex, user_id, stored(NOW), stored(SOON)))
    database.execute("COMMIT")
    return people


def end(database: sqlite3.Connection, session_id: uuid.UUID) -> None:
    database.execute("UPDATE sessions SET ended_at = ? WHERE id = ?", (stored(NOW), session_id.hex))


async def username_of(checks: SqliteSessionChecks, session_id: uuid.UUID, now: datetime = NOW) -> str | None:
    live = await checks.find_live(session_id, now)
    assert live is None or live.id == session_id
    return live.account.username if live else None


async def test_doubles_and_strangers_in_one_statement(
    checks: SqliteSessionChecks, database: sqlite3.Connection, statements: list[str]
) -> None:
    people = write_people(database, 3)
    (one, two, three), stranger = people, uuid.uuid4()
    end(database, three)
    asked = [one, one, stranger, two, three, one, uuid.UUID(int=0), stranger, two, uuid.UUID(int=2**128 - 1)]
    expected = [people[sid] if sid in {one, two} else None for sid in asked]
    for _ in range(2):
        statements.clear()
        assert await asyncio.gather(*(username_of(checks, sid) for sid in asked)) == expected
        assert len([each for each in statements if "FROM json_each" in each]) == 1


async def test_thousands_at_once_each_get_their_own_row(checks: SqliteSessionChecks, database: sqlite3.Connection) -> None:
    people = write_people(database, PEOPLE)
    ended = set(list(people)[::7])
    for sid in ended:
        end(database, sid)
    found = await asyncio.gather(*(username_of(checks, sid) for sid in people))
    assert found == [None if sid in ended else name for sid, name in people.items()]


@pytest.mark.promise("P2")
async def test_who_asks_after_a_commit_sees_it_though_others_of_the_turn_asked_before(
    checks: SqliteSessionChecks, database: sqlite3.Connection
) -> None:
    people = write_people(database, 2)
    ending, other = people
    turns: list[str] = []

    async def ask_then(what: str) -> str | None:
        turns.append(what)
        return await username_of(checks, other)

    async def end_then_ask() -> str | None:
        end(database, ending)
        turns.append("ended")
        return await username_of(checks, ending)

    found = await asyncio.gather(ask_then("before"), end_then_ask(), ask_then("after"))
    assert [*found] == [people[other], None, people[other]]
    assert turns == ["before", "ended", "after"]


async def test_a_statement_asks_by_the_latest_moment_in_it(checks: SqliteSessionChecks, database: sqlite3.Connection) -> None:
    (sid,) = write_people(database, 1)
    early, late = username_of(checks, sid, SOON - timedelta(microseconds=1)), username_of(checks, sid, SOON)
    assert [*await asyncio.gather(early, late)] == [None, None]
    assert await username_of(checks, sid, SOON - timedelta(microseconds=1)) == "u0"


async def test_a_caller_that_gives_up_costs_the_others_nothing(checks: SqliteSessionChecks, database: sqlite3.Connection) -> None:
    (sid,) = write_people(database, 1)
    impatient, patient = [asyncio.create_task(username_of(checks, sid)) for _ in range(2)]
    await asyncio.sleep(0)  # both have asked
    impatient.cancel()
    assert await patient == "u0"
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_file_that_cannot_be_read_is_tried_again_then_503_and_heals(
    checks: SqliteSessionChecks, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sid,) = write_people(database, 1)
    monkeypatch.setattr(sessions_sqlite, "PAUSE_SECONDS", 0)
    tries: list[int] = []
    read = SqliteSessionChecks._read

    def failing(self: SqliteSessionChecks, ids: set[str], now: datetime) -> Any:
        tries.append(len(ids))
        if len(tries) <= sessions_sqlite.TRIES:
            raise sqlite3.OperationalError("disk I/O error")
        return read(self, ids, now)

    monkeypatch.setattr(SqliteSessionChecks, "_read", failing)
    answers = await asyncio.gather(*(checks.find_live(each, NOW) for each in (sid, uuid.uuid4())), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 2
    assert tries == [2] * sessions_sqlite.TRIES
    assert await username_of(checks, sid) == "u0"


async def test_closing_leaves_nobody_waiting(checks: SqliteSessionChecks, database: sqlite3.Connection) -> None:
    (sid,) = write_people(database, 1)
    asking = asyncio.create_task(username_of(checks, sid))
    await asyncio.sleep(0)  # it has asked
    await checks.close()
    assert await asking == "u0"
