"""Workers: what hangs holds up nothing else; who dies or races loses nothing and doubles nothing; what is old is tidied."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.audit.facts import Fact
from app.core.server import Server
from app.jobs.worker import LEASE, Worker, run_daily, run_due
from app.webhooks import sending, tidying
from tests.mail.postman import RESET, Postman, rows_of
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.processes import wait_until
from tests.webhooks.receiver import Receiver, hanging, saying
from tests.webhooks.scene import Hook, add, again, deliveries, happen, press, send, tell

pytestmark = pytest.mark.env(WEBHOOKS_LOOPBACK="true")


# One that hangs, and others.


async def test_a_hanging_receiver_holds_up_neither_mail_nor_another_receiver(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, postman: Postman
) -> None:
    async with Receiver() as other:
        await add(client, admin, other.url)
        receiver.answer = hanging
        await happen(server, 30)
        await tell(server)
        worker = Worker(server)
        worker.start()
        try:
            await asyncio.wait_for(receiver.came.wait(), 10)
            await postman.ask(admin.email)
            await asyncio.to_thread(wait_until, lambda: len(other.got) == 30, "what the other one is told", 30)
            await asyncio.to_thread(wait_until, lambda: postman.smtp.sent_to(admin.email, RESET), "the mail", 30)
        finally:
            await worker.stop()
        assert receiver.most_at_once <= sending.AT_ONCE
        assert len(receiver.got) <= sending.AT_ONCE  # the test is over before it is asked a second time
        assert other.most_at_once <= sending.AT_ONCE


async def test_one_where_nothing_succeeds_rests_before_the_next_few_are_tried(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, clock: TravellingClock
) -> None:
    receiver.answer = saying(500)
    await happen(server, 20)
    await tell(server)
    assert await send(server) == 1
    assert len(receiver.got) == sending.AT_ONCE
    assert await send(server) == 0
    receiver.answer = saying(204)
    clock.advance(sending.RESTS)
    await send(server)
    assert len({got.id for got in receiver.got}) == 20


# Workers that die, and two of them.


async def test_killed_before_the_record_it_is_sent_again_with_its_id_and_there_is_one_delivery(
    client: AsyncClient,
    admin: api.User,
    receiver: Receiver,
    hook: Hook,
    server: Server,
    twin: FastAPI,
    clock: TravellingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await happen(server)
    await tell(server)
    held = asyncio.Event()

    async def never(*_: Any) -> None:
        held.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(sending, "_record", never)
        dying = asyncio.create_task(send(server))
        await asyncio.wait_for(held.wait(), 10)
    other: Server = twin.state.server
    assert await send(other) == 0  # the lease of the dead one
    clock.advance(LEASE + timedelta(seconds=1))
    assert await send(other) == 1
    one, two = receiver.got
    assert one.id == two.id
    dying.cancel()  # only now: a worker that is stopped gives back what it was at, one that is dead does not
    await asyncio.gather(dying, return_exceptions=True)
    (found,) = await deliveries(client, admin, hook)
    assert (found["state"], found["tries"]) == ("delivered", 1)
    assert len(await rows_of(server, "webhook_deliveries")) == 1


async def test_two_workers_send_each_once(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, twin: FastAPI, clock: TravellingClock
) -> None:
    both: tuple[Server, Server] = (server, twin.state.server)
    for _ in range(6):
        await happen(server, 5)
        await tell(server)
        await asyncio.gather(*(send(each) for each in both))
    clock.advance(sending.BUSY)
    await asyncio.gather(*(send(each) for each in both))
    sent = Counter(got.id for got in receiver.got)
    assert (len(sent), set(sent.values())) == (30, {1})
    assert receiver.most_at_once <= sending.AT_ONCE
    jobs = [row for row in await rows_of(server, "jobs") if row["kind"] == "webhook"]
    assert jobs == []


async def test_what_comes_while_a_turn_ends_is_not_forgotten(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written down between the last look and the end of the job: a job of its own sees to it."""
    more = [1]
    receiver.answer = saying(500)
    await happen(server)
    await tell(server)
    go_on = sending.Sender._go_on

    async def late(self: Any, *arguments: Any) -> None:
        if more:
            more.pop()
            await happen(server)
            await tell(server)
        await go_on(self, *arguments)

    monkeypatch.setattr(sending.Sender, "_go_on", late)
    await send(server)
    await send(server)
    assert len({got.id for got in receiver.got}) == 2


async def test_a_replay_during_an_attempt_is_not_lost(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, clock: TravellingClock
) -> None:
    await happen(server)
    await tell(server)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await go.wait()
        await saying(500)(reader, writer)

    receiver.answer = slow
    sending_it = asyncio.create_task(send(server))
    await asyncio.wait_for(arrived.wait(), 10)
    (found,) = await deliveries(client, admin, hook)
    await press(client, admin, f"{hook.id}/deliveries/{found['id']}/replay")
    go.set()
    await sending_it
    (found,) = await deliveries(client, admin, hook)
    assert (found["state"], found["tries"], found["last"]["status"]) == ("waiting", 1, 500)
    receiver.answer = saying(204)
    clock.advance(seconds=6)
    await send(server)
    (found,) = await deliveries(client, admin, hook)
    assert found["state"] == "delivered"


async def test_removed_while_it_is_called_nothing_is_written_and_all_is_tidied(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "AT_ONCE", 2)
    await happen(server, 5)
    await tell(server)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await go.wait()
        await saying(200)(reader, writer)

    receiver.answer = slow
    sending_it = asyncio.create_task(send(server))
    await asyncio.wait_for(arrived.wait(), 10)
    assert (await client.delete(f"/webhooks/{hook.id}", headers=admin.headers)).status_code == 204
    go.set()
    await sending_it
    await run_due(server, now=server.clock())
    for table in ("webhook_endpoints", "webhook_deliveries", "webhook_attempts"):
        assert await rows_of(server, table) == [], table
    assert [row for row in await rows_of(server, "jobs") if row["kind"].startswith("webhook")] == []


async def test_after_thirty_days_deliveries_go(
    client: AsyncClient,
    admin: api.User,
    receiver: Receiver,
    hook: Hook,
    server: Server,
    told: Callable[[], Awaitable[int]],
    clock: TravellingClock,
) -> None:
    await told()
    clock.advance(timedelta(days=29))
    await told()
    clock.advance(timedelta(days=2))
    await run_daily(server, clock())
    await run_due(server, now=clock())
    assert len(await rows_of(server, "webhook_deliveries")) == len(await rows_of(server, "webhook_attempts")) == 1
    admin = await again(client, admin)
    assert len(await deliveries(client, admin, hook)) == 1


async def test_what_waits_has_a_job_again_after_a_day_if_somebody_discarded_that(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, clock: TravellingClock
) -> None:
    await happen(server)
    await tell(server)
    (job,) = [row for row in await rows_of(server, "jobs") if row["kind"] == "webhook"]
    assert (await client.delete(f"/jobs/{job['id']}", headers=admin.headers)).status_code == 204
    assert await send(server) == 0
    clock.advance(timedelta(days=1))
    await run_daily(server, clock())
    await send(server)
    assert len(receiver.got) == 1


async def test_the_fact_that_one_was_disabled_is_told_to_another(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, told: Callable[[], Awaitable[int]]
) -> None:
    async with Receiver() as other:
        await add(client, admin, other.url, Fact.WEBHOOK_DISABLED)
        receiver.answer = saying(410)
        await told()
        await tell(server)
        await send(server)
        assert [got.message["data"]["details"] for got in other.got] == [{"reason": "gone", "webhook": hook.id}]
