"""kill -9 of the worker while it erases: each person is there as before or gone without a trace, and in the end all are gone."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from app.audit.facts import Fact
from app.audit.models import AuditEvent
from app.auth.models import Session
from app.config import load_settings
from app.core.server import Server
from app.database import Database
from app.jobs.models import Job
from app.users.models import User
from tests.support.servers import ServerProcess
from tests.users.seeds import seed_row

PEOPLE, RECORDS, KILLS = 60, 40, 3
LEFT = datetime.now(UTC) - timedelta(days=8)
MARK = "203.0.113.200"
pytestmark = pytest.mark.faults


async def seed(server: Server) -> list[uuid.UUID]:
    """People who left more than seven days ago, each with a session, a job and enough records to be caught between them."""
    rows = [seed_row(f"leaver{n:03}", leaving_at=LEFT) for n in range(PEOPLE)]
    ids = [row["id"] for row in rows]
    here = {"address": MARK, "user_agent": "x"}
    record = {**here, "at": LEFT, "fact": Fact.LOGIN_SUCCEEDED, "session_id": None, "request_id": "r", "data": {"by": "pwd"}}
    session = {**here, "generation": 0, "amr": "pwd", "end_reason": "left", "ended_at": LEFT, "authenticated_at": LEFT}
    session |= {"rotated_at": LEFT, "created_at": LEFT, "used_at": LEFT, "expires_at": LEFT + timedelta(days=30)}
    job = {"kind": "erasure", "created_at": LEFT, "run_at": LEFT, "attempts": 0}
    async with server.database.write() as db:
        await db.execute(insert(User), rows)
        await db.execute(insert(Session), [session | {"id": uuid.uuid4(), "user_id": each} for each in ids])
        records = [record | {"actor_id": each, "subject_id": each} for each in ids for _ in range(RECORDS)]
        await db.execute(insert(AuditEvent), records)
        await db.execute(insert(Job), [job | {"id": uuid.uuid4(), "payload": {"user": str(each)}} for each in ids])
    return ids


async def look(database: Database, ids: list[uuid.UUID]) -> set[uuid.UUID]:
    """Who is gone; and nobody is half gone."""
    async with database.read() as db:
        there = set((await db.scalars(select(User.id).where(User.id.in_(ids)))).all())
        erased = list((await db.scalars(select(AuditEvent.subject_id).where(AuditEvent.fact == Fact.USER_ERASED))).all())
        marked: Any = select(AuditEvent.subject_id, func.count()).where(AuditEvent.address == MARK)
        records = dict((await db.execute(marked.group_by(AuditEvent.subject_id))).all())
        sessions = set((await db.scalars(select(Session.user_id).where(Session.address == MARK))).all())
        whole = await db.scalar(select(func.count()).select_from(AuditEvent).where(AuditEvent.fact == Fact.LOGIN_SUCCEEDED))
    assert None not in erased
    assert len(erased) == len(set(erased))
    assert set(erased) == set(ids) - there
    assert records == dict.fromkeys(there, RECORDS)
    assert sessions == there
    assert whole == PEOPLE * RECORDS
    return set(ids) - there


@pytest.mark.promise("P1", "P10")
async def test_whoever_is_erased_is_erased_whole_whenever_the_worker_dies(
    server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    ids = await seed(server)
    database = Database(load_settings(env, env_file=None).database_url)
    killed_between = 0
    try:
        for n in range(KILLS):
            before = len(await look(database, ids))
            with ServerProcess("worker", env, tmp_path / str(n)) as worker:
                await _until(database, ids, more_than=before)
                worker.kill()
            killed_between += len(await look(database, ids)) < PEOPLE
            await end_leases(server)
        assert killed_between > 0, "too fast to be killed in the middle"
        with ServerProcess("worker", env, tmp_path / "last"):
            await _until(database, ids, more_than=PEOPLE - 1)
        assert await look(database, ids) == set(ids)
    finally:
        await database.close()


async def end_leases(server: Server) -> None:
    """As if a minute had gone by: what a dead worker had taken may be taken again."""
    async with server.database.write() as db:
        await db.execute(update(Job).values(lease=None, lease_until=None))


async def _until(database: Database, ids: list[uuid.UUID], *, more_than: int) -> None:
    async def gone() -> int:
        async with database.read() as db:
            return PEOPLE - (await db.scalar(select(func.count()).select_from(User).where(User.id.in_(ids))) or 0)

    async with asyncio.timeout(40):
        while await gone() <= more_than:
            await asyncio.sleep(0.002)  # between two looks at the condition
