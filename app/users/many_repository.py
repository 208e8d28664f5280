"""SQL of many accounts at once: what is there of them, adding them, reading all."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import among
from app.users.models import User

KNOWN = (User.id, User.username_key, User.email_key)


async def list_known(
    db: AsyncSession, ids: Sequence[uuid.UUID], username_keys: Sequence[str], email_keys: Sequence[str]
) -> Sequence[Any]:
    """Id and keys of the accounts that have one of these."""
    wanted = or_(among(db, User.id, ids), among(db, User.username_key, username_keys), among(db, User.email_key, email_keys))
    return (await db.execute(select(*KNOWN).where(wanted))).all()


async def list_behind(db: AsyncSession, last: uuid.UUID | None, limit: int) -> Sequence[Any]:
    """The next accounts in the order of their ids, as plain rows."""
    query = select(*User.__table__.columns).order_by(User.id).limit(limit)
    return (await db.execute(query.where(User.id > last) if last else query)).all()
