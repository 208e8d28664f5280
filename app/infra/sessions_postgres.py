"""The session check on PostgreSQL: one statement answers every question that waited while the last was under way."""

import asyncio
import uuid
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from psycopg import AsyncConnection, Error
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
Result = TypeVar("Result")

FIND_LIVE = """
SELECT s.id, s.used_at, u.id, u.username, u.email, u.role, u.email_verified_at IS NOT NULL, u.created_at
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = ANY(%s) AND s.ended_at IS NULL AND s.expires_at > %s AND u.disabled_at IS NULL
AND NOT pg_is_in_recovery()
"""


class PostgresSessionChecks:
    """Asks the primary on an autocommit connection of its own.

    A question is put into the batch that is sent next, never into one already sent: a statement under way may see a
    snapshot older than an ending that has been answered since.
    """

    def __init__(self, url: str) -> None:
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: AsyncConnection[Row] | None = None
        self._waiting: list[Question] = []
        self._worker: asyncio.Task[None] | None = None
        self._abandoned: set[asyncio.Future[Any]] = set()

    async def find_live(self, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
        """See `SessionChecks.find_live`."""
        answer: asyncio.Future[LiveSession | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((session_id, now, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            raise Unavailable from None

    async def ping(self) -> None:
        """See `SessionChecks.ping`."""
        # The oldest moment there is: a batch is asked by its latest one, and must not find its sessions expired by this.
        await self.find_live(NOBODY, datetime.min.replace(tzinfo=UTC))

    async def close(self) -> None:
        """See `SessionChecks.close`."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._leave_unanswered(self._waiting)
        for task in self._abandoned:
            task.cancel()
        await self._drop()

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    found = await self._ask([sid for sid, _, _ in batch], max(now for _, now, _ in batch))
                except Exception as error:  # whatever it was, nobody may be let in by it, nor left waiting
                    log.warning("sessions.unanswered", error=type(error).__name__)
                    await self._drop()
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
        if self._connection is None:
            # The other side may have gone away since; then one more try on a new connection is right, as nothing is written.
            self._connection = await self._within(self._connect())
        try:
            rows = await self._within(self._select(self._connection, session_ids, now))
        except Error:
            await self._drop()
            self._connection = await self._within(self._connect())
            rows = await self._within(self._select(self._connection, session_ids, now))
        return {row[0]: _live(row) for row in rows}

    async def _connect(self) -> AsyncConnection[Row]:
        return await AsyncConnection.connect(self._conninfo, autocommit=True, **postgres_options())

    async def _select(self, connection: AsyncConnection[Row], session_ids: list[uuid.UUID], now: datetime) -> list[Row]:
        cursor = await connection.execute(FIND_LIVE, (session_ids, now), prepare=True)
        return await cursor.fetchall()

    async def _within(self, asking: Awaitable[Result]) -> Result:
        # A driver waiting for a stuck server does not end when cancelled; so it is left behind, with its connection.
        task = asyncio.ensure_future(asking)
        try:
            await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        finally:
            if not task.done():
                self._abandon(task)
        if not task.done():
            raise TimeoutError
        return task.result()

    def _abandon(self, task: "asyncio.Future[Any]") -> None:
        connection, self._connection = self._connection, None
        self._abandoned.add(task)
        task.add_done_callback(lambda ended: self._let_go(ended, connection))
        task.cancel()

    def _let_go(self, task: "asyncio.Future[Any]", connection: AsyncConnection[Row] | None) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()
        if connection is not None:
            connection.pgconn.finish()

    @staticmethod
    def _leave_unanswered(questions: list[Question]) -> None:
        for _, _, answer in questions:
            if not answer.done():
                answer.set_exception(Unavailable())

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _live(row: Row) -> LiveSession:
    sid, used_at, *account = row
    user_id, username, email, role, verified, created_at = account
    return LiveSession(sid, used_at, Account(user_id, username, email, Role(role), verified, created_at))
