"""The app inside the test process: its lifespan has one task, and a client reaches it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request

from tests.support.apps import client_of, running


async def test_a_client_reaches_the_app_from_its_address() -> None:
    app = FastAPI()

    @app.get("/who")
    async def who(request: Request) -> str | None:
        return request.client.host if request.client else None

    async with running(app), client_of(app, "192.0.2.7") as client:
        assert (await client.get("/who")).json() == "192.0.2.7"


async def test_startup_and_shutdown_are_one_task() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks.append(asyncio.current_task())
        yield
        tasks.append(asyncio.current_task())

    async with running(FastAPI(lifespan=lifespan)):
        assert len(tasks) == 1

    assert tasks[0] is tasks[1] is not asyncio.current_task()


async def test_a_failed_startup_is_raised() -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if _app.title:
            raise LookupError("no database")
        yield

    with pytest.raises(LookupError, match="no database"):
        async with running(FastAPI(lifespan=lifespan)):
            pass
