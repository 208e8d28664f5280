"""Counts the admins first and acts on that, with no row held and the caller's session not read again."""

import asyncio
import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.users import repository, service
from app.users.models import User
from tests.faults.launching import databases, launch, put


async def _lock_users_and_admins(_db: AsyncSession, user_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, User]:
    wanted = or_(User.id.in_(list(user_ids)), repository.ACTIVE_ADMIN)
    async with databases[-1].read() as other:
        found = {user.id: user for user in (await other.scalars(select(User).where(wanted))).all()}
    await asyncio.sleep(0.02)
    return found


async def _confirm(*_: Any) -> None: ...


put(repository, "lock_users_and_admins", _lock_users_and_admins)
put(service, "confirm", _confirm)

if __name__ == "__main__":
    launch()
