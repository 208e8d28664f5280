"""A request is a transaction: committed before its answer leaves, rolled back on an error unless the error keeps its trace."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.caller import PUBLIC
from app.core.deps import Db, write_of
from app.core.errors import AppError
from app.core.server import Server
from app.models import DailyRound
from tests.support.postgres import Cluster
from tests.support.stacks import Stack

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Kept(AppError):
    """A refusal whose trace stays."""

    code, status, keeps = "kept", 401, True


class Dropped(AppError):
    """A refusal without a trace."""

    code, status = "dropped", 409


def row(name: str) -> DailyRound:
    return DailyRound(name=name, due_at=AT)


async def names(server: Server) -> set[str]:
    async with server.database.read() as db:
        return set((await db.scalars(select(DailyRound.name))).all())


async def write_and_raise(server: Server, error: Exception, *written: str) -> None:
    async with server.database.write() as db:
        for name in written:
            db.info["name"] = name
            db.add(row(name))
            await db.flush()
        raise error


async def test_a_transaction_is_committed_at_its_end(server: Server) -> None:
    async with server.database.write() as db:
        db.add(row("done"))
    assert "done" in await names(server)


@pytest.mark.parametrize("error", [Dropped(), ValueError("x"), RuntimeError("x")], ids=lambda error: type(error).__name__)
@pytest.mark.asvs("V2.3.3")
async def test_an_error_rolls_everything_back(server: Server, error: Exception) -> None:
    with pytest.raises(type(error)):
        await write_and_raise(server, error, "first", "second")
    assert not {"first", "second"} & await names(server)


async def test_a_refusal_that_keeps_is_committed_and_still_raised(server: Server) -> None:
    with pytest.raises(Kept):
        await write_and_raise(server, Kept(), "kept")
    assert "kept" in await names(server)


async def test_a_cancelled_transaction_is_rolled_back(server: Server) -> None:
    wrote = asyncio.Event()

    async def write_and_wait() -> None:
        async with server.database.write() as db:
            db.add(row("cancelled"))
            await db.flush()
            wrote.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_and_wait())
    await wrote.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "cancelled" not in await names(server)
    async with server.database.write() as db:  # and nothing is locked by it
        db.add(row("after"))
    assert "after" in await names(server)


async def test_a_reading_transaction_never_writes(server: Server) -> None:
    with suppress(Exception):
        async with server.database.read() as db:
            await db.execute(text("DELETE FROM daily_rounds"))
            db.add(row("read"))
            await db.flush()
    assert "read" not in await names(server)


async def test_what_follows_a_commit_runs_only_after_one(server: Server) -> None:
    seen: list[dict[str, Any]] = []

    async def note(info: dict[str, Any]) -> None:
        seen.append({**info, "there": info["name"] in await names(server)})

    server.database.after_commit.append(note)
    async with server.database.write() as db:
        db.info["name"] = "one"
        db.add(row("one"))
    with pytest.raises(Kept):
        await write_and_raise(server, Kept(), "two")
    with pytest.raises(Dropped):
        await write_and_raise(server, Dropped(), "three")
    assert [(info["name"], info["there"]) for info in seen] == [("one", True), ("two", True)]


# By way of routes


async def test_the_commit_happens_before_the_answer_leaves(app: FastAPI, server: Server) -> None:
    at_answer: list[set[str]] = []

    async def write(db: Db) -> dict[str, str]:
        db.add(row("answered"))
        return {}

    app.add_api_route("/test/write", write, methods=["POST"], dependencies=[PUBLIC])

    async def look_at_start(scope: Any, receive: Any, send: Any) -> None:
        async def looking(message: Any) -> None:
            if message["type"] == "http.response.start":
                at_answer.append(await names(server))
            await send(message)

        await app(scope, receive, looking)

    transport = httpx2.ASGITransport(app=look_at_start)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        assert (await client.post("/test/write")).status_code == 200
    (there,) = at_answer
    assert "answered" in there


@pytest.mark.parametrize("refusal", [Kept, Dropped])
async def test_a_routes_refusal_commits_only_if_it_keeps(
    app: FastAPI, server: Server, client: httpx2.AsyncClient, refusal: type[AppError]
) -> None:
    async def refuse(db: Db) -> None:
        db.add(row("trace"))
        raise refusal

    app.add_api_route("/test/refuse", refuse, methods=["POST"], dependencies=[PUBLIC])
    answer = await client.post("/test/refuse")
    assert (answer.status_code, answer.json()["code"]) == (refusal.status, refusal.code)
    assert ("trace" in await names(server)) is refusal.keeps


LateDb = Annotated[AsyncSession, Depends(write_of)]  # FastAPI's default: ends after the answer was sent


def fail_next_commit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a failing disk does it: everything went well until the driver's COMMIT."""
    dialect = server.database._writer.sync_engine.dialect

    def fail(_connection: Any) -> None:
        monkeypatch.undo()
        raise dialect.loaded_dbapi.OperationalError("disk I/O error")

    monkeypatch.setattr(dialect, "do_commit", fail)


@pytest.mark.promise("P1", "P6")
@pytest.mark.asvs("V16.5.3", "V2.3.3")
async def test_a_failing_commit_is_a_503_and_not_a_2xx(
    app: FastAPI, server: Server, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(db: Db) -> dict[str, str]:
        db.add(row("lost"))
        return {"status": "done"}

    app.add_api_route("/test/lost", write, methods=["POST"], dependencies=[PUBLIC])
    fail_next_commit(server, monkeypatch)
    answer = await client.post("/test/lost")
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert answer.headers["retry-after"]
    assert "lost" not in await names(server)
    assert (await client.post("/test/lost")).status_code == 200
    assert "lost" in await names(server)


async def test_the_control_that_commits_late_says_200_of_what_is_lost(
    app: FastAPI, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(db: LateDb) -> dict[str, str]:
        db.add(row("late"))
        return {"status": "done"}

    app.add_api_route("/test/late", write, methods=["POST"], dependencies=[PUBLIC])
    fail_next_commit(server, monkeypatch)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        answer = await client.post("/test/late")
    assert answer.status_code == 200
    assert "late" not in await names(server)


@pytest.mark.promise("P6")
async def test_a_database_that_fails_in_mid_request_is_a_503(
    app: FastAPI, server: Server, client: httpx2.AsyncClient, stack: Stack, request: pytest.FixtureRequest
) -> None:
    """PostgreSQL loses the connection before its commit, SQLite has no room left."""

    async def write(db: Db) -> None:
        db.add(row("cut"))
        await db.flush()
        if stack.postgres:
            cluster: Cluster = request.getfixturevalue("postgres")
            pid = await db.scalar(text("SELECT pg_backend_pid()"))
            await asyncio.to_thread(lambda: cluster.execute(f"SELECT pg_terminate_backend({pid}, 5000)"))
        else:
            await db.execute(text("PRAGMA max_page_count = 1"))
            db.add(row("x" * 200_000))

    app.add_api_route("/test/cut", write, methods=["POST"], dependencies=[PUBLIC])
    answer = await client.post("/test/cut")
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "unavailable"
    assert "cut" not in await names(server)
