"""What waits in the database, looked at for each scrape: one reader at a time, and nobody waits long for it."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import sealing
from app.core.clock import Clock
from app.database import Database
from app.jobs import service as jobs

log = structlog.get_logger()
ANSWER_SECONDS = 1.0
OTHER = "other"  # kinds of a newer version beside this one
STATES = ("queued", "running", "dead")


@dataclass(frozen=True, slots=True)
class Stored:
    """The numbers of one look."""

    jobs: dict[str, tuple[int, ...]]  # by kind, in the order of STATES
    jobs_late_seconds: float
    unsealed_seconds: float
    has_foreign_rows: bool


class Reader:
    """Reads when asked; whoever asks meanwhile gets the same answer, so that many scrapes never take many connections."""

    def __init__(self, database: Database, kinds: Collection[str], clock: Clock) -> None:
        self._database = database
        self._kinds = kinds
        self._clock = clock
        self._reading: asyncio.Task[Stored] | None = None

    async def read(self) -> Stored | None:
        """What there is; None if the database does not say within a second."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        task = self._reading  # may hang in a stuck database, and is left to it
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not task.done() or task.cancelled():
            return None
        error = task.exception()
        if error is not None:
            log.info("metrics.database_unread", error=type(error).__name__)
            return None
        return task.result()

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading}, timeout=ANSWER_SECONDS)

    async def _read(self) -> Stored:
        now = self._clock()
        async with self._database.read() as db:
            return await look(db, self._kinds, now)


async def look(db: AsyncSession, kinds: Collection[str], now: datetime) -> Stored:
    """All of it, at one moment."""
    counts: dict[str, tuple[int, ...]] = dict.fromkeys((*sorted(kinds), OTHER), (0, 0, 0))
    for kind, *found in await jobs.count_by_kind(db, now):
        named = kind if kind in kinds else OTHER
        counts[named] = tuple(here + more for here, more in zip(counts[named], found, strict=True))
    waiting = await sealing.look(db)
    return Stored(
        jobs=counts,
        jobs_late_seconds=_seconds_since(await jobs.find_oldest_due(db, now), now),
        unsealed_seconds=_seconds_since(waiting.since, now),
        has_foreign_rows=waiting.foreign,
    )


def _seconds_since(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment is not None else 0.0
