"""A lane is in front of the deadline of all other requests, so it has to end by itself (promise P5)."""

import asyncio
import time
import uuid
from datetime import datetime
from typing import Any

import pytest

from app.core.ports import LiveSession
from tests.auth.scene import replica
from tests.infra.rows import by_way_of
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.postgres import Cluster
from tests.support.proxy import TcpProxy
from tests.support.stacks import settings_env


@pytest.mark.promise("P5")
async def test_a_refusal_that_cannot_be_recorded_is_answered_in_time(url: str, postgres: Cluster, clock: TravellingClock) -> None:
    """The line to the database falls silent just after the check, before the refusal is written down."""
    with TcpProxy(postgres.port) as line:
        async with replica(settings_env(by_way_of(url, line.port)), clock) as app, client_of(app) as client:
            user = await api.new_user(client)
            checks: Any = app.state.server.sessions
            find_live = checks.find_live

            async def find_and_fall_silent(session_id: uuid.UUID, now: datetime) -> LiveSession | None:
                found: LiveSession | None = await find_live(session_id, now)
                await asyncio.to_thread(line.partition)
                return found

            checks.find_live = find_and_fall_silent
            began = time.monotonic()
            try:
                async with asyncio.timeout(20):
                    answer = await client.get("/auth/verify?role=admin", headers=user.headers)
                seconds = time.monotonic() - began
            finally:
                await asyncio.to_thread(line.heal)
            assert (answer.status_code, seconds < 5) == (503, True), seconds
            assert answer.headers["retry-after"].isdigit()
