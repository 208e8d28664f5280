"""Accounts with sessions, written into a migrated database without a server."""

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from app.infra.sessions_postgres import PostgresSessionChecks

PEOPLE = """
INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, epoch, created_at, password_changed_at)
SELECT gen_random_uuid(), 'u' || n, 'u' || n, 'u' || n || '@example.com', 'u' || n || '@example.com', '', 'user', 0, now(), now()
FROM generate_series(1, %s) n
"""
SESSIONS = """
INSERT INTO sessions (id, user_id, generation, rotated_at, created_at, used_at, expires_at, address, user_agent, amr,
                      authenticated_at)
SELECT gen_random_uuid(), id, 0, now(), now(), now(), now() + interval '1 day', '', '', 'pwd', now() FROM users
"""


def write_people(url: str, count: int) -> dict[uuid.UUID, str]:
    """So many accounts, u1, u2 …, each with a session; session -> username."""
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(PEOPLE, (count,))
        database.execute(SESSIONS)
        rows = database.execute("SELECT s.id, u.username FROM sessions s JOIN users u ON u.id = s.user_id").fetchall()
    return dict(rows)


def by_way_of(url: str, port: int) -> str:
    """The same database through another port."""
    return make_url(url).set(port=port).render_as_string(hide_password=False)


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def checks_on(url: str) -> AsyncIterator[PostgresSessionChecks]:
    checks = PostgresSessionChecks(url)
    try:
        yield checks
    finally:
        await checks.close()


async def username_of(checks: PostgresSessionChecks, session_id: uuid.UUID) -> str | None:
    """Whose session it is, None if it is not alive."""
    live = await checks.find_live(session_id, now())
    assert live is None or live.id == session_id
    return live.account.username if live else None


@contextmanager
def tables_locked(url: str) -> Iterator[None]:
    """Nobody else reads sessions meanwhile."""
    with psycopg.connect(url) as database:
        database.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        yield
        database.rollback()


def statements(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as database:
        cursor = database.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


OF_CHECKS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'authkeep'"


def is_waiting(url: str) -> bool:
    """Whether a question waits for a lock."""
    return bool(statements(url, f"SELECT 1 {OF_CHECKS} AND wait_event_type = 'Lock'"))


def terminate(url: str) -> int:
    """End the connections of all checks on this database; how many."""
    return len(statements(url, f"SELECT pg_terminate_backend(pid, 5000) {OF_CHECKS}"))


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something while the loop goes on."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.005)


def let_answers_take(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Another patience with PostgreSQL than a second."""
    modules = {sys.modules[kind.__module__] for kind in PostgresSessionChecks.__mro__}
    having = [module for module in modules if hasattr(module, "ANSWER_SECONDS")]
    assert having
    for module in having:
        monkeypatch.setattr(module, "ANSWER_SECONDS", seconds)
