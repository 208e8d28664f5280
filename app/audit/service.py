"""Writing security events down."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.facts import Fact
from app.audit.models import AuditEvent
from app.core.caller import Caller
from app.core.client import Client
from app.database import run

RECORD: Any = insert(AuditEvent.__table__).inline()  # type: ignore[arg-type]  # declared as FromClause, it is a Table


async def record(
    db: AsyncSession,
    fact: Fact,
    client: Client,
    now: datetime,
    *,
    actor: uuid.UUID | None = None,
    subject: uuid.UUID | None = None,
    session: uuid.UUID | None = None,
    **data: Any,
) -> None:
    """One row, in the caller's transaction: all or none. `data` holds what changed, never a secret or a whole address."""
    await run(
        db,
        RECORD,
        {
            "at": now,
            "fact": fact,
            "actor_id": actor,
            "subject_id": subject,
            "session_id": session,
            "address": client.address[:64],
            "user_agent": client.user_agent,
            "request_id": client.request_id,
            "data": data,
        },
    )


async def record_denial(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """A signed-in caller was refused (ASVS V16.3.2)."""
    await record(
        db, Fact.ACCESS_DENIED, caller.client, now, actor=caller.user_id, subject=caller.user_id, session=caller.session_id
    )
