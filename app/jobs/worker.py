"""The worker: claims due jobs under a lease, does them, retries with back-off; runs the daily round, and steady work beside it.

Killed at any moment it loses nothing: the lease of a job that was not ended runs out, and another worker takes it.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.core.crypto import random_fraction, random_id
from app.core.edge import frames
from app.core.server import Server
from app.jobs import repository
from app.jobs.models import Job
from app.jobs.service import WAKE
from app.jobs.sockets import DAILY, HANDLERS, LOCAL, MAIN, STEADY, Later, NotNow, Work

log = structlog.get_logger()
LEASE = timedelta(seconds=60)
TRY_SECONDS = 30.0  # well within the lease
GIVE_UP_AFTER = timedelta(days=3)
FIRST_DELAY_SECONDS, MOST_DELAY_SECONDS = 1.0, 300.0
BATCH = 8
SLOTS = 24  # jobs at a time of a lane beside the main one
POLL_SECONDS = 0.5
DAILY_POLL_SECONDS = 60.0
STEADY_SECONDS = 1.0
FINISH_SECONDS = 3.0
GIVE_BACK_SECONDS = 1.0


class JobLost(Exception):
    """No feature knows this kind of job (any more)."""


class Worker:
    """The loop; one in each server process, or alone by `python -m app worker`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._woken: dict[str, asyncio.Event] = {}  # of each lane: set when it is to look for jobs
        self._tasks: list[asyncio.Task[None]] = []
        self._local = False
        server.database.after_commit.append(self._on_commit)

    def start(self, *, local: bool = False) -> None:
        """Begin to work in the background; with `local` only what concerns this process, since another does the jobs."""
        self._local = local
        self._woken = {} if local else {lane: asyncio.Event() for lane in lanes_of(self._server)}
        self._tasks = [asyncio.create_task(self._keep_steady())]
        if not local:
            self._tasks += [asyncio.create_task(self._look()), asyncio.create_task(self._do_jobs())]
            self._tasks += [asyncio.create_task(self._do_lane(lane)) for lane in self._woken if lane != MAIN]

    async def stop(self) -> None:
        """Stop; what was under way is broken off and given back, to be tried again by whoever comes next."""
        if self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS):
                    await run_steady(self._server, self._server.clock(), last=True, local=self._local)

    async def _keep_steady(self) -> None:
        while True:
            await asyncio.sleep(STEADY_SECONDS * (0.75 + random_fraction() / 2))
            await run_steady(self._server, self._server.clock(), local=self._local)

    async def _look(self) -> None:
        """Wake the lanes that have something due, by one question for all of them: what another process enqueued, or is late."""
        every = [_kinds_of(self._server, lane) for lane in self._woken]
        while True:
            await asyncio.sleep(POLL_SECONDS * (0.5 + random_fraction()))
            if self._server.problem is None:
                with _outliving():
                    async with self._server.database.read() as db:
                        due = await repository.have_due(db, self._server.clock(), every)
                    for woken, is_due in zip(self._woken.values(), due, strict=True):
                        if is_due:
                            woken.set()

    async def _do_jobs(self) -> None:
        loop = asyncio.get_running_loop()
        next_daily, woken = 0.0, self._woken[MAIN]
        while True:
            woken.clear()
            with _outliving():
                if self._server.problem is None:
                    if loop.time() >= next_daily:
                        await run_daily(self._server, self._server.clock())
                        next_daily = loop.time() + DAILY_POLL_SECONDS
                    await run_due(self._server, lane=MAIN)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(next_daily - loop.time(), POLL_SECONDS)):
                    await woken.wait()

    async def _do_lane(self, lane: str) -> None:
        """Of a lane beside the main one each job is begun as soon as a slot is free, however long others take."""
        woken, under_way = self._woken[lane], set[asyncio.Task[None]]()
        try:
            while True:
                woken.clear()
                if self._server.problem is None and len(under_way) < SLOTS:
                    moment = self._server.clock()
                    with _outliving():
                        for job in await _claim(self._server, moment, lane, SLOTS - len(under_way)):
                            task = asyncio.create_task(self._try_apart(job, moment))
                            under_way.add(task)
                            task.add_done_callback(under_way.discard)
                await woken.wait()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _try_apart(self, job: Job, now: datetime) -> None:
        with _outliving():
            await _try(self._server, job, now)

    async def _on_commit(self, info: dict[str, Any]) -> None:
        if info.get(WAKE):
            for woken in self._woken.values():
                woken.set()


@contextlib.contextmanager
def _outliving() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the worker outlives a database that is away
        log.warning("jobs.paused", error=type(error).__name__, at=frames(error))


def lanes_of(server: Server) -> list[str]:
    """The lanes that there are jobs for, the main one first."""
    return list(dict.fromkeys([MAIN, *(handler.lane for handler in HANDLERS.of(server.parts))]))


def _kinds_of(server: Server, lane: str) -> repository.Kinds:
    """What nobody knows is of the main lane: it fails there, and that is seen."""
    mine = lane != MAIN
    kinds = {handler.kind for handler in HANDLERS.of(server.parts) if (handler.lane == lane if mine else handler.lane != MAIN)}
    return repository.Kinds(frozenset(kinds), others=not mine)


async def _claim(server: Server, now: datetime, lane: str, most: int) -> list[Job]:
    kinds = _kinds_of(server, lane)
    async with server.database.read() as db:
        if not await repository.has_due(db, now, kinds):
            return []
    async with server.database.write() as db:
        return await repository.claim_jobs(db, random_id(), now, now + LEASE, most, kinds)


async def run_due(server: Server, now: datetime | None = None, *, lane: str | None = None) -> int:
    """Do what is due until nothing is left, in this lane or in all; how many tries were made."""
    if lane is None:
        return sum(await asyncio.gather(*(run_due(server, now, lane=each) for each in lanes_of(server))))
    tries = 0
    while True:
        moment = now or server.clock()
        jobs = await _claim(server, moment, lane, BATCH)
        if not jobs:
            return tries
        await asyncio.gather(*(_try(server, job, moment) for job in jobs))
        tries += len(jobs)


async def _try(server: Server, job: Job, now: datetime) -> None:
    lease = job.lease
    if lease is None:
        raise LookupError("a claimed job has a lease")
    try:
        async with asyncio.timeout(TRY_SECONDS):
            await _run(server, Work(job.id, job.payload, now), job.kind)
    except Later as later:
        async with server.database.write() as db:
            await repository.postpone_job(db, job.id, lease, repository.Delay(later.run_at, None, None, None))
        return
    except asyncio.CancelledError:  # the worker stops: nobody need wait until the lease has run out
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GIVE_BACK_SECONDS), server.database.write() as db:
                back = repository.Delay(now, job.last_error, job.failing_since, None)
                await repository.postpone_job(db, job.id, lease, back)
        raise
    except Exception as error:  # whatever it was, the job stays and is tried again
        delay = _delay(job, error, max(now, server.clock()))
        dead = delay.dead_at is not None
        log.warning("jobs.failed", kind=job.kind, job=str(job.id), attempt=job.attempts, error=delay.error, dead=dead)
        async with server.database.write() as db:
            await repository.postpone_job(db, job.id, lease, delay)
        return
    async with server.database.write() as db:
        await repository.finish_job(db, job.id, lease)


def _delay(job: Job, error: Exception, now: datetime) -> repository.Delay:
    seconds = min(FIRST_DELAY_SECONDS * 2 ** min(job.attempts - 1, 20), MOST_DELAY_SECONDS) * (0.75 + random_fraction() / 2)
    since = None if isinstance(error, NotNow) else job.failing_since or now
    dead_at = now if since is not None and now - since > GIVE_UP_AFTER else None
    return repository.Delay(now + timedelta(seconds=seconds), type(error).__name__, since, dead_at)


async def _run(server: Server, work: Work, kind: str) -> None:
    for handler in HANDLERS.of(server.parts):
        if handler.kind == kind:
            await handler.run(work)
            return
    raise JobLost(kind)


async def run_steady(server: Server, now: datetime, *, last: bool = False, local: bool = False) -> None:
    """One round of steady work; `last` where the worker stops, `local` where another process does all but this one's own."""
    parts = [*([] if local else STEADY.of(server.parts)), *LOCAL.of(server.parts)]
    for part in parts if server.problem is None else ():
        try:
            await (part.finish(now) if last else part.tick(now))
        except Exception as error:  # one that fails must not keep the others from theirs
            log.warning("jobs.steady_failed", name=part.name, error=type(error).__name__, at=frames(error))


async def run_daily(server: Server, now: datetime) -> bool:
    """The round of tidying up, if it is due and nobody else has taken it."""
    async with server.database.write() as db:
        if not await repository.take_daily_round(db, now):
            return False
    for tidy in DAILY.of(server.parts):
        try:
            async with server.database.write() as db:
                await tidy(db, now)
        except Exception as error:  # one that fails must not keep the others from theirs
            log.warning("jobs.tidy_failed", error=type(error).__name__, at=frames(error))
    return True
