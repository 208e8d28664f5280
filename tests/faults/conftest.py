"""A world for each test, taken down and searched for leaks at its end."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.world import World
from tests.support.postgres import Cluster, Postgres
from tests.support.redis import RedisServer
from tests.support.smtp import SmtpServer
from tests.support.stacks import EMBEDDED, SERVICES, Stack, Templates, new_name

Figures = Callable[..., None]


@pytest.fixture
async def world(request: pytest.FixtureRequest, stack: Stack, data_folder: Path, templates: Templates) -> AsyncIterator[World]:
    """The stack, with a Redis and a mail server of its own; its PostgreSQL is the shared one."""
    with ExitStack() as servers:
        smtp = servers.enter_context(SmtpServer())
        redis = servers.enter_context(RedisServer()) if stack.redis else None
        if stack.postgres:
            cluster: Cluster = request.getfixturevalue("postgres")
            name = new_name()
            url = templates.copy_postgres(cluster, name)
            servers.callback(cluster.drop_database, name)
        else:
            url = templates.copy_sqlite(data_folder / "authkeep.db")
        world = World(stack, data_folder, url, redis=redis, smtp=smtp)
        yield world
        await world.close()
        assert world.leaks() == []


@pytest.fixture
def private_postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A PostgreSQL to break; `parametrize(..., indirect=True)` gives it options."""
    with Postgres(**getattr(request, "param", {})) as server:
        yield server


@pytest.fixture
async def own_world(
    request: pytest.FixtureRequest, data_folder: Path, templates: Templates, private_postgres: Postgres
) -> AsyncIterator[World]:
    """Services, with a PostgreSQL of its own to break: the fixture `private_postgres`."""
    with SmtpServer() as smtp, RedisServer() as redis:
        url = templates.copy_postgres(private_postgres.cluster, new_name())
        world = World(SERVICES, data_folder, url, redis=redis, smtp=smtp)
        yield world
        await world.close()
        assert world.leaks() == []


@pytest.fixture
async def embedded_world(data_folder: Path, templates: Templates) -> AsyncIterator[World]:
    """SQLite alone."""
    with SmtpServer() as smtp:
        url = templates.copy_sqlite(data_folder / "authkeep.db")
        world = World(EMBEDDED, data_folder, url, redis=None, smtp=smtp)
        yield world
        await world.close()
        assert world.leaks() == []


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Say what was measured: `figures(kills=40)`; shown by `pytest -rP`."""

    def say(**values: object) -> None:
        print(f"{request.node.name}: " + ", ".join(f"{name} {value}" for name, value in values.items()))

    return say
