"""Moves the cursor of webhooks in one transaction and writes down who is to be told in the next. Leases are short."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs import worker
from app.webhooks import repository, sending, telling
from tests.faults.launching import databases, launch, put

APART_SECONDS = 2.5  # longer than the test waits before it kills
move, add_deliveries = telling._move, repository.add_deliveries
kept: list[dict[str, Any]] = []


async def _keep(_db: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    kept.extend(rows)


async def _tell_some(self: telling.Teller, now: datetime) -> int:
    async with databases[-1].write() as db:
        told = await move(db, now)
    rows, kept[:] = [*kept], []
    if rows:
        await asyncio.sleep(APART_SECONDS)
        async with databases[-1].write() as db:
            await add_deliveries(db, rows)
    return told


put(repository, "add_deliveries", _keep)
put(telling.Teller, "_tell_some", _tell_some)
put(worker, "LEASE", timedelta(seconds=2))
put(sending, "LEASE", timedelta(seconds=2))

if __name__ == "__main__":
    launch()
