"""Statements that are built once, put to PostgreSQL without SQLAlchemy's execution (docs/adr/0027, 0028).

SQLAlchemy says what the text is, and how values go in and come out; libpq then executes it, in the transaction's own
connection. That takes a sixth of the time, on the event loop that answers everybody else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Connection, Dialect
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.compiler import SQLCompiler

CONNECTION = "statements.connection"  # key in a session's info
WIRE = "statements.wire"  # key in a pooled connection's info
MOST = 512  # statements that are kept ready
# What was prepared holds no more: a table is another since, or somebody between us and the server dropped it.
OUTDATED = ("0A000", "26000")
DIALECTS: dict[str, Dialect] = {
    "postgresql": PGDialectAsync_psycopg(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
    "sqlite": SQLiteDialect_aiosqlite(),
}
Row = Sequence[Any]
Process = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """A statement as the server takes it: its text, the names of $1, $2 …, and what is done with values and rows.

    `fixed` are the values that are always the same.
    """

    text: bytes
    names: tuple[str, ...]
    fixed: dict[str, Any]
    bound: tuple[tuple[str, Process], ...]
    found: tuple[tuple[int, Process], ...]


async def run(db: AsyncSession, statement: Any, values: dict[str, Any]) -> list[Row]:
    """Execute a statement that was built once, in the transaction of `db`; its rows, as tuples of plain values.

    Parameters are bound, as everywhere. The statement must not need what SQLAlchemy does at execution: defaults made in
    Python, lists of any length.

    Raises:
        DBAPIError: as SQLAlchemy does.
    """
    connection = await _connection_of(db)
    dialect = connection.dialect.name
    ready = _make_ready(statement, tuple(values), dialect)
    if dialect != "postgresql":
        result = await connection.execute(statement, values)
        return list(result.all()) if result.returns_rows else []
    given = {**ready.fixed, **values}
    for name, process in ready.bound:
        given[name] = process(given[name])
    rows = await _execute(connection, ready.text, [given[name] for name in ready.names])
    if not ready.found:
        return rows
    return [_processed(row, ready.found) for row in rows]


async def _connection_of(db: AsyncSession) -> AsyncConnection:
    """That of its transaction. A session closes its connection with the transaction, so an open one is of this transaction."""
    known: AsyncConnection | None = db.info.get(CONNECTION)
    if known is None or known.closed or known.invalidated:
        known = db.info[CONNECTION] = await db.connection()
    return known


@lru_cache(maxsize=MOST)
def _make_ready(statement: Any, names: tuple[str, ...], dialect_name: str) -> Ready:
    dialect = DIALECTS[dialect_name]
    names_if_rows = list(names) if statement.is_dml else None
    compiled = cast("SQLCompiler", statement.compile(dialect=dialect, column_keys=names_if_rows))
    if compiled.insert_prefetch or compiled.update_prefetch or compiled.post_compile_params or compiled.literal_execute_params:
        raise TypeError("this statement needs SQLAlchemy to execute it")
    binds = {name: bind for bind, name in compiled.bind_names.items()}
    bound = {name: process for name, bind in binds.items() if (process := _processor(bind.type, dialect, "bind_processor"))}
    fixed = {name: bind.effective_value for name, bind in binds.items() if name not in names}
    fixed = {name: bound[name](value) if name in bound else value for name, value in fixed.items()}
    columns = [_processor(column.type, dialect, "result_processor", None) for column in statement.exported_columns]
    return Ready(
        str(compiled).encode(),
        tuple(compiled.positiontup or ()),
        fixed,
        tuple((name, process) for name, process in bound.items() if name in names),
        tuple((place, process) for place, process in enumerate(columns) if process is not None),
    )


def _processor(of: Any, dialect: Dialect, kind: str, *more: Any) -> Process | None:
    process: Process | None = getattr(of.dialect_impl(dialect), kind)(dialect, *more)
    return process


def _processed(row: Row, found: tuple[tuple[int, Process], ...]) -> Row:
    values = list(row)
    for place, process in found:
        values[place] = process(values[place])
    return tuple(values)


async def _execute(connection: AsyncConnection, text: bytes, parameters: list[Any]) -> list[Row]:
    from app.wire import Wire

    pooled = cast("Connection", connection.sync_connection).connection
    driver: Any = pooled.driver_connection
    wire: Wire | None = pooled.info.get(WIRE)
    if wire is None or wire.connection is not driver:
        wire = pooled.info[WIRE] = Wire(driver)
    dialect = connection.dialect
    error_class = dialect.loaded_dbapi.Error
    try:
        return await wire.execute(text, parameters)
    except BaseException as error:  # a task that is cancelled, too
        if wire.at_work or driver.closed or getattr(error, "sqlstate", None) in OUTDATED:
            await connection.invalidate(error)
        if not isinstance(error, error_class):
            raise
        statement = text.decode()
        raise DBAPIError.instance(statement, None, error, error_class, hide_parameters=True, dialect=dialect) from error
