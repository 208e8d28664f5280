"""A log that was written and sealed, hands that change it as the database's owner can, and the verifier's word on it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app.audit import repository, service
from app.audit.chain import BEGINNING, WRITTEN, AuditKeys, digest_of, seal_of
from app.audit.facts import Fact
from app.audit.verifying import NotVerified, Report, Trust, verify_database
from app.core.client import Client
from app.core.server import Server
from app.jobs.worker import run_steady

STRANGER = Client("203.0.113.7", "Harbour/1.0", "r1")
LATER = timedelta(minutes=10)


async def write(server: Server, count: int = 1, fact: Fact = Fact.LOGIN_FAILED, **more: Any) -> None:
    """Rows as features write them, one transaction each."""
    for number in range(count):
        async with server.database.write() as db:
            client = Client(f"203.0.113.{number % 250}", "Harbour/1.0 ünï", f"r{number}")
            await service.record(db, fact, client, server.clock(), **{"subject": uuid.uuid4(), **more})


async def seal(server: Server) -> None:
    """One round of what the worker does each second."""
    await run_steady(server, server.clock())


async def sealed_log(server: Server, count: int = 10) -> None:
    await write(server, count)
    await seal(server)


def trust_of(server: Server) -> Trust:
    keys = server.kit(AuditKeys)
    return Trust(frozenset({keys.public}), keys)


async def heads_of(server: Server) -> list[str]:
    """What sinks were given."""
    async with server.database.read() as db:
        return await repository.list_head_lines(db, None)


async def verify(server: Server, heads: list[str] | None = None) -> Report:
    files = [("heads.jsonl", heads)] if heads is not None else []
    return await verify_database(server.database, trust_of(server), files, server.clock)


async def finding(server: Server, heads: list[str] | None = None) -> str:
    """What the verifier finds; an empty text where nothing is wrong."""
    try:
        await verify(server, heads)
    except NotVerified as problem:
        return str(problem)
    return ""


async def execute(server: Server, *statements: str, **values: Any) -> None:
    """Statements by the database's owner, in one transaction."""
    async with server.database.write() as db:
        for statement in statements:
            await db.execute(text(statement), values)


async def rows(server: Server) -> list[Any]:
    """The chain, in order."""
    async with server.database.read() as db:
        return list(await repository.list_sealed(db, 0, 100_000))


async def seal_anew(server: Server, *, keep_marks: bool = True) -> None:
    """What the database's owner can do who knows all but our secrets: compute the whole chain again, and move its end."""
    before, position = BEGINNING, 0
    async with server.database.write() as db:
        await repository.lock_chain(db)  # so that no sealer gets in between
        for row in await repository.list_sealed(db, 0, 100_000):
            position += 1
            before = seal_of(before, position, row.id, digest_of(as_values(row)), WRITTEN)
            mark = "" if keep_marks else ", mark = NULL"
            # Negative first: places are unique.
            change = text(f"UPDATE audit_events SET position = :p, seal = :s{mark} WHERE id = :i")
            await db.execute(change, {"p": -position, "s": before, "i": row.id})
        await db.execute(text("UPDATE audit_events SET position = -position WHERE position < 0"))
        await db.execute(text("UPDATE audit_chain SET position = :p, seal = :s"), {"p": position, "s": before})


@asynccontextmanager
async def busy(server: Server) -> AsyncIterator[None]:
    """Writers and the sealer at work; what is to be sealed and is never is the tests' to notice."""
    ended = False

    async def again_and_again(work: Callable[[Server], Awaitable[None]]) -> None:
        while not ended:
            await work(server)
            await asyncio.sleep(0)  # SQLite's writers would let nobody in between

    at_work = [asyncio.create_task(again_and_again(work)) for work in (write, write, seal)]
    try:
        yield
    finally:
        ended = True
        await asyncio.gather(*at_work)


async def until_longer(server: Server, by: int) -> None:
    """Until there are so many more rows, sealed or not, than there were."""
    count = "SELECT count(*) FROM audit_events"
    wanted = None
    while True:
        async with server.database.read() as db:
            there = await db.scalar(text(count)) or 0
        wanted = there + by if wanted is None else wanted
        if there >= wanted:
            return
        await asyncio.sleep(0.01)


def as_values(row: Any) -> Mapping[str, Any]:
    values: Mapping[str, Any] = row._mapping
    return values
