"""Does an act of a bulk action in one transaction and marks its item in the next. Leases are short."""

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk import repository
from app.bulk.models import BulkAction
from app.bulk.running import Runner
from app.jobs import worker
from tests.faults.launching import launch, put

APART_SECONDS = 0.05
act, take_item = Runner._act, repository.take_item


async def _take_item(db: AsyncSession, bulk_id: uuid.UUID, user_id: uuid.UUID, now: datetime, **named: Any) -> bool:
    return True


async def _act(self: Runner, action: BulkAction, user_id: uuid.UUID, now: datetime) -> None:
    await act(self, action, user_id, now)
    await asyncio.sleep(APART_SECONDS)
    async with self._database.write() as db:
        await take_item(db, action.id, user_id, now)


put(repository, "take_item", _take_item)
put(Runner, "_act", _act)
put(worker, "LEASE", timedelta(seconds=2))

if __name__ == "__main__":
    launch()
