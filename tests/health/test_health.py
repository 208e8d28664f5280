"""Health: ok, degraded and down; alive whatever happens; ready once there is a migrated database."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.config import load_settings
from app.main import create_app
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.postgres import Cluster, Postgres
from tests.support.proxy import TcpProxy
from tests.support.redis import RedisServer
from tests.support.stacks import Stack, Templates, migrate, new_name, settings_env, sqlite_url


@asynccontextmanager
async def serving(env: dict[str, str]) -> AsyncIterator[AsyncClient]:
    async with running(create_app(load_settings(env, env_file=None))) as app, client_of(app) as client:
        yield client


async def test_all_is_well(client: AsyncClient, stack: Stack) -> None:
    health = await client.get("/health/")
    assert health.status_code == 200
    redis = "ok" if stack.redis else "off"
    assert health.json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "redis": redis, "mail": "ok"},
    }
    assert health.headers["cache-control"] == "no-store"
    assert (await client.get("/health")).json() == health.json()
    ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "checks": {"database": "ok", "migrations": "ok"}})
    live = await client.get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "ok"})


@pytest.mark.asvs("V13.4.5")
@pytest.mark.env(ENVIRONMENT="production", BCRYPT_ROUNDS="10")
async def test_health_says_states_and_neither_hosts_nor_versions(client: AsyncClient, env: dict[str, str]) -> None:
    answer = await client.get("/health/")
    assert set(answer.json()["checks"].values()) <= {"ok", "off"}
    assert "127.0.0.1" not in answer.text
    assert env["DATABASE_URL"].rpartition("/")[2] not in answer.text
    assert "server" not in answer.headers


@pytest.mark.promise("P7")
async def test_an_empty_database_is_alive_not_ready_and_heals_without_a_restart_once_it_is_migrated(
    stack: Stack, data_folder: Path, request: pytest.FixtureRequest
) -> None:
    cluster: Cluster | None = request.getfixturevalue("postgres") if stack.postgres else None
    name = new_name()
    url = cluster.create_database(name) if cluster else sqlite_url(data_folder / "empty.db")
    try:
        began = time.monotonic()
        async with serving(settings_env(url)) as client:
            assert time.monotonic() - began < 5  # it answers before the database is ready
            await _check_not_ready(client)
            await asyncio.to_thread(migrate, url)
            began = time.monotonic()
            while (await client.get("/health/ready")).status_code != 200:
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.05)
            assert (await client.get("/health/")).json()["status"] == "ok"
            assert (await api.new_user(client)).id
    finally:
        if cluster:
            cluster.drop_database(name)


async def _check_not_ready(client: AsyncClient) -> None:
    live, ready, health = [await client.get(f"/health/{page}") for page in ("live", "ready", "")]
    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert ready.json()["checks"]["migrations"].startswith("not migrated")
    assert (health.status_code, health.json()["status"]) == (503, "down")
    assert ready.headers["retry-after"]
    assert health.headers["retry-after"]
    others = [
        await client.get("/auth/me"),
        await client.post("/auth/login", data={"username": "ada", "password": "x"}),
        await client.post("/auth/forgot-password", json={"email": "ada@example.com"}),
        await client.get("/users/"),
        await client.get("/account/reset-password"),
        await client.get("/"),
        await client.get("/nothing"),
        await client.get("/healthy"),
    ]
    for answer in others[:-1]:
        assert answer.status_code == 503, answer.request.url
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["code"] == "unavailable"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert others[-1].status_code in {404, 503}


@pytest.mark.promise("P7", "P5")
async def test_without_redis_it_is_degraded_and_ready_and_heals(
    templates: Templates, data_folder: Path, private_redis: RedisServer
) -> None:
    env = settings_env(templates.copy_sqlite(data_folder / "authkeep.db"), redis=private_redis)
    async with serving(env) as client:
        user = await api.new_user(client)
        assert (await client.get("/health/")).json()["status"] == "ok"
        private_redis.kill()
        health = await _timed(client, "/health/")
        assert health.status_code == 200
        assert (health.json()["status"], health.json()["checks"]["redis"]) == ("degraded", "down")
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
        private_redis.start()
        began = time.monotonic()
        while (await client.get("/health/")).json()["status"] != "ok":
            assert time.monotonic() - began < 10
            await asyncio.sleep(0.05)


@pytest.mark.promise("P7", "P5")
@pytest.mark.parametrize("trouble", ["cut", "partition"])
async def test_without_its_database_it_is_down_within_a_second_alive_all_along_and_heals(
    templates: Templates, postgres: Cluster, trouble: str
) -> None:
    name = new_name()
    url = templates.copy_postgres(postgres, name)
    try:
        with TcpProxy(postgres.port) as line:
            async with serving(settings_env(url.replace(f":{postgres.port}/", f":{line.port}/"))) as client:
                user = await api.new_user(client)
                assert (await client.get("/health/")).status_code == 200
                getattr(line, trouble)()
                health = await _timed(client, "/health/")
                assert (health.status_code, health.json()["status"]) == (503, "down")
                assert health.json()["checks"]["database"] == "down"
                assert health.headers["retry-after"]
                assert (await _timed(client, "/health/ready")).status_code == 503
                assert (await _timed(client, "/health/live")).status_code == 200
                refused = await client.get("/auth/me", headers=user.headers)
                assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
                line.heal()
                began = time.monotonic()
                while (await client.get("/health/ready")).status_code != 200:
                    assert time.monotonic() - began < 10
                    await asyncio.sleep(0.05)
                assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    finally:
        postgres.drop_database(name)


async def _timed(client: AsyncClient, path: str) -> Response:
    began = time.monotonic()
    answer = await client.get(path)
    assert time.monotonic() - began < 1.3, path  # a second, and some for a busy machine
    return answer


@pytest.mark.promise("P7")
async def test_it_starts_without_a_database_and_is_ready_once_there_is_one(
    templates: Templates, private_postgres: Postgres
) -> None:
    url = templates.copy_postgres(private_postgres.cluster, new_name())
    private_postgres.stop()
    began = time.monotonic()
    async with serving(settings_env(url)) as client:
        assert time.monotonic() - began < 5
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503
        private_postgres.start()
        began = time.monotonic()
        while (await client.get("/health/ready")).status_code != 200:
            assert time.monotonic() - began < 10
            await asyncio.sleep(0.05)


async def test_health_can_only_be_read(app: FastAPI, client: AsyncClient) -> None:
    for path in ("/health/", "/health/live", "/health/ready"):
        assert (await client.post(path)).status_code == 405
