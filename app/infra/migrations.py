"""Alembic, run in-process under a lock, so that several workers and replicas may start at once.

Alembic is loaded when there is something to migrate. That there is nothing, as at nearly every start, is found without it,
which saves the start time and the worker memory.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import Engine, make_url

from app.database import postgres_options, prepare_file, tune_sqlite

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parents[2] / "migrations"
LOCK = 0x417574686B656570  # "Authkeep", as PostgreSQL's advisory lock wants a number
LOCK_WAIT_MS = 60_000
REVISION = re.compile(r"^revision\b[^=\n]*= (.+)$", re.MULTILINE)
DOWN_REVISION = re.compile(r"^down_revision\b[^=\n]*= (.+)$", re.MULTILINE)


def upgrade(url: str) -> None:
    """Bring the database to the newest revision; blocks while another process does so."""
    prepare_file(url)
    if is_current(url):
        return
    from alembic import command

    engine = _engine(url, immediate=True)
    try:
        with engine.connect() as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT set_config('lock_timeout', :ms, true)"), {"ms": str(LOCK_WAIT_MS)})
                connection.execute(text("SELECT set_config('statement_timeout', '0', true)"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            command.upgrade(alembic_config(connection), "head")
    finally:
        engine.dispose()


def is_current(url: str) -> bool:
    """Whether the database is at the newest revision."""
    engine = _engine(url, immediate=False)
    try:
        with engine.connect() as connection:
            return _applied(connection) == [newest()]
    finally:
        engine.dispose()


def newest() -> str:
    """The newest revision there is: the one that none comes after.

    Raises:
        LookupError: there is not exactly one.
    """
    scripts = [file.read_text() for file in (MIGRATIONS / "versions").glob("*.py")]
    heads = set(_values(REVISION, scripts)) - set(_values(DOWN_REVISION, scripts))
    if len(heads) != 1:
        raise LookupError(f"there must be one newest migration, not {len(heads)}")
    return heads.pop()


def alembic_config(connection: Connection | None = None) -> "Config":
    """Alembic's configuration without a file; `migrations/env.py` takes the connection from it."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _applied(connection: Connection) -> list[str]:
    if not inspect(connection).has_table("alembic_version"):
        return []
    return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def _values(name: re.Pattern[str], scripts: list[str]) -> Iterator[str]:
    for script in scripts:
        for written in name.findall(script):
            value = ast.literal_eval(written)
            yield from [value] if isinstance(value, str) else value or ()  # None: the first; a tuple: a merge


def _engine(url: str, *, immediate: bool) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed.set(drivername="sqlite"), hide_parameters=True, connect_args={"timeout": LOCK_WAIT_MS / 1000}
        )
        tune_sqlite(engine, immediate=immediate, wait_ms=LOCK_WAIT_MS)
        return engine
    return create_engine(url, hide_parameters=True, connect_args=postgres_options())
