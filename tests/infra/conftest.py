"""A database without a server."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Cluster
from tests.support.stacks import Templates, new_name


@pytest.fixture
def url(postgres: Cluster, templates: Templates) -> Iterator[str]:
    """A migrated database."""
    name = new_name()
    try:
        yield templates.copy_postgres(postgres, name)
    finally:
        postgres.drop_database(name)
