"""The worker: claims due jobs under a lease, does them, retries with back-off; runs the daily round.

Killed at any moment it loses nothing: an unfinished lease runs out and another worker takes the job.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.core.crypto import random_fraction, random_id
from app.core.edge import frames
from app.core.server import Server
from app.jobs import repository
from app.jobs.models import Job
from app.jobs.service import WAKE
from app.jobs.sockets import DAILY, HANDLERS, NotNow, Work

log = structlog.get_logger()
LEASE = timedelta(seconds=60)
TRY_SECONDS = 30.0  # well within the lease
GIVE_UP_AFTER = timedelta(days=3)
FIRST_DELAY_SECONDS, MOST_DELAY_SECONDS = 1.0, 300.0
BATCH = 8
POLL_SECONDS = 0.5
DAILY_POLL_SECONDS = 60.0


class JobLost(Exception):
    """No feature knows this kind of job (any more)."""


class Worker:
    """The loop; one in each server process, or alone by `python -m app worker`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        server.database.after_commit.append(self._on_commit)

    def start(self) -> None:
        """Begin to work in the background."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """Stop; what was under way is tried again by whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self) -> None:
        """Work until cancelled, whatever fails."""
        loop = asyncio.get_running_loop()
        next_daily = 0.0
        while True:
            self._woken.clear()
            try:
                if self._server.problem is None:
                    if loop.time() >= next_daily:
                        await run_daily(self._server, self._server.clock())
                        next_daily = loop.time() + DAILY_POLL_SECONDS
                    await run_due(self._server)
            except Exception as error:  # the worker outlives a database that is away
                log.warning("jobs.paused", error=type(error).__name__, at=frames(error))
            try:
                async with asyncio.timeout(POLL_SECONDS * (0.5 + random_fraction())):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _on_commit(self, info: dict[str, Any]) -> None:
        if info.get(WAKE):
            self._woken.set()


async def run_due(server: Server, now: datetime | None = None) -> int:
    """Do what is due until nothing is left; how many tries were made."""
    tries = 0
    while True:
        moment = now or server.clock()
        async with server.database.read() as db:
            if not await repository.has_due(db, moment):
                return tries
        lease = random_id()
        async with server.database.write() as db:
            jobs = await repository.claim_jobs(db, lease, moment, moment + LEASE, BATCH)
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
