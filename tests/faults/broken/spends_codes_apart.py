"""Spends a recovery code in a transaction of its own, a moment before that of the session."""

import asyncio
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.mfa import repository
from tests.faults.launching import launch, put

APART_SECONDS = 5.0  # time enough to see the code spent and to kill
spend = repository.spend_code


async def _spend_apart(db: AsyncSession, *arguments: Any) -> bool:
    spent = await spend(db, *arguments)
    await db.commit()
    await asyncio.sleep(APART_SECONDS)
    return spent


put(repository, "spend_code", _spend_apart)

if __name__ == "__main__":
    launch()
