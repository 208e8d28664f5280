"""Lanes: what hangs in one holds up no other. And jobs that say themselves when they go on, or are hastened."""

import asyncio
from datetime import timedelta

import pytest
from fastapi import FastAPI

from app.core.server import Server
from app.jobs import service
from app.jobs.sockets import HANDLERS, Handler, Later, Work
from app.jobs.worker import SLOTS, Worker, run_due
from tests.mail.postman import rows_of
from tests.support.clock import TravellingClock


async def enqueue(server: Server, clock: TravellingClock, kind: str, **payload: str) -> None:
    async with server.database.write() as db:
        await service.enqueue(db, kind, payload, clock())


async def test_what_hangs_in_a_lane_holds_up_no_other_lane_and_none_of_its_own(
    server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.worker.POLL_SECONDS", 0.01)
    hanging, arrived, passed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(work: Work) -> None:
        if work.payload["how"] == "hangs":
            hanging.set()
            await asyncio.Event().wait()
        passed.set()

    async def mail(_work: Work) -> None:
        arrived.set()

    server.plug(HANDLERS, Handler("slow", slow, lane="aside"))
    server.plug(HANDLERS, Handler("letter", mail))
    for _ in range(SLOTS - 1):
        await enqueue(server, clock, "slow", how="hangs")
    worker = Worker(server)
    worker.start()
    try:
        await asyncio.wait_for(hanging.wait(), 10)
        await enqueue(server, clock, "letter")
        await asyncio.wait_for(arrived.wait(), 10)
        await enqueue(server, clock, "slow", how="goes on")
        await asyncio.wait_for(passed.wait(), 10)
    finally:
        await worker.stop()


@pytest.mark.parametrize("lane", ["main", "aside"])
async def test_a_stop_waits_for_what_it_breaks_off_and_gives_it_back(server: Server, clock: TravellingClock, lane: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(_work: Work) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    server.plug(HANDLERS, Handler("slow", slow, lane=lane))
    await enqueue(server, clock, "slow")
    worker = Worker(server)
    worker.start()
    await asyncio.wait_for(begun.wait(), 10)
    await worker.stop()
    assert ended.is_set()
    (job,) = await rows_of(server, "jobs")
    assert (job["lease"], job["lease_until"], job["last_error"], job["failing_since"]) == (None, None, None, None)
    assert job["run_at"] <= clock()


async def test_a_job_of_nobody_is_tried_in_the_main_lane_and_seen(server: Server, clock: TravellingClock) -> None:
    async def do(_work: Work) -> None: ...

    server.plug(HANDLERS, Handler("slow", do, lane="aside"))
    await enqueue(server, clock, "nobody's")
    await enqueue(server, clock, "slow")
    assert await run_due(server, now=clock(), lane="aside") == 1
    assert await run_due(server, now=clock(), lane="main") == 1
    (job,) = await rows_of(server, "jobs")
    assert (job["kind"], job["last_error"]) == ("nobody's", "JobLost")


async def test_a_job_that_goes_on_later_is_no_failure_and_never_given_up(server: Server, clock: TravellingClock) -> None:
    done: list[Work] = []

    async def go_on(work: Work) -> None:
        done.append(work)
        raise Later(work.now + timedelta(days=1))

    server.plug(HANDLERS, Handler("again", go_on))
    await enqueue(server, clock, "again")
    for _ in range(5):
        assert await run_due(server, now=clock()) == 1
        assert await run_due(server, now=clock.advance(timedelta(hours=23))) == 0
        clock.advance(timedelta(hours=1))
    (job,) = await rows_of(server, "jobs")
    assert (job["last_error"], job["failing_since"], job["dead_at"]) == (None, None, None)
    assert job["attempts"] == 0  # so that a failure after a hundred rests waits no longer than a first one does
    assert len({work.id for work in done}) == 1


async def test_a_job_that_waits_is_hastened_and_one_under_way_is_not(server: Server, clock: TravellingClock) -> None:
    async def hasten(about: str) -> bool:
        async with server.database.write() as db:
            return await service.hasten(db, "again", "about", about, clock(), clock())

    under_way: list[bool] = []

    async def go_on(work: Work) -> None:
        under_way.append(await hasten("one"))
        raise Later(work.now + timedelta(days=1))

    server.plug(HANDLERS, Handler("again", go_on))
    assert not await hasten("one")
    await enqueue(server, clock, "again", about="one")
    assert await run_due(server, now=clock()) == 1
    assert under_way == [False]
    assert not await hasten("another")
    assert await run_due(server, now=clock()) == 0
    assert await hasten("one")
    assert await run_due(server, now=clock()) == 1


async def test_a_job_that_is_being_hastened_is_claimed_by_nobody(server: Server, twin: FastAPI, clock: TravellingClock) -> None:
    """Or it could end before what it was hastened for is there to be seen."""
    done: list[Work] = []

    async def do(work: Work) -> None:
        done.append(work)

    other: Server = twin.state.server
    other.plug(HANDLERS, Handler("again", do))
    await enqueue(server, clock, "again", about="one")
    async with server.database.write() as db:
        assert await service.hasten(db, "again", "about", "one", clock(), clock())
        assert await run_due(other, now=clock()) == 0
    assert await run_due(other, now=clock()) == 1
    assert len(done) == 1
