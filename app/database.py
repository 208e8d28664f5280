"""The database: Base, naming convention, column types, engines, and the two ways to open a transaction.

`Database.write` and `Database.read` are the only places that begin and end transactions; a request, a job and a command
each get theirs from here. SQLite and PostgreSQL differ in this file and in `app/infra`, nowhere else.
"""

import os
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    any_,
    event,
    insert,
    literal,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DisconnectionError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute
from sqlalchemy.pool import QueuePool
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


@dataclass(frozen=True, slots=True)
class Pooled:
    """How many connections are in use, how many are open and idle, and how many there may be."""

    in_use: int
    idle: int
    most: int


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

    def pools(self) -> dict[str, Pooled]:
        """The connections of each pool. On PostgreSQL readers and writers share one."""
        engines = {"write": self._writer, "read": self._reader} if self.is_sqlite else {"all": self._writer}
        most = {"write": 1, "read": POOL_SIZE, "all": 2 * POOL_SIZE}
        pools = {name: cast("QueuePool", engine.pool) for name, engine in engines.items()}
        return {name: Pooled(pool.checkedout(), pool.checkedin(), most[name]) for name, pool in pools.items()}

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
        # psycopg would throw all prepared statements of a connection away at each rollback, `Wire`'s too.
        "prepare_threshold": None,
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


def among(db: AsyncSession, column: InstrumentedAttribute[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a column is one of many values: one parameter on PostgreSQL, where a thousand take longer than the query."""
    if db.get_bind().dialect.name == "postgresql":
        return column == any_(literal(list(values), postgresql.ARRAY(column.type)))
    return column.in_(values)


class Clash(Exception):
    """One of many new rows is there already, as a constraint says; the transaction is of no use any more."""


UNIQUE_VIOLATION = "23505"  # PostgreSQL's SQLSTATE


async def add_many(db: AsyncSession, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Many rows, all with the same columns: by COPY on PostgreSQL, which takes a fraction of what INSERT does.

    Raises:
        Clash: see there.
    """
    if not rows:
        return
    connection, table = await db.connection(), cast("Table", model.__table__)
    if connection.dialect.name == "postgresql":
        await _copy(connection, table, rows)
        return
    try:
        await connection.execute(insert(table), rows)
    except IntegrityError as error:
        raise Clash from error


async def _copy(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    dialect, names = connection.dialect, tuple(rows[0])
    quote = dialect.identifier_preparer.quote
    wanted = ", ".join(quote(name) for name in names)
    processors = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    bound = [(place, bind) for place, bind in enumerate(processors) if bind is not None]
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        async with driver.cursor() as cursor, cursor.copy(f"COPY {quote(table.name)} ({wanted}) FROM STDIN") as copy:
            for row in rows:
                values = [row[name] for name in names]
                for place, bind in bound:
                    values[place] = bind(values[place])
                await copy.write_row(values)
    except Exception as error:  # the driver's own, which only the adapters may know by name
        if getattr(error, "sqlstate", None) == UNIQUE_VIOLATION:
            raise Clash from error
        raise
