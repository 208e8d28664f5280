"""SQL of the sessions in which somebody acts as another."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Session
from app.statements import run

ADD_SESSION = insert(Session.__table__)  # type: ignore[arg-type]  # declared as FromClause, it is a Table


async def add_session(db: AsyncSession, session: Session) -> None:
    """A new session."""
    await run(db, ADD_SESSION, {column.name: getattr(session, column.name) for column in Session.__table__.columns})


async def find_parent(db: AsyncSession, session_id: uuid.UUID, now: datetime) -> Session | None:
    """A session from which somebody may act as another: it is alive, and nobody acts as another in it."""
    alive = (Session.id == session_id) & Session.ended_at.is_(None) & (Session.expires_at > now)
    found: Session | None = await db.scalar(select(Session).where(alive, Session.parent_id.is_(None)))
    return found


async def end_opened_from(db: AsyncSession, parent_id: uuid.UUID, now: datetime) -> list[Any]:
    """End the sessions that were opened from this one; id and account of each."""
    opened = update(Session).where(Session.parent_id == parent_id, Session.ended_at.is_(None))
    ended = opened.values(ended_at=now, end_reason="replaced").returning(Session.id, Session.user_id)
    return list((await db.execute(ended)).all())
