"""The session check on PostgreSQL: one statement answers every question that waited while the last was under way."""

import uuid
from collections.abc import Awaitable
from datetime import datetime

from app.core.permissions import ROLES
from app.core.ports import Account, LiveSession
from app.infra.parsed import Parsed
from app.infra.postgres_batches import EPOCH, Line, PostgresBatches, Row, array, moment, read_record

NOBODY = uuid.UUID(int=0)
UUID_OID = 2950


class PostgresSessionChecks(PostgresBatches[tuple[uuid.UUID, datetime], LiveSession | None]):
    """Asks the primary whether sessions are alive.

    A session that somebody opened to act as another is, as long as the one it was opened from: no other pays for that question.

    The row comes as one value, and what that says is parsed once: the same bytes say the same.
    """

    statement = b"""
    SELECT s.id, ROW(s.id, s.used_at, u.id, u.username, u.email, u.role, u.email_verified_at IS NOT NULL, u.created_at,
        u.display_name, u.locale, s.authenticated_at, s.cookie_digest, s.acr, s.impersonator_id)
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = ANY($1::uuid[]) AND s.ended_at IS NULL AND s.expires_at > $2::timestamptz AND u.disabled_at IS NULL
    AND NOT pg_is_in_recovery()
    AND (s.parent_id IS NULL OR (
        SELECT p.ended_at IS NULL AND p.expires_at > $2::timestamptz AND i.disabled_at IS NULL
        FROM sessions p JOIN users i ON i.id = p.user_id WHERE p.id = s.parent_id
    ))
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._live = Parsed(_live)

    def find_live(self, session_id: uuid.UUID, now: datetime) -> Awaitable[LiveSession | None]:
        """See `SessionChecks.find_live`."""
        return self.ask((session_id, now))

    async def ping(self) -> None:
        """See `SessionChecks.ping`."""
        # The oldest moment there is: a batch is asked by its latest one, and must not find its sessions expired by this.
        await self.ask((NOBODY, EPOCH))

    async def answers(self, line: Line, batch: list[tuple[uuid.UUID, datetime]]) -> list[LiveSession | None]:
        """See `PostgresBatches.answers`."""
        ids = [session_id.bytes for session_id, _ in batch]
        found = dict(await line.pairs(array(UUID_OID, ids), moment(max([now for _, now in batch]))))
        live = self._live.of
        return [live(session_id, record) if (record := found.get(session_id)) is not None else None for session_id in ids]


def _live(record: bytes) -> LiveSession | None:
    row: Row = read_record(record)
    sid, used_at, user_id, username, email, role_name, verified, created_at, display_name, locale, proved_at, *more = row
    role = ROLES.get(role_name)
    if role is None:  # of a newer version, beside this one: no entry here, and nobody else's answer depends on it
        return None
    account = Account(user_id, username, email, role, verified, created_at, display_name, locale)
    return LiveSession(sid, used_at, account, proved_at, *more)
