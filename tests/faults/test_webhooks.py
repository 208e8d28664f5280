"""kill -9 while receivers are told: every event arrives, none has two deliveries, and what comes twice has the same id."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.world import HERE, World, broken
from tests.support.processes import wait_until
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.faults
KILLS, PEOPLE = 6, 4
SHORT_LEASES = HERE / "short_leases.py"
ARRIVED_SECONDS = 25.0  # a lease runs out within ten


async def told_through_kills(world: World, launcher: Path, receiver: Receiver) -> list[str]:
    """Have people register while the server dies again and again; what is wrong at the end."""
    chance = random.Random(7)
    server = world.serve(launcher=launcher, QUICK_RESTARTS="1", WORKER_IN_SERVER="true", WEBHOOKS_LOOPBACK="true")
    boss = await world.traffic.newcomer(server)
    world.make_admin(boss)
    token = (await world.traffic.tokens(server, boss))["access_token"]
    body = {"url": receiver.url, "facts": ["user.registered"]}
    added = await world.traffic.send(server, "webhook", "POST", "/webhooks", json=body, token=token)
    assert added.status == 201, f"{added} {added.body}"
    secret = added.body["secret"]
    world.traffic.secrets.add(secret)
    people = []
    for _ in range(KILLS):
        people += await world.newcomers(server, PEOPLE)
        await asyncio.sleep(chance.uniform(0.2, 2.0))
        killed = world.kill_child(server)
        await world.ready_again(server, killed)
    waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'"
    wrong: list[str] = []
    try:
        arrived = lambda: world.count(waiting) == len(people)  # noqa: E731 -- said once, asked often
        await asyncio.to_thread(wait_until, arrived, "all are told", ARRIVED_SECONDS)
    except TimeoutError as error:
        wrong.append(str(error))
    told = {got.message["data"]["subject_id"].replace("-", ""): got.id for got in receiver.got}
    wrong += [f"nobody was told of {each.id}" for each in people if each.id not in told]
    if len({got.id for got in receiver.got}) != len(told):
        wrong.append("an event came under two ids")
    rows = Counter(world.column("SELECT event_id FROM webhook_deliveries"))
    wrong += [f"{count} deliveries of {event}" for event, count in rows.items() if count != 1]
    wrong += [f"{got.id} is not signed" for got in receiver.got if not got.signed_by(secret)]
    return wrong


async def test_killed_again_and_again_each_event_is_told_and_has_one_delivery(world: World) -> None:
    async with Receiver() as receiver:
        assert await told_through_kills(world, SHORT_LEASES, receiver) == []


async def test_a_cursor_that_is_moved_first_would_leave_events_out(world: World) -> None:
    """The control."""
    async with Receiver() as receiver:
        assert await told_through_kills(world, broken("moves_the_cursor_first"), receiver) != []
