"""Refresh on PostgreSQL: the rotations that are asked for while a commit is under way share the next one."""

import uuid
from datetime import UTC

from app.core.permissions import ROLES
from app.core.ports import Account, Rotated, Rotation, SessionFacts
from app.infra.postgres_batches import Line, PostgresBatches, Row, array, moment

UUID_OID, INT_OID, BYTES_OID, MOMENT_OID = 2950, 23, 17, 1184


class PostgresRotations(PostgresBatches[Rotation, Rotated | None]):
    """Rotates sessions of whom nothing else is to be said.

    Rows that somebody else holds are left alone instead of being waited for: a batch that waits, holding rows, could wait
    for whoever waits for it. A rotation that was committed and is put again finds its generation spent: the closer look then
    gives the same client the same successor.
    """

    statement = b"""
    WITH held AS (
        SELECT s.id, q.generation, q.client, q.now
        FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bytea[], $5::timestamptz[])
            AS q(id, user_id, generation, client, now)
        JOIN sessions s ON s.id = q.id AND s.user_id = q.user_id AND s.generation = q.generation
        JOIN users u ON u.id = s.user_id
        WHERE s.ended_at IS NULL AND s.expires_at > q.now AND u.disabled_at IS NULL
        FOR UPDATE OF s SKIP LOCKED
    )
    UPDATE sessions s SET generation = s.generation + 1, rotated_at = h.now, rotated_by = h.client, used_at = h.now
    FROM held h, users u
    WHERE s.id = h.id AND s.generation = h.generation AND s.ended_at IS NULL AND u.id = s.user_id AND u.disabled_at IS NULL
    RETURNING s.id, s.generation, s.authenticated_at, s.expires_at, s.amr, s.acr, s.rotated_at,
        u.id, u.username, u.email, u.role, u.email_verified_at IS NOT NULL, u.created_at
    """

    async def rotate(self, rotation: Rotation) -> Rotated | None:
        """See `Rotations.rotate`."""
        return await self.ask(rotation)

    async def answers(self, line: Line, batch: list[Rotation]) -> list[Rotated | None]:
        """See `PostgresBatches.answers`."""
        # Of two who ask for the same session in one batch, only the first is put: the other is a case for a closer look.
        first: dict[uuid.UUID, Rotation] = {}
        for each in batch:
            first.setdefault(each.session_id, each)
        asked = list(first.values())
        rows = await line.select(
            array(UUID_OID, [each.session_id.bytes for each in asked]),
            array(UUID_OID, [each.user_id.bytes for each in asked]),
            array(INT_OID, [each.generation.to_bytes(4, "big") for each in asked]),
            array(BYTES_OID, [each.client for each in asked]),
            array(MOMENT_OID, [moment(each.now) for each in asked]),
        )
        rotated = {row[0]: _rotated(row) for row in rows}
        return [rotated.get(each.session_id) if first[each.session_id] is each else None for each in batch]


def _rotated(row: Row) -> Rotated | None:
    sid, generation, authenticated_at, expires_at, amr, acr, rotated_at, *account = row
    user_id, username, email, role_name, verified, registered_at = account
    role = ROLES.get(role_name)
    if role is None:
        return None
    who = Account(user_id, username, email, role, verified, registered_at.astimezone(UTC))
    return Rotated(SessionFacts(sid, generation, rotated_at, authenticated_at, expires_at, amr, acr), who)
