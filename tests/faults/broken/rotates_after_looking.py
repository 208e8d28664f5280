"""Looks whether a refresh token is the newest, then rotates: two who look at once both win."""

import asyncio
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import repository
from app.auth.models import Session
from app.infra.rotations_postgres import PostgresRotations
from tests.faults.launching import databases, launch, put


async def _rotate_session(
    db: AsyncSession, session_id: uuid.UUID, user_id: uuid.UUID, generation: int, client: bytes, now: datetime
) -> Session | None:
    async with databases[-1].read() as other:
        session = await repository.find_session(other, session_id)
    await asyncio.sleep(0.01)
    if session is None or session.generation != generation or session.ended_at:
        return None
    values = {"generation": generation + 1, "rotated_at": now, "rotated_by": client}
    await db.execute(update(Session).where(Session.id == session_id).values(**values))
    return await repository.find_session(db, session_id)


async def _rotate(*_: Any) -> None:
    """The closer look for everybody."""


put(repository, "rotate_session", _rotate_session)
put(PostgresRotations, "rotate", _rotate)

if __name__ == "__main__":
    launch()
