"""Fixtures of these tests beside those of the whole suite."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from tests.mail.postman import postman
from tests.mail.twins import twin
from tests.support import api
from tests.webhooks.receiver import Receiver
from tests.webhooks.scene import Hook, add, happen, send, tell

__all__ = ["admin", "hook", "postman", "receiver", "told", "twin"]


@pytest.fixture
async def admin(app: FastAPI, client: AsyncClient, no_welcome_mail: None) -> api.User:
    return await api.new_admin(app, client)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as found:
        yield found


@pytest.fixture
async def hook(client: AsyncClient, admin: api.User, receiver: Receiver) -> Hook:
    return await add(client, admin, receiver.url)


@pytest.fixture
def told(server: Server, admin: api.User) -> Callable[[], Awaitable[int]]:
    """Something happens, and is on its way."""

    async def told() -> int:
        await happen(server, subject=uuid.UUID(admin.id))
        await tell(server)
        return await send(server)

    return told
