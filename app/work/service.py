"""What staff see of jobs, and do to one: nothing of a payload is shown that a secret is derived from, nor a whole address."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.core.caller import Caller
from app.core.paging import cut_page, read_place
from app.core.permissions import Permission, Role
from app.jobs import service as jobs
from app.jobs.models import Job, State
from app.jobs.personal import said_of
from app.users.holding import check_reach, hold_self
from app.work.deps import WorkKit
from app.work.errors import JobNotFound, JobRunning


@dataclass(frozen=True, slots=True)
class Shown:
    """A job as staff see it."""

    id: uuid.UUID
    kind: str
    state: State
    created_at: datetime
    run_at: datetime
    attempts: int
    failing_since: datetime | None
    last_error: str | None
    dead_at: datetime | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, and how to ask for those after them."""

    items: Sequence[Shown]
    next_cursor: str | None


async def list_jobs(
    db: AsyncSession, kit: WorkKit, kind: str | None, state: State | None, cursor: str | None, limit: int, now: datetime
) -> Page:
    """A page, newest first.

    Raises:
        CursorInvalid: the cursor is not one of this listing.
    """
    listing = f"jobs {state or ''} {kind or ''}"
    found = await jobs.list_jobs(db, kind, state, read_place(kit.cursor_key, listing, cursor), limit + 1, now)
    shown, next_cursor = cut_page(kit.cursor_key, listing, found, limit)
    return Page([_shown(job, now) for job in shown], next_cursor)


async def get(db: AsyncSession, job_id: uuid.UUID, now: datetime) -> Shown:
    """One.

    Raises:
        JobNotFound: see there.
    """
    found = await jobs.find_job(db, job_id)
    if found is None:
        raise JobNotFound
    return _shown(found, now)


async def retry(db: AsyncSession, caller: Caller, job_id: uuid.UUID, now: datetime) -> Shown:
    """Have it tried at once, and for three days from now on.

    Raises:
        OutOfReach, TokenInvalid: see `hold_self`.
        JobNotFound, JobRunning: see there.
    """
    await _check_own(db, caller, now)
    job = await jobs.retry(db, job_id, now)
    if job is None:
        raise await _why_not(db, job_id)
    await _record(db, Fact.JOB_RETRIED, caller, job.id, job.kind, now)
    return _shown(job, now)


async def discard(db: AsyncSession, caller: Caller, job_id: uuid.UUID, now: datetime) -> None:
    """Forget it, undone.

    Raises:
        OutOfReach, TokenInvalid: see `hold_self`.
        JobNotFound, JobRunning: see there.
    """
    await _check_own(db, caller, now)
    kind = await jobs.discard(db, job_id, now)
    if kind is None:
        raise await _why_not(db, job_id)
    await _record(db, Fact.JOB_DISCARDED, caller, job_id, kind, now)


async def _check_own(db: AsyncSession, caller: Caller, now: datetime) -> None:
    acting = await hold_self(db, caller, now)
    await check_reach(db, caller, acting, Permission.JOBS_WRITE, Role.USER, now)


async def _why_not(db: AsyncSession, job_id: uuid.UUID) -> JobNotFound | JobRunning:
    return JobNotFound() if await jobs.find_job(db, job_id) is None else JobRunning()


async def _record(db: AsyncSession, fact: Fact, caller: Caller, job_id: uuid.UUID, kind: str, now: datetime) -> None:
    who = caller.user_id
    await audit.record(db, fact, caller.client, now, actor=who, session=caller.session_id, job=str(job_id), kind=kind)


def _shown(job: Job, now: datetime) -> Shown:
    return Shown(
        id=job.id,
        kind=job.kind,
        state=jobs.state_of(job, now),
        created_at=job.created_at,
        run_at=job.run_at,
        attempts=job.attempts,
        failing_since=job.failing_since,
        last_error=job.last_error,
        dead_at=job.dead_at,
        payload=said_of(job),
    )
