"""Brings accounts in by one transaction, their second factors and records by the next. Batches are small."""

import asyncio
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.transfer import service
from app.transfer.people import Person
from app.transfer.service import Importing
from app.users import many
from tests.faults.launching import launch, put

APART_SECONDS = 0.25
add, create_users = Importing._add, many.create_users


async def _nobody(*_: Any) -> None:
    """They are there already."""


async def _add(self: Importing, db: AsyncSession, new: list[Person]) -> None:
    await create_users(db, [person.values for person in new], set(), self._clock())
    await db.commit()
    await asyncio.sleep(APART_SECONDS)
    await add(self, db, new)


put(service, "BATCH", 20)
put(many, "create_users", _nobody)
put(Importing, "_add", _add)

if __name__ == "__main__":
    launch()
