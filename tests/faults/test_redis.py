"""Redis killed, paused, emptied, restarted empty, refused at start, evicting: a warning and `degraded`, nothing else."""

import asyncio
from collections.abc import Callable

import pytest

from tests.faults.checks import longest, tally
from tests.faults.conftest import Figures
from tests.faults.traffic import Reply
from tests.faults.watching import Watch
from tests.faults.world import World, broken
from tests.support.processes import free_port
from tests.support.redis import RedisServer

pytestmark = pytest.mark.faults
CALM_SECONDS = 2.0  # a slow Redis costs each request a quarter of a second at most, and a breaker opens


def not_served(replies: list[Reply]) -> list[str]:
    """With Redis alone away everything works: whatever is not done as always is wrong, and so is a dead token that works."""
    fine = {"me": 200, "register": 201, "refresh": 200, "forgot": 202, "unknown": 401, "live": 200, "ready": 200, "health": 200}
    found = [f"not served: {reply} {reply.body}" for reply in replies if reply.status != fine.get(reply.what, reply.status)]
    return found + [f"slow: {reply}" for reply in replies if reply.seconds > CALM_SECONDS]


async def _ways_to_lose_redis(world: World, *, launcher: str | None = None) -> tuple[list[str], Watch]:
    server = world.serve(launcher=broken(launcher) if launcher else None)
    redis = world.redis
    found: list[str] = []
    async with Watch(world, server).on() as watch:
        dead = await _ended(world, watch)
        for state, lose, heal in _LOSSES:
            await asyncio.to_thread(lose, redis)
            if state in {"killed", "paused"}:
                found += [f"{state}: {each}" for each in await watch.until(_is("degraded"), "degraded", 5)]
            found += [f"{state}: {each}" for each in await watch.until_answered(201)]
            me = await world.traffic.send(server, "a dead token", "GET", "/auth/me", token=dead)
            found += [] if me.status == 401 else [f"{state}: a dead token: {me}"]
            await asyncio.to_thread(heal, redis)
            found += [f"{state}: {each}" for each in await watch.until(_is("ok"), "ok again", 10)]
    return found + not_served(watch.replies) + watch.wrong(), watch


def _is(status: str) -> Callable[[Reply], bool]:
    return lambda reply: reply.what == "health" and reply.ok and reply.body["status"] == status


async def _ended(world: World, watch: Watch) -> str:
    """The access token of a session that has ended."""
    person, _ = watch.people[0]
    tokens = await world.traffic.tokens(watch.server, person)
    logout = await world.traffic.logout(watch.server, tokens["access_token"])
    assert logout.status == 204
    return str(tokens["access_token"])


def _nothing(_: RedisServer) -> None: ...


Step = Callable[[RedisServer], None]
_LOSSES: list[tuple[str, Step, Step]] = [
    ("killed", RedisServer.kill, RedisServer.start),
    ("paused", RedisServer.pause, RedisServer.resume),
    ("flushed", RedisServer.flush, _nothing),
    ("restarted empty", RedisServer.restart_empty, _nothing),
] * 2


@pytest.mark.promise("P2", "P5", "P7", "P8")
async def test_losing_redis_in_any_way_costs_nothing_but_ok(own_world: World, figures: Figures) -> None:
    found, watch = await _ways_to_lose_redis(own_world)

    assert found == []
    figures(losses=len(_LOSSES), replies=tally(watch.replies), longest=longest(watch.replies))


@pytest.mark.promise("P2", "P5", "P7")
async def test_control_a_server_that_needs_redis_is_found(own_world: World) -> None:
    found, _ = await _ways_to_lose_redis(own_world, launcher="needs_redis")

    assert any("not served" in each for each in found)
    assert any("crash" in each for each in found)


@pytest.mark.promise("P7")
async def test_a_redis_that_is_not_there_at_start_is_a_warning(own_world: World) -> None:
    server = own_world.serve(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0", RATE_LIMIT_ENABLED="true")
    health = await own_world.traffic.send(server, "health", "GET", "/health/")

    assert health.status == 200
    assert health.body["status"] == "degraded"
    assert health.body["checks"]["redis"] == "down"
    server.wait_for_log("redis_unreachable", timeout=5)
    person = await own_world.traffic.newcomer(server)
    tokens = await own_world.traffic.tokens(server, person)
    assert (await own_world.traffic.logout(server, tokens["access_token"])).status == 204
    assert (await own_world.traffic.me(server, tokens["access_token"])).status == 401


@pytest.mark.promise("P2", "P5")
@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "noeviction"])
async def test_a_redis_that_is_full_evicts_or_refuses_and_harms_nobody(own_world: World, policy: str) -> None:
    with RedisServer(maxmemory="3mb", policy=policy) as full:
        server = own_world.serve(REDIS_URL=full.url(), RATE_LIMIT_ENABLED="true", RATE_LIMIT_REGISTER="1000/minute")
        dead = []
        for person in await own_world.newcomers(server, 10):
            tokens = await own_world.traffic.tokens(server, person)
            assert (await own_world.traffic.logout(server, tokens["access_token"])).status == 204
            dead.append(tokens["access_token"])
            _fill(full)
        replies = await asyncio.gather(*(own_world.traffic.me(server, token) for token in dead))

    assert {reply.status for reply in replies} == {401}
    assert not_served([reply for reply in own_world.traffic.replies if reply not in replies]) == []


def _fill(redis: RedisServer) -> None:
    import redis as driver

    with redis.connect() as client:
        for number in range(40):
            try:
                client.set(f"ballast:{number}", b"x" * 100_000)
            except driver.ResponseError:  # noeviction: it is full
                return
