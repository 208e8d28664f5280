"""The Redis blocklist beside the row: told of every ending, asked at every check, able to refuse and no more (promise P2)."""

import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from redis.crc import key_slot

from app.auth.blocklist import Blocklist, session_key, token_key
from app.auth.deps import AuthKit
from app.core.server import Server
from tests.auth.browsing import sign_in
from tests.auth.scene import assert_dead, claims_of, end_in_database, refresh, replica, session_row, sid_of, status_of
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.proxy import TcpProxy
from tests.support.redis import RedisServer

PREFIX = "{authkeep}:blocked"
ACCESS_LIFE, LEEWAY = 900, 60


def keys_of(redis: RedisServer) -> dict[str, int]:
    """The blocklist's keys and how many seconds each has to live."""
    with redis.connect() as client:
        return {key: client.ttl(key) for key in client.scan_iter("*blocked*")}


def sid_key(tokens: dict[str, str]) -> str:
    return f"{PREFIX}:sid:{sid_of(tokens).hex}"


def jti_key(tokens: dict[str, str]) -> str:
    return f"{PREFIX}:jti:{claims_of(tokens['access_token'])['jti']}"


@pytest.fixture
async def proxied(
    env: dict[str, str], redis_server: RedisServer, clock: TravellingClock
) -> AsyncIterator[tuple[TcpProxy, FastAPI]]:
    """The application, and the line between it and Redis."""
    with TcpProxy(redis_server.port) as line:
        async with replica(env, clock, REDIS_URL=f"redis://127.0.0.1:{line.port}/0") as app:
            yield line, app


@pytest.mark.asvs("V14.2.2", "V7.4.1")
async def test_a_logout_blocks_the_token_and_the_session_until_none_can_live(
    client: AsyncClient, redis_server: RedisServer, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    assert keys_of(redis_server) == {}
    clock.advance(seconds=300)
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    keys = keys_of(redis_server)
    assert keys.keys() == {sid_key(user.tokens), jti_key(user.tokens)}
    assert ACCESS_LIFE + LEEWAY - 5 <= keys[sid_key(user.tokens)] <= ACCESS_LIFE + LEEWAY + 1
    assert ACCESS_LIFE - 300 + LEEWAY - 5 <= keys[jti_key(user.tokens)] <= ACCESS_LIFE - 300 + LEEWAY + 1


async def test_every_way_to_end_a_session_blocks_it(
    app: FastAPI, client: AsyncClient, redis_server: RedisServer, clock: TravellingClock
) -> None:
    admin = await api.new_admin(app, client)

    async def blocked_after(method: str, path: str, headers: dict[str, str], body: object = None) -> set[str]:
        redis_server.flush()
        answer = await client.request(method, path, headers=headers, json=body)
        assert answer.status_code in {200, 204, 401}, answer.text
        return {key for key in keys_of(redis_server) if ":sid:" in key}

    user = await api.new_user(client)
    second = await api.login(client, user.username)
    both = {sid_key(user.tokens), sid_key(second)}
    assert await blocked_after("DELETE", f"/auth/sessions/{sid_of(second)}", user.headers) == {sid_key(second)}
    assert await blocked_after("POST", "/auth/logout", {}, {"refresh_token": user.tokens["refresh_token"]}) == {
        sid_key(user.tokens)
    }
    for method, path, body in (
        ("PUT", "/users/{}/role", {"role": "admin"}),
        ("PUT", "/users/{}/status", {"active": False}),
        ("DELETE", "/users/{}", None),
    ):
        user = await api.new_user(client)
        second = await api.login(client, user.username)
        both = {sid_key(user.tokens), sid_key(second)}
        assert await blocked_after(method, path.format(user.id), admin.headers, body) == both
    user = await api.new_user(client)
    second = await api.login(client, user.username)
    both = {sid_key(user.tokens), sid_key(second)}
    assert await blocked_after("POST", "/auth/logout-all", user.headers) == both
    user = await api.new_user(client)
    change = {"current_password": api.PASSWORD, "new_password": "quite another 1!"}
    assert await blocked_after("POST", "/auth/change-password", user.headers, change) == {sid_key(user.tokens)}
    user = await api.new_user(client)
    await refresh(client, user.tokens)
    clock.advance(seconds=11)
    theft = {"refresh_token": user.tokens["refresh_token"]}
    assert await blocked_after("POST", "/auth/refresh", {}, theft) == {sid_key(user.tokens)}


@pytest.mark.parametrize("which", [sid_key, jti_key])
async def test_a_key_in_redis_refuses_though_the_row_is_alive(
    client: AsyncClient, server: Server, redis_server: RedisServer, which: object
) -> None:
    user = await api.new_user(client)
    elsewhere = await api.login(client, user.username)
    assert callable(which)
    with redis_server.connect() as redis:
        redis.set(which(user.tokens), "1", ex=60)
    refused = await client.get("/auth/me", headers=user.headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
    assert (await session_row(server, sid_of(user.tokens))).ended_at is None
    assert await status_of(client, elsewhere) == 200
    redis_server.flush()
    assert await status_of(client, user.tokens) == 200


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1", "V16.5.2")
async def test_a_flushed_redis_brings_nothing_back(client: AsyncClient, redis_server: RedisServer) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    redis_server.flush()
    await assert_dead(client, user.tokens)


async def test_logging_out_again_tells_redis_again(client: AsyncClient, redis_server: RedisServer) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    redis_server.flush()
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 401
    assert keys_of(redis_server).keys() == {sid_key(user.tokens), jti_key(user.tokens)}
    redis_server.flush()
    assert (await client.post("/auth/logout", json={"refresh_token": user.tokens["refresh_token"]})).status_code == 401
    assert keys_of(redis_server).keys() == {sid_key(user.tokens)}


async def test_what_is_rolled_back_blocks_nobody(client: AsyncClient, server: Server, redis_server: RedisServer) -> None:
    user = await api.new_user(client)
    assert (await client.delete(f"/auth/sessions/{uuid.uuid4()}", headers=user.headers)).status_code == 404
    assert keys_of(redis_server) == {}


@pytest.mark.waits
@pytest.mark.promise("P2", "P5", "P6")
@pytest.mark.asvs("V16.5.2")
@pytest.mark.parametrize("fault", ["cut", "partition"])
async def test_with_redis_away_the_row_decides_within_a_second(
    proxied: tuple[TcpProxy, FastAPI], redis_server: RedisServer, clock: TravellingClock, fault: str
) -> None:
    line, app = proxied
    async with client_of(app) as client:
        user, gone, later = [await api.new_user(client) for _ in range(3)]
        await end_in_database(app.state.server, sid_of(gone.tokens), clock())
        getattr(line, fault)()
        for _ in range(3):
            started = time.perf_counter()
            assert await status_of(client, user.tokens) == 200
            assert await status_of(client, gone.tokens) == 401
            assert time.perf_counter() - started < 1
        started = time.perf_counter()
        assert (await client.post("/auth/logout", headers=later.headers)).status_code == 204
        assert time.perf_counter() - started < 1
        assert await status_of(client, later.tokens) == 401
        line.heal()
        assert await status_of(client, later.tokens) == 401
        assert await status_of(client, user.tokens) == 200


@pytest.mark.promise("P2")
async def test_a_redis_that_dies_and_comes_back_empty_brings_nothing_back(
    env: dict[str, str], private_redis: RedisServer, clock: TravellingClock
) -> None:
    async with replica(env, clock, REDIS_URL=private_redis.url()) as app, client_of(app) as client:
        before, during, alive = [await api.new_user(client) for _ in range(3)]
        assert (await client.post("/auth/logout", headers=before.headers)).status_code == 204
        private_redis.kill()
        assert await status_of(client, before.tokens) == 401
        assert (await client.post("/auth/logout", headers=during.headers)).status_code == 204
        assert await status_of(client, during.tokens) == 401
        private_redis.start()
        for user in (before, during):
            await assert_dead(client, user.tokens)
        assert await status_of(client, alive.tokens) == 200


async def test_a_server_starts_and_serves_with_a_redis_that_refuses(env: dict[str, str], clock: TravellingClock) -> None:
    async with replica(env, clock, REDIS_URL="redis://127.0.0.1:1/0") as app, client_of(app) as client:
        user = await api.new_user(client)
        assert await status_of(client, user.tokens) == 200
        assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
        await assert_dead(client, user.tokens)


async def test_both_questions_go_to_redis_in_one_round_trip(client: AsyncClient, redis_server: RedisServer) -> None:
    user = await api.new_user(client)
    with redis_server.connect() as redis:
        assert await status_of(client, user.tokens) == 200
        before = redis.info("commandstats")
        assert await status_of(client, user.tokens) == 200
        after = redis.info("commandstats")
    assert after["cmdstat_mget"]["calls"] - before["cmdstat_mget"]["calls"] == 1
    # One hash slot, so that it is one round trip on a cluster, too.
    assert key_slot(sid_key(user.tokens).encode()) == key_slot(jti_key(user.tokens).encode())


async def test_a_blocked_key_lives_at_least_a_moment(server: Server, redis_server: RedisServer, clock: TravellingClock) -> None:
    """Also of a token that is over: nothing is written without an end."""
    blocklist = server.kit(AuthKit).blocklist
    sid = uuid.uuid4()
    await blocklist.block({sid: ("token", clock() - timedelta(days=1))}, clock())
    assert all(0 < seconds <= ACCESS_LIFE + LEEWAY + 1 for seconds in keys_of(redis_server).values())
    blocked = blocklist.refuses((token_key("token"), session_key(sid)))
    other = blocklist.refuses((token_key("another"), session_key(uuid.uuid4())))
    assert blocked is not None
    assert other is not None
    assert await blocked
    assert not await other


async def test_without_redis_the_blocklist_says_nothing(clock: TravellingClock) -> None:
    blocklist = Blocklist(None, timedelta(minutes=15))
    sid = uuid.uuid4()
    await blocklist.block({sid: None}, clock())
    assert blocklist.refuses((token_key("token"), session_key(sid))) is None


async def test_a_cookies_session_is_blocked_and_refused_as_a_tokens_is(
    client: AsyncClient, server: Server, redis_server: RedisServer
) -> None:
    ended, alive = await sign_in(server, client), await sign_in(server, client)
    assert (await client.post("/auth/logout", headers=ended.own_page)).status_code == 204
    assert keys_of(redis_server).keys() == {f"{PREFIX}:sid:{ended.pair.session_id.hex}"}
    client.cookies.clear()
    assert (await client.get("/auth/me", headers=alive.headers)).status_code == 200
    with redis_server.connect() as redis:
        redis.set(f"{PREFIX}:sid:{alive.pair.session_id.hex}", "1")
    for path in ("/auth/me", "/auth/verify"):
        assert (await client.get(path, headers=alive.headers)).status_code == 401  # though its row says otherwise
    assert (await session_row(server, alive.pair.session_id)).ended_at is None
