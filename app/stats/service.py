"""The overview, read from what was counted: no big table is touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.facts import Fact
from app.core.latency import BOUNDS_MS, percentile
from app.stats import repository

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURS, DAYS = 24, 30
KEPT = timedelta(days=35)
SIGN_UPS, LOGINS, FAILURES = "sign_ups", "logins", "failed_logins"
SERIES: dict[str, str] = {
    Fact.USER_REGISTERED: SIGN_UPS,
    Fact.INVITATION_ACCEPTED: SIGN_UPS,
    Fact.LOGIN_SUCCEEDED: LOGINS,
    Fact.LOGIN_FAILED: FAILURES,
}
NAMES = (SIGN_UPS, LOGINS, FAILURES)
SESSIONS, QUEUED, DEAD = "active_sessions", "mails_queued", "mails_dead"
GAUGES = (SESSIONS, QUEUED, DEAD)
LATENCY = (*(f"latency.{bound}" for bound in BOUNDS_MS), "latency.more")


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in the hour, or the day in UTC, that begins `at`."""

    at: datetime
    sign_ups: int
    logins: int
    failed_logins: int


@dataclass(frozen=True, slots=True)
class Answers:
    """How many answers there were in this hour and the one before, and within how many milliseconds half and 99 % of them
    came; None: there were none, or it took more than five seconds."""

    count: int
    p50_ms: int | None
    p99_ms: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Numbers as they were at `counted_at`; that and the gauges are None before the first count."""

    counted_at: datetime | None
    is_behind: bool  # what happened before is still being counted
    active_sessions: int | None
    mails_queued: int | None
    mails_dead: int | None
    latency: Answers
    hours: list[Point]
    days: list[Point]
    revision: str | None


async def look(db: AsyncSession, now: datetime) -> Overview:
    """How things stand."""
    hour, today = hour_of(now), now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = {(row.name, row.at): row.value for row in await repository.list_points(db, NAMES, today - DAYS * DAY, hour)}
    by_day: dict[tuple[str, datetime], int] = {}
    for (name, at), value in found.items():
        day = at.replace(hour=0)
        by_day[name, day] = by_day.get((name, day), 0) + value
    gauges = {row.name: row for row in await repository.list_points(db, GAUGES, hour - DAY, hour)}
    values = {name: row.value for name, row in gauges.items()}
    counts = await repository.sum_points(db, LATENCY, hour - HOUR)
    return Overview(
        counted_at=max((row.moved_at for row in gauges.values()), default=None),
        is_behind=await repository.find_reached(db) < number_of(hour - HOUR),
        active_sessions=values.get(SESSIONS),
        mails_queued=values.get(QUEUED),
        mails_dead=values.get(DEAD),
        latency=_answers([counts.get(name, 0) for name in LATENCY]),
        hours=[_point(found, hour - back * HOUR) for back in reversed(range(HOURS))],
        days=[_point(by_day, today - back * DAY) for back in reversed(range(DAYS))],
        revision=await repository.find_revision(db),
    )


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Forget what no page shows any more; part of the daily round."""
    await repository.delete_before(db, now - KEPT)


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def number_of(hour: datetime) -> int:
    """Hours since 1970."""
    return int(hour.timestamp()) // 3600


def _point(values: Mapping[tuple[str, datetime], int], at: datetime) -> Point:
    return Point(at, *(values.get((name, at), 0) for name in NAMES))


def _answers(counts: list[int]) -> Answers:
    return Answers(sum(counts), percentile(counts, 0.5), percentile(counts, 0.99))
