"""The first day in process: on both stacks, and as a smoke test on PostgreSQL alone and on SQLite with Redis."""

from collections.abc import Awaitable, Callable

import pytest
from httpx2 import AsyncClient

from tests.flows.journeys import registers_and_signs_out, resets_by_mail
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer
from tests.support.stacks import SMOKE_STACKS, STACKS

EVERY_STACK = [*STACKS, *SMOKE_STACKS]


@pytest.mark.parametrize("stack", EVERY_STACK, ids=str)
async def test_a_person_registers_signs_in_refreshes_and_signs_out(client: AsyncClient) -> None:
    await registers_and_signs_out(client, "alice")


@pytest.mark.parametrize("stack", EVERY_STACK, ids=str)
async def test_a_forgotten_password_is_reset_by_mail(
    client: AsyncClient, smtp: SmtpServer, clock: TravellingClock, work: Callable[[], Awaitable[int]]
) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/forgot-password", json={"email": user.email})).status_code == 202
    clock.advance(seconds=3)
    await work()
    await resets_by_mail(client, await smtp.wait_for_async(user.email, subject="Reset your password"), user)
