"""Writes the audit row in a transaction of its own, a moment after that of the change."""

import asyncio
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from tests.faults.launching import databases, launch, put

record = audit.record
late: set[asyncio.Task[None]] = set()


async def _record_late(_db: AsyncSession, *arguments: Any, **more: Any) -> None:
    async def write() -> None:
        await asyncio.sleep(0.02)
        async with databases[-1].write() as other:
            await record(other, *arguments, **more)

    task = asyncio.create_task(write())
    late.add(task)
    task.add_done_callback(late.discard)


put(audit, "record", _record_late)

if __name__ == "__main__":
    launch()
