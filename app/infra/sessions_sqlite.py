"""The session check on SQLite: what is asked in one turn of the event loop is one statement, on a connection that only reads."""

import asyncio
import json
import sqlite3
import uuid
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy.engine import make_url

from app.core.errors import Unavailable
from app.core.latency import SIZES, Steps
from app.core.permissions import ROLES
from app.core.ports import Account, LiveSession
from app.infra.parsed import Parsed

log = structlog.get_logger()
NOBODY = uuid.UUID(int=0)
AS_STORED = len("2000-01-01 00:00:00.000000")
TRIES, PAUSE_SECONDS = 20, 0.05  # a second in all
Row = tuple[Any, ...]
# Each id by its key: the questions lead, whatever the planner thinks.
FIND_LIVE = """
SELECT s.id, s.used_at, u.id, u.username, u.email, u.role, u.email_verified_at IS NOT NULL, u.created_at,
    u.display_name, u.locale, s.authenticated_at, s.cookie_digest, s.acr, s.impersonator_id
FROM json_each(?1) AS asked CROSS JOIN sessions s ON s.id = asked.value JOIN users u ON u.id = s.user_id
WHERE s.ended_at IS NULL AND s.expires_at > ?2 AND u.disabled_at IS NULL
AND (s.parent_id IS NULL OR (
    SELECT p.ended_at IS NULL AND p.expires_at > ?2 AND i.disabled_at IS NULL
    FROM sessions p JOIN users i ON i.id = p.user_id WHERE p.id = s.parent_id
))
"""


class SqliteSessionChecks:
    """Asks the file itself; in WAL mode a reader sees every commit that was answered.

    A statement for one row costs mostly locks and cold caches; of thirty in one, each costs a third of that. It is sent when
    everybody of the turn has asked, so it sees every commit that was answered before any of the questions.
    """

    def __init__(self, url: str) -> None:
        self._path = make_url(url).database or ""
        self._connection: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # asking asyncio for it is a call of the kernel, each time
        self._waiting: list[tuple[str, datetime, asyncio.Future[Row | None]]] = []
        self.batches = Steps(SIZES)
        self._live = Parsed(_live)

    async def find_live(self, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
        """See `SessionChecks.find_live`."""
        for _ in range(TRIES):
            try:
                row = await self._row(session_id.hex, now)
            except Unavailable:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return self._live.of(row[0], row) if row else None
        raise Unavailable

    async def ping(self) -> None:
        """See `SessionChecks.ping`."""
        # The oldest moment there is: a statement asks by its latest one, and must not find sessions expired by this.
        await self.find_live(NOBODY, datetime.min.replace(tzinfo=UTC))

    def _row(self, session_id: str, now: datetime) -> "asyncio.Future[Row | None]":
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        answer: asyncio.Future[Row | None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._answer)
        self._waiting.append((session_id, now, answer))
        return answer

    def _answer(self) -> None:
        asked, self._waiting = self._waiting, []
        if not asked:
            return
        self.batches.add(len(asked))
        try:
            found = self._read({session_id for session_id, _, _ in asked}, max([now for _, now, _ in asked]))
        except Exception as error:  # whatever it was, nobody may be left waiting
            log.warning("database.batch_unanswered", error=type(error).__name__)
            self._drop()
            for _, _, answer in asked:
                if not answer.done():
                    answer.set_exception(Unavailable())
            return
        for session_id, _, answer in asked:
            if not answer.done():
                answer.set_result(found.get(session_id))

    def _read(self, session_ids: set[str], now: datetime) -> dict[str, Row]:
        parameters = (json.dumps([*session_ids]), now.astimezone(UTC).isoformat(" ", "microseconds")[:AS_STORED])
        return {row[0]: row for row in self._open().execute(FIND_LIVE, parameters)}

    async def close(self) -> None:
        """See `SessionChecks.close`; who has asked is answered first."""
        self._answer()
        self._drop()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            # Never wait for a lock here: it would stop the event loop.
            connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA query_only = ON")
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _live(row: Row) -> LiveSession | None:
    session_id, used_at, user_id, username, email, role_name, verified, created_at, display_name, locale, proved_at, *more = row
    cookie, acr, impersonator = more
    role = ROLES.get(role_name)
    if role is None:  # of a newer version, beside this one
        return None
    account = Account(uuid.UUID(user_id), username, email, role, bool(verified), _moment(created_at), display_name, locale)
    impersonator_id = uuid.UUID(impersonator) if impersonator else None
    return LiveSession(uuid.UUID(session_id), _moment(used_at), account, _moment(proved_at), cookie, acr, impersonator_id)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
