"""An empty database, to migrate."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Cluster
from tests.support.stacks import Stack, new_name, sqlite_url


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, stack: Stack, data_folder: Path) -> Iterator[str]:
    """A database without tables, as DATABASE_URL would name it."""
    if not stack.postgres:
        yield sqlite_url(data_folder / "empty" / "authkeep.db")
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = new_name()
    try:
        yield cluster.create_database(name)
    finally:
        cluster.drop_database(name)
