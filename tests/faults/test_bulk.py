"""kill -9 in the middle of a bulk action: it resumes by itself, and nobody is mailed or recorded twice."""

import asyncio
import random
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.faults.traffic import id_of
from tests.faults.world import HERE, World, broken
from tests.support.processes import wait_until

pytestmark = pytest.mark.faults
PEOPLE, KILLS = 24, 6
SHORT_LEASES = HERE / "short_leases.py"


async def killed_again_and_again(world: World, launcher: Path, seed: int) -> list[str]:
    """Send a reset to many while the server dies again and again; what is wrong at the end."""
    chance = random.Random(seed)
    server = world.serve(launcher=launcher, QUICK_RESTARTS="1", WORKER_IN_SERVER="true")
    people = await world.newcomers(server, PEOPLE)
    boss = await world.traffic.newcomer(server)
    world.make_admin(boss)
    token = (await world.traffic.tokens(server, boss))["access_token"]
    ids = [person.id for person in people]
    body = {"action": "send_reset", "ids": ids}
    started = await world.traffic.send(server, "bulk", "POST", "/users/bulk", json=body, token=token)
    assert started.status == 201, f"{started} {started.body}"
    bulk_id = id_of(started.body["id"])

    def has_done(least: int) -> bool:
        return world.count("SELECT done FROM bulk_actions WHERE id = ?", bulk_id) >= least

    for number in range(1, KILLS + 1):
        least = number * PEOPLE // (KILLS + 2)
        await asyncio.to_thread(wait_until, partial(has_done, least), f"{least} accounts", 60.0)
        await asyncio.sleep(chance.uniform(0, 0.05))
        killed = world.kill_child(server)
        await world.ready_again(server, killed)
    ended = "SELECT count(*) FROM bulk_actions WHERE id = ? AND state = 'done'"
    await asyncio.to_thread(wait_until, lambda: world.count(ended, bulk_id) == 1, "the end of it", 60.0)
    requested = "SELECT subject_id FROM tickets WHERE purpose = 'password-reset'"
    waiting = "SELECT count(*) FROM jobs WHERE kind = 'password-reset'"
    await asyncio.to_thread(wait_until, lambda: world.count(waiting) == 0, "the mails", 60.0)
    audited = "SELECT subject_id FROM audit_events WHERE fact = 'user.password.reset_requested'"
    wrong = []
    for what, query in (("links", requested), ("records", audited)):
        found = Counter(world.column(query))
        wrong += [f"{found[each]} {what} for {each}" for each in ids if found[each] != 1]
    row = world.rows("SELECT total, done, skipped, refused, failed FROM bulk_actions WHERE id = ?", bulk_id)
    if row != [(PEOPLE, PEOPLE, 0, 0, 0)]:
        wrong.append(f"counts: {row}")
    return wrong


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_again_and_again_it_resumes_and_none_doubles(world: World, seed: int) -> None:
    assert await killed_again_and_again(world, SHORT_LEASES, seed) == []


async def test_acts_marked_in_a_transaction_of_their_own_would_double(world: World) -> None:
    """The control."""
    assert await killed_again_and_again(world, broken("marks_items_apart"), 1) != []
