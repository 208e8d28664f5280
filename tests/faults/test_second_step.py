"""kill -9 between the second proof and the session: code, attempt and session are spent, spent and opened, or none of it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.faults.traffic import Person, Reply
from tests.faults.world import World, broken
from tests.mfa.app_of import Authenticator
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.faults
PEOPLE, KILLS, LONGEST_FUSE = 4, 6, 0.03  # the fuse in seconds, from the first that has begun to the kill
Count = Callable[[World], int]


@dataclass(eq=False)
class Guarded:
    """Somebody with recovery codes that were not sent yet."""

    person: Person
    codes: list[str]
    answered: int = 0


async def _guarded(world: World, server: ServerProcess) -> Guarded:
    person = await world.traffic.newcomer(server)
    token = (await world.traffic.tokens(server, person))["access_token"]
    setup = await world.traffic.send(server, "set up", "POST", "/auth/mfa/totp", json={}, token=token)
    code = {"code": Authenticator(setup.body["secret"]).code(datetime.now(UTC))}
    confirmed = await world.traffic.send(server, "confirm", "POST", "/auth/mfa/totp/confirm", json=code, token=token)
    made = await world.traffic.send(server, "codes", "POST", "/auth/mfa/recovery-codes", token=confirmed.body["access_token"])
    world.traffic.secrets |= {setup.body["secret"], *made.body["codes"]}
    return Guarded(person, made.body["codes"])


async def _finish(world: World, server: ServerProcess, attempt: str, code: str) -> Reply:
    body = {"attempt": attempt, "code": code}
    return await world.traffic.send(server, "second step", "POST", "/auth/login/recovery", json=body, fresh=True)


async def signed_in_through_kills(world: World, begun: Count, *, kills: int = KILLS, launcher: Path | None = None) -> list[str]:
    """Finish logins, kill the server once one has `begun`, look at the rows, finish again the unanswered; what was wrong."""
    server, chance = world.serve(launcher=launcher), random.Random(7)
    people = [await _guarded(world, server) for _ in range(PEOPLE)]
    found: list[str] = []
    for _ in range(kills):
        attempts = [(await world.traffic.login(server, each.person)).body["attempt"] for each in people]
        given = [(each, attempt, each.codes.pop()) for each, attempt in zip(people, attempts, strict=True)]
        before = begun(world)
        tries = [asyncio.create_task(_finish(world, server, attempt, code)) for _, attempt, code in given]
        await asyncio.to_thread(wait_until, partial(_is_more, begun, world, before), "the first that has begun")
        await asyncio.sleep(chance.uniform(0, LONGEST_FUSE))
        server.kill()
        replies = await asyncio.gather(*tries)
        server.start().wait_ready()
        for (each, attempt, code), reply in zip(given, replies, strict=True):
            found += _uneven(world, each)
            again = await _finish(world, server, attempt, code)
            if reply.ok and again.status != 401:
                found.append(f"finished twice: {again}")
            each.answered += reply.ok or again.ok
            found += _uneven(world, each)
            token = reply.body["access_token"] if reply.ok else None
            if token is not None and (await world.traffic.me(server, token)).status != 200:
                found.append("an answered session is lost")
    return found


def _tries(world: World) -> int:
    return world.count("SELECT coalesce(sum(tries), 0) FROM login_attempts")


def _spent(world: World) -> int:
    return world.count("SELECT count(*) FROM recovery_codes WHERE spent_at IS NOT NULL")


def _is_more(begun: Count, world: World, before: int) -> bool:
    return begun(world) > before


def _uneven(world: World, guarded: Guarded) -> list[str]:
    who = guarded.person.id
    codes = world.count("SELECT count(*) FROM recovery_codes WHERE user_id = ? AND spent_at IS NOT NULL", who)
    attempts = world.count("SELECT count(*) FROM login_attempts WHERE user_id = ? AND spent_at IS NOT NULL", who)
    sessions = world.count("SELECT count(*) FROM sessions WHERE user_id = ? AND amr = 'pwd recovery'", who)
    logins = world.count("SELECT count(*) FROM audit_events WHERE subject_id = ? AND fact = 'user.login.succeeded'", who) - 1
    if codes == attempts == sessions == logins >= guarded.answered:
        return []
    return [f"{codes} codes and {attempts} attempts spent, {sessions} sessions opened, {logins} logins recorded"]


@pytest.mark.promise("P1", "P3", "P9")
async def test_a_kill_between_the_second_proof_and_the_session_leaves_all_or_nothing(world: World) -> None:
    assert await signed_in_through_kills(world, _tries) == []
    assert world.leaks() == []


async def test_control_a_code_that_is_spent_apart_is_found(world: World) -> None:
    found = await signed_in_through_kills(world, _spent, kills=1, launcher=broken("spends_codes_apart"))
    assert any("codes and" in each for each in found)
