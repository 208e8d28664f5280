"""No request outlives its deadline: a route that hangs is answered 503, and what it says later is heard by nobody."""

import asyncio

import httpx2
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response

from app.core import edge
from app.core.caller import PUBLIC
from tests.hostile.checks import MEDIA_TYPE, shape_of


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "DEADLINE_SECONDS", 0.05)


def check(answer: httpx2.Response) -> None:
    assert answer.status_code == 503
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert int(answer.headers["retry-after"]) >= 1
    assert shape_of(answer.json(), 503) is None
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.promise("P5")
@pytest.mark.asvs("V16.5.2", "V16.5.3")
async def test_a_hanging_route_is_a_503_and_is_cancelled(app: FastAPI, client: httpx2.AsyncClient) -> None:
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    app.add_api_route("/test/hang", hang, dependencies=[PUBLIC])
    check(await client.get("/test/hang"))
    await asyncio.wait_for(cancelled.wait(), 1)


async def test_what_a_late_route_says_is_heard_by_nobody(app: FastAPI, client: httpx2.AsyncClient) -> None:
    free, done = asyncio.Event(), asyncio.Event()

    async def stubborn() -> Response:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue  # as a driver does that waits for a stuck server
        done.set()
        return PlainTextResponse("too late", headers={"X-Late": "yes"})

    app.add_api_route("/test/stubborn", stubborn, dependencies=[PUBLIC])
    answer = await client.get("/test/stubborn")
    check(answer)
    free.set()
    await asyncio.wait_for(done.wait(), 1)
    assert "too late" not in answer.text
    assert "x-late" not in answer.headers
    assert (await client.get("/health/live")).status_code == 200


async def test_a_quick_route_is_not_touched(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def quick() -> dict[str, int]:
        await asyncio.sleep(0)
        return {"a": 1}

    app.add_api_route("/test/quick", quick, dependencies=[PUBLIC])
    assert (await client.get("/test/quick")).json() == {"a": 1}


async def test_many_hanging_requests_all_end(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    app.add_api_route("/test/hang", hang, dependencies=[PUBLIC])
    for answer in await asyncio.gather(*(client.get("/test/hang") for _ in range(50))):
        check(answer)


async def test_the_deadline_is_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert edge.DEADLINE_SECONDS <= 5
