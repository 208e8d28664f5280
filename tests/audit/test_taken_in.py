"""Rows from before there was a chain are taken in by the migration, and by it alone."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from alembic import command
from fastapi import FastAPI
from sqlalchemy import Connection, text

from app.config import database_url, load_settings
from app.core.server import Server
from app.database import prepare_file
from app.infra.migrations import alembic_config, upgrade
from app.main import create_app
from scripts.check_migrations import engine_of
from tests.audit.chained import execute, finding, rows, seal, verify, write
from tests.support.apps import running
from tests.support.stacks import settings_env

ROW = (
    "INSERT INTO audit_events (at, fact, actor_id, subject_id, address, user_agent, request_id, data)"
    " VALUES (:at, :fact, :who, :who, '192.0.2.1', 'Old/1', 'r', :data)"
)


@contextmanager
def begun(url: str) -> Iterator[Connection]:
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def written_before(url: str, count: int) -> None:
    """A database of the version before the chain, with rows in it."""
    with begun(url) as connection:
        command.upgrade(alembic_config(connection), "0005")
    said: list[tuple[str, str]] = [
        ("user.login.succeeded", '{"by": "pwd"}'),
        ("user.profile.changed", '{"fields": ["username"], "username_before": "alice", "username_after": "bob\\u00fc"}'),
    ]
    with begun(url) as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        for number in range(count):
            fact, data = said[number % 2]
            at: Any = datetime(2026, 1, 2, 3, 4, 5, number, tzinfo=UTC)
            who: Any = uuid4()
            values = {"at": f"{at:%Y-%m-%d %H:%M:%S.%f}", "who": who.hex} if is_sqlite else {"at": at, "who": who}
            connection.execute(text(ROW), {"fact": fact, "data": data, **values})


async def test_rows_from_before_come_first_and_verify(empty_database: str) -> None:
    url = database_url(empty_database).render_as_string(hide_password=False)

    prepare_file(url)
    await asyncio.to_thread(written_before, url, 25)
    await asyncio.to_thread(upgrade, url)
    app: FastAPI = create_app(load_settings(settings_env(empty_database), env_file=None))
    async with running(app):
        server: Server = app.state.server
        assert (await verify(server)).waiting == 25  # no finding, however old they are
        await write(server, 2)
        await seal(server)
        report = await verify(server)
        assert (report.rows, report.taken_in, report.waiting) == (27, 25, 0)
        found = await rows(server)
        assert [row.id for row in found[:25]] == sorted(row.id for row in found[:25])
        assert found[1].data == {"fields": ["username"]}
        assert found[1].personal == {"username_before": "alice", "username_after": "bob\u00fc"}
        # Later nothing is taken in any more: neither a row that nobody marked, nor by going back to that state.
        forged = "INSERT INTO audit_events (at, fact, address, user_agent, request_id, data) SELECT at, fact, '', '', 'r', data"
        await execute(server, f"{forged} FROM audit_events WHERE position = 1")
        await seal(server)
        assert "was put in: it was not written by this server" in await finding(server)
        await execute(server, "DELETE FROM audit_events WHERE position < 0")
        await execute(server, "UPDATE audit_chain SET taken_in_to = NULL")
        await execute(server, f"{forged} FROM audit_events WHERE position = 1")
        await seal(server)
        assert "position 28: " in (found_now := await finding(server))
        assert "nobody marked it as written by us" in found_now
