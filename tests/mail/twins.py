"""A second server on the same database (and Redis): a replica."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from app.config import Settings
from tests.support.apps import running
from tests.support.clock import TravellingClock


@pytest.fixture
async def twin(app: FastAPI, settings: Settings, clock: TravellingClock) -> AsyncIterator[FastAPI]:
    """Another replica of `app`, started."""
    from app.main import create_app

    async with running(create_app(settings, clock=clock)) as replica:
        yield replica
