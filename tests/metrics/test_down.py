"""What a scrape needs is away: it is told by a zero, in time; nothing else is missing, and nothing fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from httpx2 import AsyncClient

from app.config import load_settings
from app.core.server import Server
from app.main import create_app
from app.metrics import names
from app.metrics import stored as stored_module
from app.metrics.stored import Reader, Stored
from tests.metrics.scrapes import TOKEN, Samples, scrape, value
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.clock import TravellingClock
from tests.support.postgres import Postgres
from tests.support.redis import RedisServer
from tests.support.stacks import Templates, new_name, settings_env, sqlite_url

STORED = {each.name for each in names.STORED}
SCRAPE_SECONDS = 4.5  # what Prometheus is told to wait for is ten


@asynccontextmanager
async def serving(env: dict[str, str]) -> AsyncIterator[AsyncClient]:
    settings = load_settings(env | {"METRICS_TOKEN": TOKEN}, env_file=None)
    async with running(create_app(settings)) as app, client_of(app) as client:
        yield client


def assert_unread(samples: Samples) -> None:
    """The database was not read; what the process knows is all there."""
    assert value(samples, "authkeep_stored_up") == 0
    assert value(samples, "authkeep_up", check="database") == 0
    told = {name for name, _ in samples}
    assert STORED & told == set()
    assert told >= {"authkeep_logins_total", "authkeep_hashing", "authkeep_database_connections", "process_open_fds"}


async def timed(client: AsyncClient) -> Samples:
    began = time.monotonic()
    samples = await scrape(client)
    assert time.monotonic() - began < SCRAPE_SECONDS
    return samples


async def read_again(client: AsyncClient) -> Samples:
    """Scrape until the database is read."""
    async with asyncio.timeout(20):
        while value(samples := await scrape(client), "authkeep_stored_up") == 0:
            await asyncio.sleep(0.1)
    return samples


@pytest.mark.promise("P5")
async def test_postgres_stopped_paused_and_back(templates: Templates, private_postgres: Postgres) -> None:
    env = settings_env(templates.copy_postgres(private_postgres.cluster, new_name()))
    async with serving(env) as client:
        user = await api.new_user(client)
        assert value(await scrape(client), "authkeep_stored_up") == 1
        private_postgres.stop("immediate")
        assert_unread(await timed(client))
        await asyncio.to_thread(private_postgres.start)
        assert {name for name, _ in await read_again(client)} >= STORED
        private_postgres.pause()
        try:
            many = await asyncio.gather(*(timed(client) for _ in range(40)))
            for samples in many:
                assert_unread(samples)
            most = value(many[0], "authkeep_database_connections_most", pool="all")
            assert value(await timed(client), "authkeep_database_connections", pool="all", state="in_use") < most
        finally:
            private_postgres.resume()
        samples = await read_again(client)
        assert value(samples, "authkeep_logins_total", result="succeeded") == 1
        assert (await client.get("/auth/me", headers=user.headers)).status_code == 200


async def test_a_database_that_is_not_migrated_is_told_and_not_waited_for(data_folder: Path) -> None:
    async with serving(settings_env(sqlite_url(data_folder / "empty.db"))) as client:
        samples = await timed(client)
        assert value(samples, "authkeep_up", check="migrations") == 0
        assert value(samples, "authkeep_stored_up") == 0
        assert STORED & {name for name, _ in samples} == set()
        assert (await client.get("/auth/me")).status_code == 503


async def test_redis_killed_is_told_and_counted(templates: Templates, data_folder: Path, private_redis: RedisServer) -> None:
    env = settings_env(templates.copy_sqlite(data_folder / "authkeep.db"), redis=private_redis)
    async with serving(env) as client:
        user = await api.new_user(client)
        samples = await scrape(client)
        assert value(samples, "authkeep_up", check="redis") == 1
        assert (value(samples, "authkeep_redis_unanswered_total"), value(samples, "authkeep_redis_paused")) == (0, 0)
        private_redis.kill()
        assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
        samples = await timed(client)
        assert value(samples, "authkeep_up", check="redis") == 0
        assert value(samples, "authkeep_redis_unanswered_total") >= 1
        assert value(samples, "authkeep_stored_up") == 1


async def test_scrapes_at_once_are_one_look_and_one_that_hangs_is_not_joined_by_others(
    server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[float] = []
    let_go = asyncio.Event()

    async def hanging(*_: object) -> Stored:
        begun.append(time.monotonic())
        await let_go.wait()
        return Stored({}, 0, 0, has_foreign_rows=False)

    monkeypatch.setattr(stored_module, "look", hanging)
    monkeypatch.setattr(stored_module, "ANSWER_SECONDS", 0.05)
    reader = Reader(server.database, {"mail"}, clock)
    assert await asyncio.gather(*(reader.read() for _ in range(5))) == [None] * 5
    assert await reader.read() is None
    assert len(begun) == 1
    let_go.set()
    assert await reader.read() is not None
    await reader.close()
