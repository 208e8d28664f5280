"""Asking for later work."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import random_id
from app.jobs import repository
from app.jobs.models import Job, State

WAKE = "jobs.wake"  # key in a session's info: something was enqueued


async def enqueue(
    db: AsyncSession, kind: str, payload: dict[str, Any], now: datetime, *, delay: timedelta = timedelta()
) -> uuid.UUID:
    """A row in the caller's transaction; a worker does it at least once, from `delay` on."""
    job_id = random_id()
    await repository.add_job(db, job_id, kind, payload, now, now + delay)
    db.info[WAKE] = True
    return job_id


async def hasten(db: AsyncSession, kind: str, name: str, value: str, run_at: datetime, now: datetime) -> bool:
    """Have a job that waits, of this kind and with this in its payload, done by then; False where none waits."""
    found = await repository.hasten(db, kind, name, value, run_at, now)
    db.info[WAKE] = db.info.get(WAKE, False) or found
    return found


async def forget(db: AsyncSession, *kinds: str) -> None:
    """Drop every job of these kinds."""
    await repository.delete_jobs(db, kinds)


async def count_dead(db: AsyncSession) -> int:
    """How many jobs were tried for days and given up."""
    return await repository.count_dead(db)


async def count_of(db: AsyncSession, kind: str) -> repository.Counts:
    """How many jobs of a kind wait, and how many were given up."""
    return await repository.count_of(db, kind)


def state_of(job: Job, now: datetime) -> State:
    """How far a job is at this moment."""
    if job.dead_at is not None:
        return State.DEAD
    return State.RUNNING if job.lease_until is not None and job.lease_until >= now else State.QUEUED


async def find_job(db: AsyncSession, job_id: uuid.UUID) -> Job | None:
    """One, if it is there still."""
    return await repository.find_job(db, job_id)


async def list_jobs(
    db: AsyncSession, kind: str | None, state: State | None, after: tuple[datetime, uuid.UUID] | None, limit: int, now: datetime
) -> list[Job]:
    """Of a kind, in a state; newest first, from behind `after`."""
    return await repository.list_jobs(db, kind, state, after, limit, now)


async def count_by_kind(db: AsyncSession, now: datetime) -> list[tuple[str, int, int, int]]:
    """Of each kind that there is: how many wait, run, were given up."""
    return await repository.count_by_kind(db, now)


async def find_oldest_due(db: AsyncSession, now: datetime) -> datetime | None:
    """Since when the job has been due that has been so the longest, and is not under way."""
    return await repository.find_oldest_due(db, now)


async def retry(db: AsyncSession, job_id: uuid.UUID, now: datetime) -> Job | None:
    """Have one tried at once, and for days from now on; None where there is none, or a worker is at it."""
    job = await repository.retry_job(db, job_id, now)
    db.info[WAKE] = True
    return job


async def discard(db: AsyncSession, job_id: uuid.UUID, now: datetime) -> str | None:
    """Forget one, and tell its kind; None where there is none, or a worker is at it."""
    return await repository.discard_job(db, job_id, now)
