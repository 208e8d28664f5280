"""Alembic, run in-process under a lock, so that several workers and replicas may start at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import Engine, make_url

from app.database import postgres_options, prepare_file, tune_sqlite

MIGRATIONS = Path(__file__).parents[2] / "migrations"
LOCK = 0x417574686B656570  # "Authkeep", as PostgreSQL's advisory lock wants a number
LOCK_WAIT_MS = 60_000


def upgrade(url: str) -> None:
    """Bring the database to the newest revision; blocks while another process does so."""
    prepare_file(url)
    engine = _engine(url)
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
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == newest()
    finally:
        engine.dispose()


def newest() -> str | None:
    """The newest revision there is."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without a file; `migrations/env.py` takes the connection from it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed.set(drivername="sqlite"), hide_parameters=True, connect_args={"timeout": LOCK_WAIT_MS / 1000}
        )
        tune_sqlite(engine, immediate=True, wait_ms=LOCK_WAIT_MS)
        return engine
    return create_engine(url, hide_parameters=True, connect_args=postgres_options())
