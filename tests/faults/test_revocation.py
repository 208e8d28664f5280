"""The bound is 0 ms: whatever is sent after a revocation was answered is refused, on every replica, whatever Redis does."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.checks import longest, untimely
from tests.faults.conftest import Figures
from tests.faults.traffic import Person, Reply, claims_of, new_password
from tests.faults.world import World, broken
from tests.support.redis import RedisServer
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.faults
HAMMERS = 6
ASKED_AFTERWARDS = 24  # at least so many requests are sent after each revocation
WITHOUT_REDIS = ("none", "none", "none", "none")
WITH_REDIS = ("healthy", "killed", "flushed", "paused")


@dataclass(eq=False)
class Scene:
    """Somebody signed in, about to be thrown out through replica `one`."""

    world: World
    one: ServerProcess
    admin: str
    person: Person
    tokens: dict[str, Any]

    async def send(self, method: str, path: str, json: dict[str, Any] | None = None, *, by: str | None = None) -> Reply:
        token = by or self.tokens["access_token"]
        return await self.world.traffic.send(self.one, f"{method} {path.split('/')[1]}", method, path, json=json, token=token)


Way = Callable[[Scene], Awaitable[Reply]]


async def _reset(scene: Scene) -> Reply:
    ticket = await scene.world.mint_ticket(scene.person)
    return await scene.world.traffic.reset(scene.one, ticket, new_password())


WAYS: dict[str, Way] = {
    "logout": lambda scene: scene.send("POST", "/auth/logout"),
    "logout by refresh token": lambda scene: scene.world.traffic.logout(scene.one, None, scene.tokens["refresh_token"]),
    "logout everywhere": lambda scene: scene.send("POST", "/auth/logout-all"),
    "one session": lambda scene: scene.send("DELETE", f"/auth/sessions/{claims_of(scene.tokens['access_token'])['sid']}"),
    "password change": lambda scene: scene.send(
        "POST", "/auth/change-password", {"current_password": scene.person.password, "new_password": new_password()}
    ),
    "reset": _reset,
    "disabled": lambda scene: scene.send("PUT", f"/users/{scene.person.id}/status", {"active": False}, by=scene.admin),
    "role": lambda scene: scene.send("PUT", f"/users/{scene.person.id}/role", {"role": "admin"}, by=scene.admin),
    "deleted": lambda scene: scene.send("DELETE", f"/users/{scene.person.id}", by=scene.admin),
}
ENDPOINTS = (
    ("GET", "/auth/me", None),
    ("GET", "/auth/sessions", None),
    ("POST", "/auth/logout", None),
    ("POST", "/auth/logout-all", None),
    ("POST", "/auth/change-password", {"current_password": "x", "new_password": "Quite-another-7!"}),
    ("GET", "/users/", None),
)


async def accepted_after_revocation(
    world: World, one: ServerProcess, two: ServerProcess, *, states: tuple[str, ...], ways: dict[str, Way], seed: int
) -> list[str]:
    """Revoke in each way and each state of Redis while both replicas are asked without pause; what was not refused then."""
    chance = random.Random(seed)
    boss = await world.traffic.newcomer(one)
    world.make_admin(boss)
    admin = (await world.traffic.tokens(one, boss))["access_token"]
    found = []
    for state in states:
        async with redis_in(state, world.redis_server):
            for name, way in ways.items():
                person = await world.traffic.newcomer(one)
                scene = Scene(world, one, admin, person, await world.traffic.tokens(two, person))
                found += [f"{name}, Redis {state}: {each}" for each in await _one_revocation(scene, two, way, chance)]
    return found


async def _one_revocation(scene: Scene, two: ServerProcess, way: Way, chance: random.Random) -> list[str]:
    traffic, token = scene.world.traffic, scene.tokens["access_token"]
    replies: list[Reply] = []
    over = asyncio.Event()

    async def hammer(server: ServerProcess) -> None:
        while not over.is_set():
            replies.append(await traffic.me(server, token))

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.002)

    hammers = [asyncio.create_task(hammer(server)) for server in [two] * (HAMMERS - 1) + [scene.one]]
    try:
        before = chance.randrange(HAMMERS, 4 * HAMMERS)
        await until(lambda: len(replies) >= before)
        revoked = await way(scene)
        await until(lambda: sum(reply.sent > revoked.done for reply in replies) >= ASKED_AFTERWARDS)
    finally:
        over.set()
        await asyncio.gather(*hammers)
    found = [] if revoked.ok else [f"not revoked: {revoked} {revoked.body}"]
    found += [f"refused before: {reply}" for reply in replies if reply.done < revoked.sent and reply.status != 200]
    found += [f"not refused after: {reply}" for reply in replies if reply.sent > revoked.done and reply.status != 401]
    for method, path, body in ENDPOINTS:
        reply = await traffic.send(two, path, method, path, json=body, token=token)
        found += [] if reply.status == 401 else [f"not refused after: {reply}"]
    again = await traffic.refresh(two, scene.tokens["refresh_token"])
    return found if again.status == 401 else [*found, f"not refused after: {again}"]


@asynccontextmanager
async def redis_in(state: str, redis: RedisServer | None) -> AsyncIterator[None]:
    """Redis in this state meanwhile, and in order afterwards."""
    if redis is None or state == "healthy":
        yield
        return
    if state == "flushed":
        flushing = asyncio.create_task(_flush_without_end(redis))
        yield
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
        return
    await asyncio.to_thread(redis.kill if state == "killed" else redis.pause)
    try:
        yield
    finally:
        await asyncio.to_thread(redis.start if state == "killed" else redis.resume)


async def _flush_without_end(redis: RedisServer) -> None:
    while True:
        await asyncio.to_thread(redis.flush)
        await asyncio.sleep(0.001)


@pytest.mark.promise("P2")
async def test_what_is_sent_after_a_revocation_is_refused_on_both_replicas(world: World, figures: Figures) -> None:
    one, two = world.pair()
    states = WITH_REDIS if world.stack.redis else WITHOUT_REDIS

    assert await accepted_after_revocation(world, one, two, states=states, ways=WAYS, seed=2) == []

    assert untimely(world.traffic.replies) == []
    figures(revocations=len(states) * len(WAYS), checks=len(world.traffic.replies), longest=longest(world.traffic.replies))


@pytest.mark.promise("P2")
@pytest.mark.parametrize("launcher", ["forgets_endings", "trusts_redis_alone", "remembers_sessions"])
async def test_control_a_server_that_does_not_ask_the_row_each_time_is_found(world: World, launcher: str) -> None:
    one, two = world.pair(launcher=broken(launcher))
    states = ("flushed",) if world.stack.redis else ("none",)

    found = await accepted_after_revocation(world, one, two, states=states, ways={"logout": WAYS["logout"]}, seed=2)

    assert any("not refused after" in each for each in found), found
