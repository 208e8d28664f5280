"""SQL of jobs."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs.models import DailyRound, Job


async def add_job(
    db: AsyncSession, job_id: uuid.UUID, kind: str, payload: dict[str, Any], now: datetime, run_at: datetime
) -> None:
    """One more job, in the caller's transaction."""
    await db.execute(insert(Job).values(id=job_id, kind=kind, payload=payload, created_at=now, run_at=run_at, attempts=0))


def _due(now: datetime) -> Any:
    return (Job.run_at <= now) & Job.dead_at.is_(None) & or_(Job.lease_until.is_(None), Job.lease_until < now)


async def has_due(db: AsyncSession, now: datetime) -> bool:
    """Whether a claim would find something; only reads."""
    return await db.scalar(select(Job.id).where(_due(now)).limit(1)) is not None


async def claim_jobs(db: AsyncSession, lease: uuid.UUID, now: datetime, until: datetime, most: int) -> list[Job]:
    """Take up to `most` due jobs for this lease; two workers never take the same one."""
    due = select(Job.id).where(_due(now)).order_by(Job.run_at).limit(most).with_for_update(skip_locked=True)
    claim = (
        update(Job)
        .where(Job.id.in_(due), or_(Job.lease_until.is_(None), Job.lease_until < now))
        .values(lease=lease, lease_until=until, attempts=Job.attempts + 1)
        .returning(Job)
        .execution_options(synchronize_session=False)
    )
    return list((await db.scalars(claim)).all())


async def finish_job(db: AsyncSession, job_id: uuid.UUID, lease: uuid.UUID) -> bool:
    """Done: remove it, unless the lease has passed to another worker."""
    gone = await db.execute(delete(Job).where(Job.id == job_id, Job.lease == lease).returning(Job.id))
    return gone.first() is not None


@dataclass(frozen=True, slots=True)
class Delay:
    """What is to become of a job that failed: tried again at `run_at`, or never if `dead_at` is given."""

    run_at: datetime
    error: str
    failing_since: datetime | None
    dead_at: datetime | None


async def postpone_job(db: AsyncSession, job_id: uuid.UUID, lease: uuid.UUID, delay: Delay) -> None:
    """Let go of a job, unless the lease has passed to another worker."""
    await db.execute(
        update(Job)
        .where(Job.id == job_id, Job.lease == lease)
        .values(
            lease=None,
            lease_until=None,
            run_at=delay.run_at,
            last_error=delay.error[:200],
            failing_since=delay.failing_since,
            dead_at=delay.dead_at,
        )
    )


async def delete_jobs(db: AsyncSession, kinds: tuple[str, ...]) -> None:
    """Forget jobs of these kinds, done or not."""
    await db.execute(delete(Job).where(Job.kind.in_(kinds)))


async def count_dead(db: AsyncSession) -> int:
    """How many jobs were given up."""
    return await db.scalar(select(func.count()).select_from(Job).where(Job.dead_at.is_not(None))) or 0


async def take_daily_round(db: AsyncSession, now: datetime) -> bool:
    """True for the one worker whose turn it is; moves the round on by a day."""
    tomorrow = now + timedelta(days=1)
    taken = await db.scalar(
        update(DailyRound)
        .where(DailyRound.name == "daily", DailyRound.due_at <= now)
        .values(due_at=tomorrow)
        .returning(DailyRound.name)
    )
    return taken is not None


def _about(user_id: uuid.UUID | None, email_key: str) -> Any:
    to_address = [func.lower(_said(name)) == email_key for name in ("to", "email")]
    of_account = [_said(name) == str(user_id) for name in ("user", "subject")] if user_id else []
    return or_(*to_address, *of_account)


def _said(name: str) -> Any:
    return Job.payload[name].as_string()


async def list_about(db: AsyncSession, user_id: uuid.UUID | None, email_key: str) -> list[Job]:
    """Jobs for an account or its address, oldest first."""
    return list((await db.scalars(select(Job).where(_about(user_id, email_key)).order_by(Job.created_at, Job.id))).all())


async def delete_about(db: AsyncSession, user_id: uuid.UUID | None, email_key: str) -> None:
    """Forget jobs for an account or its address."""
    await db.execute(delete(Job).where(_about(user_id, email_key)))


async def delete_of(db: AsyncSession, ids: Sequence[str]) -> None:
    """Forget jobs about rows of these ids."""
    await db.execute(delete(Job).where(or_(*(_said(name).in_(ids) for name in ("subject", "change", "invitation")))))
