"""Looks whether a name is free, then inserts it as if nobody could be faster."""

from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.users import repository
from app.users.models import User
from tests.faults.launching import launch, put


async def _add_user(db: AsyncSession, values: dict[str, Any]) -> User | None:
    await db.execute(insert(User).values(values))
    return await repository.find_user(db, values["id"])


put(repository, "add_user", _add_user)

if __name__ == "__main__":
    launch()
