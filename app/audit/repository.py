"""SQL of security events."""

from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import AuditEvent
from app.database import run

ADD_EVENT = insert(AuditEvent.__table__).inline()  # type: ignore[arg-type]  # declared as FromClause, it is a Table


async def add_event(db: AsyncSession, values: dict[str, Any]) -> None:
    """One more row."""
    await run(db, ADD_EVENT, values)
