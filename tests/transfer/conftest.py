"""A second database, empty, with a server on it."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.auth.scene import replica
from tests.cli.commands import Commands
from tests.support.clock import TravellingClock
from tests.support.postgres import Cluster
from tests.support.stacks import Stack, Templates, new_name


@pytest.fixture
async def empty(
    request: pytest.FixtureRequest,
    stack: Stack,
    env: dict[str, str],
    data_folder: Path,
    templates: Templates,
    clock: TravellingClock,
) -> AsyncIterator[FastAPI]:
    with ExitStack() as databases:
        if stack.postgres:
            cluster: Cluster = request.getfixturevalue("postgres")
            name = new_name()
            url = templates.copy_postgres(cluster, name)
            databases.callback(cluster.drop_database, name)
        else:
            url = templates.copy_sqlite(data_folder / "other.db")
        async with replica(env, clock, DATABASE_URL=url) as app:
            yield app


@pytest.fixture
def cli(env: dict[str, str], tmp_path: Path) -> Commands:
    return Commands(env, tmp_path)
