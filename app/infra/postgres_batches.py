"""Many questions, one statement: what waits while a statement is under way goes into the next one.

By libpq itself, since psycopg's cursors take twice as long (docs/performance.md), and do not let go of a server that is stuck
when they are cancelled.
"""

import asyncio
import struct
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import structlog
from psycopg import AsyncConnection, OperationalError
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from sqlalchemy.engine import make_url

from app.core.errors import Unavailable
from app.core.latency import SIZES, Steps
from app.database import postgres_options

log = structlog.get_logger()
ANSWER_SECONDS = 1.0
# A batch is a few rows by their keys, whatever the statistics say: of 1,000 users the planner would read all of them.
BY_INDEX = " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
NAME = b"authkeep_batch"
BINARY = 1
COUNT, COLUMN = struct.Struct("!i"), struct.Struct("!Ii")
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # what PostgreSQL counts microseconds from
MICROSECOND = timedelta(microseconds=1)
Row = tuple[Any, ...]
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class PostgresBatches(ABC, Generic[Asked, Answer]):
    """Asks the primary, on an autocommit connection of its own, one statement at a time.

    A question is put into the batch that is sent next, never into one already sent: a statement under way may see a
    snapshot older than a change that has been answered since.
    """

    statement: bytes

    def __init__(self, url: str) -> None:
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._loop: asyncio.AbstractEventLoop | None = None  # asking asyncio for it is a call of the kernel, each time
        self._line: Line | None = None
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._oldest = 0.0  # when the first of those that wait was asked, by the loop's clock
        self._worker: asyncio.Task[None] | None = None
        self.batches = Steps(SIZES)

    @abstractmethod
    async def answers(self, line: "Line", batch: list[Asked]) -> list[Answer]:
        """The answers to these questions, in their order."""

    def ask(self, asked: Asked) -> "asyncio.Future[Answer]":
        """The answer to one question, asked when this is called.

        Raises:
            Unavailable: none within a second.
        """
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        if not self._waiting:
            self._oldest = loop.time()
        self._waiting.append((asked, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return answer

    async def close(self) -> None:
        """Let go of the connection; whoever still waits has no answer."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        waiting, self._waiting = self._waiting, []
        _leave_unanswered(answer for _, answer in waiting)
        self._drop()

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                self.batches.add(len(batch))
                answers = [answer for _, answer in batch]
                try:
                    # Those asked later have waited for less; so everybody has an answer within the second.
                    async with asyncio.timeout_at(self._oldest + ANSWER_SECONDS):
                        found = await self._on_a_line([asked for asked, _ in batch])
                except Exception as error:  # whatever it was, nobody may be let in by it, nor left waiting
                    log.warning("database.batch_unanswered", error=type(error).__name__)
                    self._drop()
                    _leave_unanswered(answers)
                    continue
                except asyncio.CancelledError:
                    _leave_unanswered(answers)
                    raise
                for answer, value in zip(answers, found, strict=True):
                    if not answer.done():
                        answer.set_result(value)
        finally:
            self._worker = None

    async def _on_a_line(self, batch: list[Asked]) -> list[Answer]:
        if self._line is not None:
            try:
                return await self.answers(self._line, batch)
            except OperationalError:
                # The other side may have gone away since; so once more on a new connection. A statement that writes must
                # bear this: the first try may have been committed.
                self._drop()
        self._line = await Line.open(self._conninfo, self.statement)
        return await self.answers(self._line, batch)

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


def _leave_unanswered(answers: Iterable["asyncio.Future[Any]"]) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(Unavailable())


class Line:
    """One connection and one prepared statement."""

    def __init__(self, connection: AsyncConnection[Row]) -> None:
        self._connection = connection
        self._pq = connection.pgconn
        self._rows = Transformer(connection)
        self._loop = asyncio.get_running_loop()
        self._socket = self._pq.socket
        self._answer: asyncio.Future[PGresult] | None = None
        self._got: PGresult | None = None
        self._watched = True
        self._loop.add_reader(self._socket, self._readable)

    @classmethod
    async def open(cls, conninfo: str, statement: bytes) -> "Line":
        """Connect and prepare.

        Raises:
            psycopg.Error: the server can't be reached, or refuses.
        """
        options = postgres_options()
        options["options"] = options.get("options", "") + BY_INDEX
        line = cls(await AsyncConnection.connect(conninfo, autocommit=True, **options))
        try:
            line._pq.send_prepare(NAME, statement)
            await line._result(ExecStatus.COMMAND_OK)
        except BaseException:
            line.close()
            raise
        return line

    async def select(self, *parameters: bytes) -> list[Row]:
        """The rows for parameters in PostgreSQL's binary form.

        Raises:
            psycopg.OperationalError: the connection is gone, or the server refuses.
        """
        result = await self._rows_for(parameters)
        self._rows.set_pgresult(result)
        return self._rows.load_rows(0, result.ntuples, tuple)

    async def pairs(self, *parameters: bytes) -> list[tuple[bytes, bytes]]:
        """The first two columns of each row, not null, as the server sent them.

        Raises:
            psycopg.OperationalError: as `select`.
        """
        result = await self._rows_for(parameters)
        value: Any = result.get_value
        return [(value(row, 0), value(row, 1)) for row in range(result.ntuples)]

    def _rows_for(self, parameters: tuple[bytes, ...]) -> Awaitable[PGresult]:
        self._pq.send_query_prepared(NAME, parameters, [BINARY] * len(parameters), BINARY)
        return self._result(ExecStatus.TUPLES_OK)

    def close(self) -> None:
        """Drop the connection at once, whatever is under way."""
        self._unwatch()
        self._pq.finish()

    async def _result(self, expected: ExecStatus) -> PGresult:
        self._answer = self._loop.create_future()
        self._flush()
        result = await self._answer
        if result.status != expected:
            raise OperationalError(f"the server answered {ExecStatus(result.status).name}")
        return result

    def _flush(self) -> None:
        if self._pq.flush():
            self._loop.add_writer(self._socket, self._flush)
        else:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            self._pq.consume_input()
            # Asked before each result: waiting for the rest of an answer is the event loop's business.
            while not self._pq.is_busy():
                result = self._pq.get_result()
                if result is None:
                    last, self._got = self._got, None
                    if last is not None:
                        self._settle(last)
                    return
                self._got = result
        except OperationalError as error:
            self._unwatch()
            self._settle(error)

    def _unwatch(self) -> None:
        # Once only: libpq closes the socket of a server that went away, and its number may soon be somebody else's.
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    def _settle(self, outcome: "PGresult | OperationalError") -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if isinstance(outcome, OperationalError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


def array(element_oid: int, values: Sequence[bytes]) -> bytes:
    """A PostgreSQL array of one dimension in binary form, of elements in theirs."""
    # Dimensions, no nulls, element type, then length and lower bound of the only dimension; each element with its length.
    head = struct.pack("!iiiii", 1, 0, element_oid, len(values), 1)
    return head + b"".join([len(value).to_bytes(4, "big") + value for value in values])


def read_record(raw: bytes) -> Row:
    """The values of a row in binary form, as ROW() sends it; moments in UTC."""
    # The number of columns; of each its type, and its value with its length, -1 for null.
    (count,) = COUNT.unpack_from(raw)
    at, types, values = COUNT.size, list[int](), list[bytes | None]()
    for _ in range(count):
        oid, length = COLUMN.unpack_from(raw, at)
        at += COLUMN.size
        types.append(oid)
        values.append(None if length < 0 else raw[at : at + length])
        at += max(length, 0)
    reader = Transformer()  # of no connection: its zone is UTC, whatever the connection's is
    reader.set_loader_types(types, Format.BINARY)
    return reader.load_sequence(values)


def moment(value: datetime) -> bytes:
    """A timestamptz in binary form."""
    return struct.pack("!q", (value - EPOCH) // MICROSECOND)
