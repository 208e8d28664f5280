"""kill -9 while the log is written and sealed by two replicas: the chain has no fork, no hole and no row twice, and verifies."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.faults.world import World, broken
from tests.support.processes import wait_until

pytestmark = pytest.mark.faults
KILLS, LONGEST_FUSE, LOGINS = 6, 1.5, 6  # the fuse in seconds: a second passes between two rounds of the sealer
SEALED_SECONDS = 20.0  # a lease runs out within ten


def _sealed(world: World) -> int:
    return world.count("SELECT coalesce(max(position), 0) FROM audit_events")


def _is_ahead(world: World) -> bool:
    """Whether rows have places that the chain knows nothing of, as only a sealer that is broken lets anybody see."""
    return world.count("SELECT coalesce(max(position), 0) - (SELECT position FROM audit_chain) FROM audit_events") > 0


def _unsealed(world: World) -> int:
    return world.count("SELECT count(*) FROM audit_events WHERE position IS NULL")


async def verified_through_kills(
    world: World, tmp_path: Path, *, launcher: Path | None = None, until: Callable[[World], bool] | None = None
) -> tuple[str, int]:
    """What `audit verify` says after the kills, and its status; with the heads that were kept outside.

    Kills are at random moments of one server after the other; or of both, as soon as something is so.
    """
    heads = tmp_path / "heads.jsonl"
    servers = world.pair(launcher=launcher, WORKER_IN_SERVER="true", HEAD_SINKS=f"file:{heads}", AUDIT_HEAD_MINUTES="1")
    person, chance = await world.traffic.newcomer(servers[0]), random.Random(11)
    for number in range(KILLS):
        killed, other = ([servers[number % 2]] if until is None else servers), servers[1 - number % 2]
        logins = [asyncio.create_task(world.traffic.login(servers[each % 2], person)) for each in range(LOGINS)]
        if until is None:
            await asyncio.sleep(chance.uniform(0, LONGEST_FUSE))
        else:
            await asyncio.to_thread(wait_until, partial(until, world), "the moment of the kill", SEALED_SECONDS)
        for server in killed:
            server.kill()
        await asyncio.gather(*logins)
        if until is None:
            await world.traffic.login(other, person)
        for server in killed:
            server.start().wait_ready()
    try:
        await asyncio.to_thread(wait_until, lambda: _unsealed(world) == 0, "all to be sealed", SEALED_SECONDS)
    except TimeoutError as error:
        return f"NOT VERIFIED: {error}", 1
    for server in servers:
        server.terminate()
    await asyncio.to_thread(wait_until, heads.exists, "a head in the file")
    result = await Commands(world.env, tmp_path)("audit", "verify", "--heads", str(heads))
    return result.out + result.err, result.code


@pytest.mark.promise("P10")
async def test_sealers_that_are_killed_leave_a_chain_that_verifies(world: World, tmp_path: Path) -> None:
    told, status = await verified_through_kills(world, tmp_path)
    assert status == 0, told
    rows = world.count("SELECT count(*) FROM audit_events")
    assert f"Verified {rows} rows, up to position {rows}; newest signed head: position {rows}" in told
    assert _sealed(world) == rows > KILLS


@pytest.mark.promise("P10")
async def test_control_a_sealer_that_commits_row_by_row_is_found(world: World, tmp_path: Path) -> None:
    """What it had begun when it was killed is begun again by another: seals fit no more, or a place is given twice."""
    told, status = await verified_through_kills(world, tmp_path, launcher=broken("seals_in_pieces"), until=_is_ahead)
    assert status == 1, told
    assert "NOT VERIFIED" in told
