"""Jobs: rows of their transaction, each done at least once, by one worker at a time, retried with back-off, never dropped."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import text

from app.core.server import Server
from app.jobs import repository, service
from app.jobs.sockets import DAILY, HANDLERS, Handler, Work
from app.jobs.worker import LEASE, Worker, run_daily, run_due
from tests.mail.postman import near, rows_of
from tests.support.clock import TravellingClock

KIND = "test"


class Desk:
    """A handler that notes what it was given, and fails while it is told to."""

    def __init__(self, *servers: Server) -> None:
        self.done: list[Work] = []
        self.failing = False
        self.came = asyncio.Event()
        for server in servers:
            server.plug(HANDLERS, Handler(KIND, self.run))

    async def run(self, work: Work) -> None:
        await asyncio.sleep(0)
        if self.failing:
            raise OSError("secret words of the error")
        self.done.append(work)
        self.came.set()


async def enqueue(server: Server, clock: TravellingClock, count: int = 1, **payload: Any) -> list[UUID]:
    async with server.database.write() as db:
        return [await service.enqueue(db, KIND, {"number": number, **payload}, clock()) for number in range(count)]


async def test_a_job_is_done_once_with_its_payload_and_its_row_is_gone(server: Server, clock: TravellingClock) -> None:
    desk = Desk(server)
    (job_id,) = await enqueue(server, clock, colour="blue")
    assert await run_due(server, now=clock()) == 1
    assert await run_due(server, now=clock()) == 0
    (work,) = desk.done
    assert (work.id, work.payload) == (job_id, {"number": 0, "colour": "blue"})
    assert await rows_of(server, "jobs") == []


async def test_a_job_waits_for_its_time(server: Server, clock: TravellingClock) -> None:
    desk = Desk(server)
    async with server.database.write() as db:
        await service.enqueue(db, KIND, {}, clock(), delay=timedelta(seconds=90))
    assert await run_due(server, now=clock()) == 0
    assert await run_due(server, now=clock.advance(seconds=91)) == 1
    assert len(desk.done) == 1


@pytest.mark.promise("P4")
async def test_a_job_is_rolled_back_with_the_change_that_asks_for_it(server: Server, clock: TravellingClock) -> None:
    desk = Desk(server)

    with suppress(LookupError):
        async with server.database.write() as db:
            await service.enqueue(db, KIND, {}, clock())
            raise LookupError
    assert await rows_of(server, "jobs") == []
    assert await run_due(server, now=clock.advance(seconds=5)) == 0
    assert desk.done == []


@pytest.mark.asvs("V2.3.4")
async def test_two_workers_at_once_do_each_job_once(server: Server, twin: FastAPI, clock: TravellingClock) -> None:
    other: Server = twin.state.server
    desk = Desk(server, other)
    ids = await enqueue(server, clock, 40)
    now = clock()
    mine, theirs = await asyncio.gather(run_due(server, now=now), run_due(other, now=now))
    assert mine + theirs == 40
    assert Counter(work.id for work in desk.done) == Counter(ids)
    assert await rows_of(server, "jobs") == []


async def test_a_claim_is_exclusive_until_its_lease_runs_out(server: Server, clock: TravellingClock) -> None:
    (job_id,) = await enqueue(server, clock)
    now, first, second = clock(), uuid4(), uuid4()

    async def claim(lease: UUID, after: timedelta) -> list[tuple[UUID, UUID | None, int]]:
        async with server.database.write() as db:
            jobs = await repository.claim_jobs(db, lease, now + after, now + after + LEASE, 8)
            return [(job.id, job.lease, job.attempts) for job in jobs]

    async def finish(lease: UUID) -> bool:
        async with server.database.write() as db:
            return await repository.finish_job(db, job_id, lease)

    assert await claim(first, timedelta()) == [(job_id, first, 1)]
    assert await claim(second, LEASE - timedelta(seconds=1)) == []
    assert await claim(second, LEASE + timedelta(seconds=1)) == [(job_id, second, 2)]
    assert not await finish(first)  # it comes back from the dead and has no say any more
    async with server.database.write() as db:
        await repository.postpone_job(db, job_id, first, repository.Delay(now, "late", now, now))
    (row,) = await rows_of(server, "jobs")
    assert (row["lease"], row["last_error"], row["dead_at"]) == (second, None, None)
    assert await finish(second)
    assert await rows_of(server, "jobs") == []


@pytest.mark.promise("P4")
async def test_the_job_of_a_worker_that_died_is_done_by_the_next(server: Server, twin: FastAPI, clock: TravellingClock) -> None:
    other: Server = twin.state.server
    desk = Desk(other)
    reached = asyncio.Event()

    async def die(_work: Work) -> None:
        reached.set()
        await asyncio.Event().wait()

    server.plug(HANDLERS, Handler(KIND, die))
    (job_id,) = await enqueue(server, clock)
    dying = asyncio.create_task(run_due(server, now=clock()))
    await reached.wait()
    assert await run_due(other, now=clock()) == 0
    assert await run_due(other, now=clock.advance(LEASE + timedelta(seconds=1))) == 1
    assert [work.id for work in desk.done] == [job_id]
    assert await rows_of(server, "jobs") == []
    dying.cancel()  # back from the dead, it has nothing to give back
    await asyncio.gather(dying, return_exceptions=True)
    assert await rows_of(server, "jobs") == []


async def test_back_off_grows_from_a_second_to_five_minutes(server: Server, clock: TravellingClock) -> None:
    desk = Desk(server)
    desk.failing = True
    await enqueue(server, clock)
    for attempt in range(1, 14):
        now = clock()
        assert await run_due(server, now=now) == 1
        (job,) = await rows_of(server, "jobs")
        wait = (job["run_at"] - now).total_seconds()
        usual = min(2 ** (attempt - 1), 300)
        assert usual * 0.7 <= wait <= usual * 1.3
        assert (job["attempts"], job["lease"], job["lease_until"], job["dead_at"]) == (attempt, None, None, None)
        assert job["last_error"] == "OSError"  # its kind, not its words
        assert await run_due(server, now=now) == 0
        clock.advance(seconds=wait + 0.1)
    desk.failing = False
    assert await run_due(server, now=clock()) == 1
    assert len(desk.done) == 1


async def test_what_failed_for_three_days_is_given_up_kept_and_seen_in_health(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    desk = Desk(server)
    desk.failing = True
    await enqueue(server, clock)
    await run_due(server, now=clock.advance(timedelta(days=9)))  # days without a worker are no failures
    await run_due(server, now=clock.advance(timedelta(days=2, hours=23)))
    (job,) = await rows_of(server, "jobs")
    assert job["dead_at"] is None
    assert (await client.get("/health/")).json()["checks"]["mail"] == "ok"
    now = clock.advance(timedelta(hours=2))
    await run_due(server, now=now)
    (job,) = await rows_of(server, "jobs")
    assert near(job["dead_at"], now)
    desk.failing = False
    assert await run_due(server, now=clock.advance(timedelta(days=1))) == 0
    assert len(await rows_of(server, "jobs")) == 1
    health = (await client.get("/health/")).json()
    assert health["status"] == "degraded"
    assert health["checks"]["mail"] == "some given up"
    async with server.database.write() as db:
        await repository.add_job(db, uuid4(), KIND, {}, now, now)
        await db.execute(text("UPDATE jobs SET dead_at = run_at"))
    assert (await client.get("/health/")).json() == health  # one more tells nobody that there was a mail to send
    assert (await client.get("/health/ready")).status_code == 200


async def test_a_job_of_a_kind_nobody_knows_is_kept_for_whoever_will(server: Server, clock: TravellingClock) -> None:
    (job_id,) = await enqueue(server, clock)
    assert await run_due(server, now=clock()) == 1
    (job,) = await rows_of(server, "jobs")
    assert (job["id"], job["last_error"]) == (job_id, "JobLost")
    desk = Desk(server)
    assert await run_due(server, now=clock.advance(seconds=5)) == 1
    assert [work.id for work in desk.done] == [job_id]


async def test_a_job_that_hangs_is_given_another_try_and_holds_up_no_other(
    server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.worker.TRY_SECONDS", 0.05)

    async def hang(_work: Work) -> None:
        await asyncio.Event().wait()

    server.plug(HANDLERS, Handler("hangs", hang))
    desk = Desk(server)
    async with server.database.write() as db:
        await service.enqueue(db, "hangs", {}, clock())
    await enqueue(server, clock)
    assert await run_due(server, now=clock()) == 2
    assert len(desk.done) == 1
    (job,) = await rows_of(server, "jobs")
    assert (job["kind"], job["last_error"]) == ("hangs", "TimeoutError")


async def test_one_failing_job_holds_up_no_other(server: Server, clock: TravellingClock) -> None:
    desk = Desk(server)
    async with server.database.write() as db:
        await service.enqueue(db, "nobody's", {}, clock())
    await enqueue(server, clock, 20)
    await run_due(server, now=clock())
    assert len(desk.done) == 20
    assert [job["kind"] for job in await rows_of(server, "jobs")] == ["nobody's"]


# The loop


async def test_the_worker_wakes_when_a_job_is_committed(
    server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.worker.POLL_SECONDS", 600.0)  # so that looking now and then can't be what finds it
    desk = Desk(server)
    worker = Worker(server)
    idle = await _idle(worker, monkeypatch)
    worker.start()
    try:
        await asyncio.wait_for(idle.wait(), 5)
        await enqueue(server, clock)
        await asyncio.wait_for(desk.came.wait(), 5)
    finally:
        await worker.stop()


async def _idle(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once the worker has found nothing to do and waits."""
    idle = asyncio.Event()

    async def watched(server: Server, now: Any = None, **lane: Any) -> int:
        tries = await run_due(server, now, **lane)
        idle.set()
        return tries

    monkeypatch.setattr("app.jobs.worker.run_due", watched)
    return idle


async def test_the_worker_outlives_failing_jobs_and_a_database_that_fails(
    server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.worker.POLL_SECONDS", 0.01)
    desk = Desk(server)
    failures = _count_warnings(monkeypatch)
    worker = Worker(server)
    worker.start()
    try:
        async with server.database.write() as db:
            await service.enqueue(db, "nobody's", {}, clock())
        await asyncio.wait_for(failures["jobs.failed"].wait(), 5)
        await _execute(server, "ALTER TABLE jobs RENAME TO jobs_away")
        await asyncio.wait_for(failures["jobs.paused"].wait(), 5)
        await _execute(server, "ALTER TABLE jobs_away RENAME TO jobs")
        await enqueue(server, clock)
        await asyncio.wait_for(desk.came.wait(), 5)
    finally:
        await worker.stop()


def _count_warnings(monkeypatch: pytest.MonkeyPatch) -> dict[str, asyncio.Event]:
    from app.jobs import worker

    seen = {"jobs.failed": asyncio.Event(), "jobs.paused": asyncio.Event()}

    class Log:
        def warning(self, event: str, **_values: Any) -> None:
            seen[event].set()

    monkeypatch.setattr(worker, "log", Log())
    return seen


async def _execute(server: Server, statement: str) -> None:
    async with server.database.write() as db:
        await db.execute(text(statement))


@pytest.mark.env(WORKER_IN_SERVER="true")
async def test_the_server_works_by_itself_and_stops_cleanly(app: FastAPI, server: Server, clock: TravellingClock) -> None:
    desk = Desk(server)
    await enqueue(server, clock)
    await asyncio.wait_for(desk.came.wait(), 5)
    assert len(desk.done) == 1


async def test_a_worker_does_nothing_on_a_server_that_is_not_ready(
    server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.worker.POLL_SECONDS", 0.01)
    desk = Desk(server)
    await enqueue(server, clock)
    server.problem = "not migrated"
    idle = await _idle(worker := Worker(server), monkeypatch)
    worker.start()
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(idle.wait(), 0.1)
        assert desk.done == []
        server.problem = None
        await asyncio.wait_for(desk.came.wait(), 5)
    finally:
        await worker.stop()


# The daily round


async def test_the_daily_round_is_done_once_a_day_by_one_of_two_servers(
    server: Server, twin: FastAPI, clock: TravellingClock
) -> None:
    other: Server = twin.state.server
    rounds: list[str] = []
    for name, each in (("one", server), ("other", other)):

        async def tidy(_db: Any, _now: Any, name: str = name) -> None:
            rounds.append(name)

        each.plug(DAILY, tidy)
    for day in range(1, 4):
        now = clock.advance(timedelta(days=1, seconds=1))
        assert sorted(await asyncio.gather(run_daily(server, now), run_daily(other, now))) == [False, True]
        assert len(rounds) == day
        assert not await run_daily(server, clock.advance(timedelta(hours=12)))


async def test_one_tidying_that_fails_does_not_keep_the_others_from_theirs(server: Server, clock: TravellingClock) -> None:
    done: list[str] = []

    async def fail(_db: Any, _now: Any) -> None:
        raise OSError

    async def tidy(_db: Any, _now: Any) -> None:
        done.append("tidied")

    server.plug(DAILY, fail)
    server.plug(DAILY, tidy)
    await asyncio.gather(run_daily(server, clock.advance(timedelta(days=2))), return_exceptions=True)
    assert done == ["tidied"]
