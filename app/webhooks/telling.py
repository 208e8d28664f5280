"""From the audit chain to deliveries: about once a second, by whichever worker gets hold of the cursor.

No request waits for it. The cursor is moved, deliveries are written down and jobs asked for in one transaction: killed at any
moment nothing is left out and nothing is there twice. The chain gives events their order: none comes to stand before one that
was read.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import reading
from app.database import Database
from app.webhooks import messages, repository, service

BATCH = 500


class Teller:
    """Part of jobs.STEADY."""

    name = "webhooks.teller"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tick(self, now: datetime) -> None:
        """See `Steady.tick`."""
        while await self._tell_some(now) == BATCH:
            pass

    async def finish(self, now: datetime) -> None:
        """See `Steady.finish`: what was sealed last is there to be sent by whoever comes next."""
        await self.tick(now)

    async def _tell_some(self, now: datetime) -> int:
        async with self._database.read() as db:
            if not await repository.has_news(db):
                return 0
        async with self._database.write() as db:
            return await _move(db, now)


async def _move(db: AsyncSession, now: datetime) -> int:
    position = await repository.take_cursor(db)
    if position is None:
        return 0
    endpoints = await repository.list_listening(db)
    if not endpoints:
        await repository.move_cursor(db, position, await reading.find_position(db))
        return 0
    events = await reading.list_sealed(db, position, BATCH)
    told = [
        messages.of_event(endpoint, event, now)
        for event in events
        for endpoint in endpoints
        if event.fact in endpoint.facts and event.id > endpoint.after_event
    ]
    await repository.add_deliveries(db, told)
    if events and not await repository.move_cursor(db, position, events[-1].position):
        raise LookupError("the cursor moved while it was held")
    for endpoint_id in sorted({each["endpoint_id"] for each in told}):
        await service.send_soon(db, endpoint_id, now)
    return len(events)
