"""Asking for later work."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import random_id
from app.jobs import repository

WAKE = "jobs.wake"  # key in a session's info: something was enqueued


async def enqueue(
    db: AsyncSession, kind: str, payload: dict[str, Any], now: datetime, *, delay: timedelta = timedelta()
) -> uuid.UUID:
    """A row in the caller's transaction; a worker does it at least once, from `delay` on."""
    job_id = random_id()
    await repository.add_job(db, job_id, kind, payload, now, now + delay)
    db.info[WAKE] = True
    return job_id


async def forget(db: AsyncSession, *kinds: str) -> None:
    """Drop every job of these kinds."""
    await repository.delete_jobs(db, kinds)


async def count_dead(db: AsyncSession) -> int:
    """How many jobs were tried for days and given up."""
    return await repository.count_dead(db)
