"""SQL of jobs."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs.models import DailyRound, Job, State


async def add_job(
    db: AsyncSession, job_id: uuid.UUID, kind: str, payload: dict[str, Any], now: datetime, run_at: datetime
) -> None:
    """One more job, in the caller's transaction."""
    await db.execute(insert(Job).values(id=job_id, kind=kind, payload=payload, created_at=now, run_at=run_at, attempts=0))


@dataclass(frozen=True, slots=True)
class Kinds:
    """Jobs of these kinds alone, or of all but these."""

    names: frozenset[str] = frozenset()
    others: bool = True

    def where(self) -> Any:
        """As SQL."""
        return Job.kind.not_in(self.names) if self.others else Job.kind.in_(self.names)


EVERY_KIND = Kinds()


def _due(now: datetime, kinds: Kinds) -> Any:
    return (Job.run_at <= now) & Job.dead_at.is_(None) & _idle(now) & kinds.where()


async def has_due(db: AsyncSession, now: datetime, kinds: Kinds = EVERY_KIND) -> bool:
    """Whether a claim would find something; only reads."""
    return await db.scalar(select(Job.id).where(_due(now, kinds)).limit(1)) is not None


async def have_due(db: AsyncSession, now: datetime, every: Sequence[Kinds]) -> Sequence[bool]:
    """The same of several, in one question."""
    return tuple((await db.execute(select(*(exists().where(_due(now, kinds)) for kinds in every)))).one())


async def find_oldest_due(db: AsyncSession, now: datetime) -> datetime | None:
    """Since when the job has been due that has been so the longest, and is not under way."""
    moment: datetime | None = await db.scalar(select(Job.run_at).where(_due(now, EVERY_KIND)).order_by(Job.run_at).limit(1))
    return moment


async def claim_jobs(
    db: AsyncSession, lease: uuid.UUID, now: datetime, until: datetime, most: int, kinds: Kinds = EVERY_KIND
) -> list[Job]:
    """Take up to `most` due jobs for this lease; two workers never take the same one."""
    due = select(Job.id).where(_due(now, kinds)).order_by(Job.run_at).limit(most).with_for_update(skip_locked=True)
    claim = (
        update(Job)
        .where(Job.id.in_(due), or_(Job.lease_until.is_(None), Job.lease_until < now))
        .values(lease=lease, lease_until=until, attempts=Job.attempts + 1)
        .returning(Job)
        .execution_options(synchronize_session=False)
    )
    return list((await db.scalars(claim)).all())


async def hasten(db: AsyncSession, kind: str, name: str, value: str, run_at: datetime, now: datetime) -> bool:
    """Have the jobs of this kind about this done by then, but those a worker is at; False where there is no such job.

    Until the transaction ends nobody claims one that is hastened.
    """
    these = (Job.kind == kind) & (_said(name) == value) & Job.dead_at.is_(None) & _idle(now)
    sooner = update(Job).where(these).values(run_at=case((Job.run_at < run_at, Job.run_at), else_=run_at))
    done = await db.execute(sooner.returning(Job.id).execution_options(synchronize_session=False))
    return bool(done.all())


async def finish_job(db: AsyncSession, job_id: uuid.UUID, lease: uuid.UUID) -> bool:
    """Done: remove it, unless the lease has passed to another worker."""
    gone = await db.execute(delete(Job).where(Job.id == job_id, Job.lease == lease).returning(Job.id))
    return gone.first() is not None


@dataclass(frozen=True, slots=True)
class Delay:
    """What is to become of a job: tried again at `run_at`, or never if `dead_at` is given; without an error it has not failed."""

    run_at: datetime
    error: str | None
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
            last_error=delay.error and delay.error[:200],
            failing_since=delay.failing_since,
            dead_at=delay.dead_at,
            attempts=0 if delay.error is None else Job.attempts,  # a failure's delay grows with those before it alone
        )
    )


async def delete_jobs(db: AsyncSession, kinds: tuple[str, ...]) -> None:
    """Forget jobs of these kinds, done or not."""
    await db.execute(delete(Job).where(Job.kind.in_(kinds)))


async def count_dead(db: AsyncSession) -> int:
    """How many jobs were given up."""
    return await db.scalar(select(func.count()).select_from(Job).where(Job.dead_at.is_not(None))) or 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs of a kind wait or are under way, and how many were given up."""

    waiting: int
    dead: int


async def count_of(db: AsyncSession, kind: str) -> Counts:
    """All of a kind."""
    dead = func.count(Job.dead_at)
    row = (await db.execute(select(func.count() - dead, dead).where(Job.kind == kind))).one()
    return Counts(row[0], row[1])


def _idle(now: datetime) -> Any:
    return or_(Job.lease_until.is_(None), Job.lease_until < now)


async def find_job(db: AsyncSession, job_id: uuid.UUID) -> Job | None:
    """One, if it is there still."""
    return await db.get(Job, job_id)


async def list_jobs(
    db: AsyncSession, kind: str | None, state: State | None, after: tuple[datetime, uuid.UUID] | None, limit: int, now: datetime
) -> list[Job]:
    """Of a kind, in a state; newest first, from behind `after`."""
    of_state = {
        State.QUEUED: Job.dead_at.is_(None) & _idle(now),
        State.RUNNING: Job.dead_at.is_(None) & (Job.lease_until >= now),
        State.DEAD: Job.dead_at.is_not(None),
    }
    wanted = select(Job).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit)
    if kind:
        wanted = wanted.where(Job.kind == kind)
    if state is not None:
        wanted = wanted.where(of_state[state])
    if after is not None:
        moment, job_id = after
        wanted = wanted.where(or_(Job.created_at < moment, (Job.created_at == moment) & (Job.id < job_id)))
    return list((await db.scalars(wanted)).all())


async def count_by_kind(db: AsyncSession, now: datetime) -> list[tuple[str, int, int, int]]:
    """Of each kind: how many wait, run, were given up."""
    dead = func.count(Job.dead_at)
    running = func.sum(case((Job.dead_at.is_(None) & (Job.lease_until >= now), 1), else_=0))
    counts = select(Job.kind, func.count() - dead - running, running, dead).group_by(Job.kind).order_by(Job.kind)
    return [(kind, int(queued), int(runs), int(gone)) for kind, queued, runs, gone in (await db.execute(counts)).all()]


async def retry_job(db: AsyncSession, job_id: uuid.UUID, now: datetime) -> Job | None:
    """Due at once, as if it had never failed, unless a worker is at it."""
    again = (
        update(Job)
        .where(Job.id == job_id, _idle(now))
        .values(run_at=now, dead_at=None, failing_since=None, lease=None, lease_until=None)
        .returning(Job)
        .execution_options(synchronize_session=False)
    )
    return (await db.scalars(again)).one_or_none()


async def discard_job(db: AsyncSession, job_id: uuid.UUID, now: datetime) -> str | None:
    """Gone, unless a worker is at it; its kind."""
    gone = await db.execute(delete(Job).where(Job.id == job_id, _idle(now)).returning(Job.kind))
    return gone.scalar_one_or_none()


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
