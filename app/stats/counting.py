"""Counting: what the audit log says of each hour, how things stand, how long answers took.

Numbers from the log are set, never added to, by whoever has the turn: counted twice, an hour has the same number.
"""

from datetime import UTC, datetime, timedelta

from app.audit.search_repository import count_by_hour, find_first
from app.core.latency import Latency
from app.database import Database
from app.jobs import service as jobs
from app.mail.service import KIND as MAIL
from app.stats import repository
from app.stats.service import DEAD, GAUGES, HOUR, KEPT, LATENCY, NAMES, QUEUED, SERIES, SESSIONS, hour_of, number_of

EVERY = timedelta(minutes=1)
LOOK_EVERY = timedelta(seconds=15)
AT_ONCE = 24  # hours in one turn
LATE = timedelta(minutes=5)  # after an hour its number is final: rows commit within seconds, clocks differ by less
START = datetime(1970, 1, 1, tzinfo=UTC)


class Counter:
    """Part of jobs.STEADY: once a minute, on one worker. A day a second while it catches up with what happened before.

    An hour in which nothing happened may have no number.
    """

    name = "stats.counter"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looked_at: datetime | None = None

    async def tick(self, now: datetime) -> None:
        """See `Steady.tick`."""
        if self._looked_at is not None and abs(now - self._looked_at) < LOOK_EVERY:
            return
        self._looked_at = now
        async with self._database.write() as db:
            reached = await repository.take_turn(db, now, EVERY)
        if reached is None:
            return
        if await self._count(reached, now):
            await self._measure(now)
        else:
            self._looked_at = None

    async def finish(self, _now: datetime) -> None:
        """See `Steady.finish`: another worker counts on."""

    async def _count(self, reached: int, now: datetime) -> bool:
        """Whether all there is has been counted."""
        newest = number_of(hour_of(now))
        first = min(max(reached, newest - KEPT // HOUR), newest)
        values: dict[tuple[str, datetime], int] = {}
        async with self._database.read() as db:
            oldest = await find_first(db, START + first * HOUR)  # what lies before it is not gone through hour by hour
            first = min(number_of(hour_of(oldest)), newest) if oldest is not None else newest
            last = min(first + AT_ONCE - 1, newest)
            for number in range(first, last + 1):
                hour = START + number * HOUR
                values |= {(name, hour): 0 for name in NAMES}
                for fact, count in await count_by_hour(db, list(SERIES), hour, hour + HOUR):
                    values[SERIES[fact], hour] += count
        final = min(last + 1, number_of(hour_of(now - LATE)))
        done = last == newest
        async with self._database.write() as db:
            # Whoever was slow, and lost the turn, has older numbers.
            if await repository.move_turn(db, now, final, now if done else START):
                await repository.set_points(db, values, now)
        return done

    async def _measure(self, now: datetime) -> None:
        async with self._database.read() as db:
            alive = await repository.count_sessions(db, now)
            mails = await jobs.count_of(db, MAIL)
        values = {SESSIONS: alive, QUEUED: mails.waiting, DEAD: mails.dead}
        hour = hour_of(now)
        async with self._database.write() as db:
            await repository.set_points(db, {(name, hour): values[name] for name in GAUGES}, now)


class Flusher:
    """Part of jobs.LOCAL: adds this process' answers to the table. A process that is killed loses those of a minute at most."""

    name = "stats.flusher"

    def __init__(self, database: Database, latency: Latency) -> None:
        self._database = database
        self._latency = latency
        self._flushed_at: datetime | None = None

    async def tick(self, now: datetime) -> None:
        """See `Steady.tick`."""
        self._flushed_at = self._flushed_at or now
        if abs(now - self._flushed_at) >= EVERY:
            await self._flush(now)

    async def finish(self, now: datetime) -> None:
        """See `Steady.finish`."""
        await self._flush(now)

    async def _flush(self, now: datetime) -> None:
        self._flushed_at = now
        taken = self._latency.take()
        hour = hour_of(now)
        values = {(name, hour): count for name, count in zip(LATENCY, taken, strict=True) if count}
        if not values:
            return
        try:
            async with self._database.write() as db:
                await repository.add_to_points(db, values, now)
        except BaseException:  # cancelled at shutdown, too: the last flush takes them along
            self._latency.give_back(taken)
            raise
