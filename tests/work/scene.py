"""Jobs of a kind that nobody does, in each state."""

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from app.core.server import Server
from app.jobs import service
from app.jobs.models import Job
from tests.auth.scene import execute
from tests.support.clock import TravellingClock

KIND = "letter"


async def job(server: Server, clock: TravellingClock, payload: dict[str, Any] | None = None, **columns: Any) -> str:
    """One that waits; `columns` say how it is otherwise. It is the newest."""
    clock.advance(seconds=1)
    async with server.database.write() as db:
        job_id = await service.enqueue(db, KIND, payload or {}, clock(), delay=timedelta(hours=1))
    if columns:
        assert await execute(server, update(Job).where(Job.id == job_id).values(**columns)) == 1
    return str(job_id)


async def running(server: Server, clock: TravellingClock) -> str:
    """One that a worker is at for another minute."""
    return await job(server, clock, lease=uuid.uuid4(), lease_until=clock() + timedelta(minutes=1))


async def dead(server: Server, clock: TravellingClock, error: str = "OSError") -> str:
    """One that was given up."""
    return await job(server, clock, dead_at=clock(), failing_since=clock() - timedelta(days=3), attempts=900, last_error=error)
