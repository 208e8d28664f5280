"""The database: Base, naming convention, column types, engines, and the two ways to open a transaction.

`Database.write` and `Database.read` are the only places that begin and end transactions; a request, a job and a command
each get theirs from here. SQLite and PostgreSQL differ in this file and in `app/infra`, nowhere else.
"""

import os
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, MetaData, String, TypeDecorator, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult, Engine, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
BUSY_TIMEOUT_MS = 2_000  # SQLite: how long a writer waits for its turn before 503
STATEMENT_TIMEOUT_MS = 4_000  # PostgreSQL: below the request's deadline, so that a statement never outlives its request
LOCK_TIMEOUT_MS = 3_000
IDLE_TIMEOUT_MS = 10_000  # PostgreSQL: of a transaction whose process hangs
CONNECT_SECONDS = 3
POOL_SIZE = 10
POOL_WAIT_SECONDS = 2.0

AfterCommit = Callable[[dict[str, Any]], Awaitable[None]]


class Base(DeclarativeBase):
    """What every table derives from."""

    metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC on both databases (SQLite would hand back naive ones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """UTC; a naive value is a programming error."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a naive datetime can't be stored")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """UTC."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value and value.astimezone(UTC)


class ByteOrdered(TypeDecorator[str]):
    """Text compared and sorted by its bytes on both databases, so that prefix searches use the index and pages agree."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Collation "C" on PostgreSQL; SQLite's BINARY is its default."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(String(self.length, collation=collation))


# SQLite only numbers rows by itself in a column declared INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")
Digest = LargeBinary(32)


class Database:
    """Transactions on one database.

    `after_commit` handlers get the session's `info` once its commit is known to have happened, before the caller's
    answer leaves; what they raise is theirs to handle.
    """

    def __init__(self, url: str) -> None:
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._writer = _sqlite_engine(url, immediate=True) if self.is_sqlite else _postgres_engine(url)
        self._reader = _sqlite_engine(url, immediate=False) if self.is_sqlite else self._writer
        self._write_sessions = async_sessionmaker(self._writer, expire_on_commit=False)
        self._read_sessions = async_sessionmaker(self._reader, expire_on_commit=False)
        self.after_commit: list[AfterCommit] = []
        self.info: dict[str, Any] = {}

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction that may write: committed at the end, rolled back on an error unless the error `keeps` it."""
        async with self._write_sessions() as db:
            db.info.update(self.info)
            try:
                yield db
            except Exception as error:
                if not getattr(error, "keeps", False):
                    raise
                await self._commit(db)
                raise
            await self._commit(db)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction that only reads; never committed."""
        async with self._read_sessions() as db:
            db.info.update(self.info)
            yield db

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._writer.dispose()
        await self._reader.dispose()

    async def _commit(self, db: AsyncSession) -> None:
        try:
            await db.commit()
        except Exception:
            # The driver's transaction may still be open; such a connection must not go back into the pool.
            await db.invalidate()
            raise
        for handler in self.after_commit:
            await handler(dict(db.info))


def prepare_file(url: str) -> None:
    """Make the SQLite file, readable by its owner alone, where the URL names one that isn't there."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return
    path = Path(parsed.database)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def tune_sqlite(engine: Engine, *, immediate: bool, wait_ms: int = BUSY_TIMEOUT_MS) -> None:
    """Pragmas on each connection, and transactions that begin as we say instead of as the driver guesses.

    A read that later writes fails at once with "locked" in WAL mode, so whoever may write begins IMMEDIATE.
    """

    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {wait_ms}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def _sqlite_engine(url: str, *, immediate: bool) -> AsyncEngine:
    # One writer a process: its pool is a fair queue, SQLite's own lock is not.
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=1 if immediate else POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
    )
    tune_sqlite(engine.sync_engine, immediate=immediate)
    return engine


def _postgres_engine(url: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=POOL_WAIT_SECONDS,
        connect_args=postgres_options(),
    )
    event.listen(engine.sync_engine, "checkout", _check_out)
    return engine


def _check_out(connection: Any, _record: Any, _proxy: Any) -> None:
    # A server that went away has closed its end, and that can be read off the socket; asking it (SQLAlchemy's pre-ping) would
    # be a round trip before each transaction. One that is silent is told by the time-outs, either way.
    driver = connection.driver_connection
    if driver.closed or _is_readable(driver.fileno()):
        raise DisconnectionError


def _is_readable(file: int) -> bool:
    poll = select.poll()  # select() knows no numbers above 1023
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))


def postgres_options() -> dict[str, Any]:
    """Connection options by which a dead or stuck PostgreSQL is noticed in seconds."""
    return {
        "connect_timeout": CONNECT_SECONDS,
        "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
        f" -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS} -c TimeZone=UTC",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 5_000,
        "application_name": "authkeep",
    }


async def primary_problem(db: AsyncSession) -> str | None:
    """Why this PostgreSQL can't hold our promises, or None. SQLite always can."""
    if db.get_bind().dialect.name == "sqlite":
        return None
    row = (
        await db.execute(
            text("SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), current_setting('synchronous_commit')")
        )
    ).one()
    if row[0] or row[1] == "on":
        return "the database is a read-only replica; name the primary"
    if row[2] == "off":
        return "synchronous_commit is off, so an answered change could be lost; turn it on"
    return None


def insert_into(db: AsyncSession, table: type[Base]) -> Any:
    """An INSERT that knows ON CONFLICT, which both databases have but SQLAlchemy spells per dialect."""
    return upserts_of(db)(table)


def upserts_of(db: AsyncSession) -> Callable[[Any], Any]:
    """`insert` with ON CONFLICT for this database: what a statement that is built once is built by."""
    return postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert


async def run(db: AsyncSession, statement: Any, values: dict[str, Any]) -> CursorResult[*tuple[Any, ...]]:
    """Execute a statement that was built once, past the ORM: half the time of building and mapping it at each call."""
    result: CursorResult[*tuple[Any, ...]] = await (await db.connection()).execute(statement, values)
    return result
