"""The session check on SQLite: one statement inline, about ten microseconds, on a connection that only reads."""

import asyncio
import sqlite3
import uuid
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy.engine import make_url

from app.core.errors import Unavailable
from app.core.permissions import ROLES
from app.core.ports import Account, LiveSession

log = structlog.get_logger()
NOBODY = uuid.UUID(int=0)
AS_STORED = len("2000-01-01 00:00:00.000000")
TRIES, PAUSE_SECONDS = 20, 0.05  # a second in all
FIND_LIVE = """
SELECT s.used_at, u.id, u.username, u.email, u.role, u.email_verified_at IS NOT NULL, u.created_at,
    u.display_name, u.locale, s.authenticated_at, s.cookie_digest
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = ? AND s.ended_at IS NULL AND s.expires_at > ? AND u.disabled_at IS NULL
"""


class SqliteSessionChecks:
    """Asks the file itself; in WAL mode a reader sees every commit that was answered."""

    def __init__(self, url: str) -> None:
        self._path = make_url(url).database or ""
        self._connection: sqlite3.Connection | None = None

    async def find_live(self, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
        """See `SessionChecks.find_live`."""
        parameters = (session_id.hex, now.astimezone(UTC).isoformat(" ", "microseconds")[:AS_STORED])
        for _ in range(TRIES):
            try:
                row = self._open().execute(FIND_LIVE, parameters).fetchone()
            except sqlite3.Error as error:
                log.warning("database.batch_unanswered", error=type(error).__name__)
                await self.close()
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return _live(session_id, row) if row else None
        raise Unavailable

    async def ping(self) -> None:
        """See `SessionChecks.ping`."""
        await self.find_live(NOBODY, datetime.max.replace(tzinfo=UTC))

    async def close(self) -> None:
        """See `SessionChecks.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            # Never wait for a lock here: it would stop the event loop.
            connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA query_only = ON")
            self._connection = connection
        return self._connection


def _live(session_id: uuid.UUID, row: tuple[Any, ...]) -> LiveSession | None:
    used_at, user_id, username, email, role_name, verified, created_at, display_name, locale, authenticated_at, cookie = row
    role = ROLES.get(role_name)
    if role is None:  # of a newer version, beside this one
        return None
    account = Account(uuid.UUID(user_id), username, email, role, bool(verified), _moment(created_at), display_name, locale)
    return LiveSession(session_id, _moment(used_at), account, _moment(authenticated_at), cookie)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
