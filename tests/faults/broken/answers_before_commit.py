"""Commits a moment after the answer has left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from tests.faults.launching import launch, put

LATE_SECONDS = 0.05
late: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def _write(self: Database) -> AsyncIterator[AsyncSession]:
    db = self._write_sessions()
    db.info.update(self.info)
    try:
        yield db
    except Exception:
        await db.close()
        raise
    task = asyncio.create_task(_commit_late(self, db))
    late.add(task)
    task.add_done_callback(late.discard)


async def _commit_late(database: Database, db: AsyncSession) -> None:
    await asyncio.sleep(LATE_SECONDS)
    await database._commit(db)
    await db.close()


put(Database, "write", _write)

if __name__ == "__main__":
    launch()
