"""The session check on PostgreSQL: one statement answers every question that waited while the last was under way."""

import asyncio
import struct
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from psycopg import AsyncConnection, OperationalError
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy.engine import make_url

from app.core.errors import Unavailable
from app.core.permissions import Role
from app.core.ports import Account, LiveSession
from app.database import postgres_options

log = structlog.get_logger()
NOBODY = uuid.UUID(int=0)
ANSWER_SECONDS = 1.0
Row = tuple[Any, ...]
Question = tuple[uuid.UUID, datetime, "asyncio.Future[LiveSession | None]"]

NAME = b"authkeep_find_live"
FIND_LIVE = b"""
SELECT s.id, s.used_at, u.id, u.username, u.email, u.role, u.email_verified_at IS NOT NULL, u.created_at
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = ANY($1::uuid[]) AND s.ended_at IS NULL AND s.expires_at > $2::timestamptz AND u.disabled_at IS NULL
AND NOT pg_is_in_recovery()
"""
# A batch is a few rows by their keys, whatever the statistics say: of 1,000 users the planner would read all of them.
BY_INDEX = " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
BINARY = 1
UUID_OID = 2950
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # what PostgreSQL counts microseconds from
MICROSECOND = timedelta(microseconds=1)


class PostgresSessionChecks:
    """Asks the primary on an autocommit connection of its own.

    A question is put into the batch that is sent next, never into one already sent: a statement under way may see a
    snapshot older than an ending that has been answered since.
    """

    def __init__(self, url: str) -> None:
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._loop: asyncio.AbstractEventLoop | None = None  # asking asyncio for it is a call of the kernel, each time
        self._line: Line | None = None
        self._waiting: list[Question] = []
        self._oldest = 0.0  # when the first of those that wait was asked, by the loop's clock
        self._worker: asyncio.Task[None] | None = None

    async def find_live(self, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
        """See `SessionChecks.find_live`."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        answer: asyncio.Future[LiveSession | None] = loop.create_future()
        if not self._waiting:
            self._oldest = loop.time()
        self._waiting.append((session_id, now, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def ping(self) -> None:
        """See `SessionChecks.ping`."""
        # The oldest moment there is: a batch is asked by its latest one, and must not find its sessions expired by this.
        await self.find_live(NOBODY, EPOCH)

    async def close(self) -> None:
        """See `SessionChecks.close`."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._leave_unanswered(self._waiting)
        self._drop()

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    # Those asked later have waited for less; so everybody has an answer within the second.
                    async with asyncio.timeout_at(self._oldest + ANSWER_SECONDS):
                        found = await self._ask([sid for sid, _, _ in batch], max(now for _, now, _ in batch))
                except Exception as error:  # whatever it was, nobody may be let in by it, nor left waiting
                    log.warning("sessions.unanswered", error=type(error).__name__)
                    self._drop()
                    self._leave_unanswered(batch)
                    continue
                except asyncio.CancelledError:
                    self._leave_unanswered(batch)
                    raise
                for sid, _, answer in batch:
                    if not answer.done():
                        answer.set_result(found.get(sid))
        finally:
            self._worker = None

    async def _ask(self, session_ids: list[uuid.UUID], now: datetime) -> dict[uuid.UUID, LiveSession]:
        if self._line is None:
            self._line = await Line.open(self._conninfo)
            rows = await self._select(self._line, session_ids, now)
        else:
            try:
                rows = await self._select(self._line, session_ids, now)
            except OperationalError:
                # The other side may have gone away since; then one more try on a new connection is right: nothing is written.
                self._drop()
                self._line = await Line.open(self._conninfo)
                rows = await self._select(self._line, session_ids, now)
        return {row[0]: _live(row) for row in rows}

    async def _select(self, line: "Line", session_ids: list[uuid.UUID], now: datetime) -> list[Row]:
        return await line.select(_uuid_array(session_ids), struct.pack("!q", (now - EPOCH) // MICROSECOND))

    @staticmethod
    def _leave_unanswered(questions: list[Question]) -> None:
        for _, _, answer in questions:
            if not answer.done():
                answer.set_exception(Unavailable())

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


class Line:
    """One connection and one prepared statement, by libpq itself.

    psycopg's cursors take twice as long (docs/performance.md), and do not let go of a server that is stuck when cancelled.
    """

    def __init__(self, connection: AsyncConnection[Row]) -> None:
        self._connection = connection
        self._pq = connection.pgconn
        self._rows = Transformer(connection)
        self._loop = asyncio.get_running_loop()
        self._socket = self._pq.socket
        self._answer: asyncio.Future[PGresult] | None = None
        self._loop.add_reader(self._socket, self._readable)

    @classmethod
    async def open(cls, conninfo: str) -> "Line":
        """Connect and prepare.

        Raises:
            psycopg.Error: the server can't be reached, or refuses.
        """
        options = postgres_options()
        options["options"] += BY_INDEX
        line = cls(await AsyncConnection.connect(conninfo, autocommit=True, **options))
        try:
            line._pq.send_prepare(NAME, FIND_LIVE)
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
        self._pq.send_query_prepared(NAME, parameters, [BINARY] * len(parameters), BINARY)
        result = await self._result(ExecStatus.TUPLES_OK)
        self._rows.set_pgresult(result)
        return self._rows.load_rows(0, result.ntuples, tuple)

    def close(self) -> None:
        """Drop the connection at once, whatever is under way."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
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
            if self._pq.is_busy():
                return
            result = self._pq.get_result()
            while self._pq.get_result() is not None:
                pass
        except OperationalError as error:
            self._loop.remove_reader(self._socket)  # it would call for ever
            self._settle(error)
        else:
            if result is not None:
                self._settle(result)

    def _settle(self, outcome: "PGresult | OperationalError") -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if isinstance(outcome, OperationalError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


def _uuid_array(values: list[uuid.UUID]) -> bytes:
    # Dimensions, no nulls, element type, then length and lower bound of the only dimension; each element with its length.
    head = struct.pack("!iiiii", 1, 0, UUID_OID, len(values), 1)
    return head + b"".join([b"\x00\x00\x00\x10" + value.bytes for value in values])


def _live(row: Row) -> LiveSession:
    sid, used_at, *account = row
    user_id, username, email, role, verified, created_at = account
    return LiveSession(sid, used_at, Account(user_id, username, email, Role(role), verified, created_at))
