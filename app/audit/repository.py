"""SQL of security events."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import ABOUT_ANOTHER, AuditEvent
from app.database import run

ADD_EVENT = insert(AuditEvent.__table__).inline()  # type: ignore[arg-type]  # declared as FromClause, it is a Table
COLUMNS = tuple(AuditEvent.__table__.columns)  # plain rows: a session would keep every entity it has read
PAGE = 500


async def add_event(db: AsyncSession, values: dict[str, Any]) -> None:
    """One more row."""
    await run(db, ADD_EVENT, values)


async def pages_about(db: AsyncSession, user_id: uuid.UUID) -> AsyncIterator[Sequence[Any]]:
    """The rows whose subject is this account, then those of what it did to others, some hundreds at a time; each oldest first.

    One after the other, since each has an index in the order of the pages.
    """
    for about in (AuditEvent.subject_id == user_id, and_(AuditEvent.actor_id == user_id, ABOUT_ANOTHER)):
        last, page = 0, None
        while page is None or len(page) == PAGE:
            query = select(*COLUMNS).where(about, AuditEvent.id > last).order_by(AuditEvent.id).limit(PAGE)
            page = (await db.execute(query)).all()
            if page:
                yield page
                last = page[-1].id


async def blank_clients(db: AsyncSession, event_ids: Sequence[int]) -> None:
    """Empty where these came from."""
    if event_ids:
        blank = update(AuditEvent).where(AuditEvent.id.in_(event_ids)).values(address="", user_agent="")
        await db.execute(blank.execution_options(synchronize_session=False))


async def replace_data(db: AsyncSession, event_id: int, data: dict[str, Any]) -> None:
    """Let a row keep only this."""
    kept = update(AuditEvent).where(AuditEvent.id == event_id).values(data=data)
    await db.execute(kept.execution_options(synchronize_session=False))
