"""Deliveries of more than thirty days ago go, and those of an endpoint that is gone; a thousand a transaction."""

import uuid

from app.database import Database
from app.jobs.sockets import Later, Work
from app.webhooks import repository, service

AT_ONCE = 1_000


class Tidier:
    """The handler of jobs of kind "webhook-tidy"."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, work: Work) -> None:
        """Remove some.

        Raises:
            Later: there are more.
        """
        gone = work.payload.get("endpoint")
        async with self._database.write() as db:
            if gone:
                removed = await repository.delete_some_of(db, uuid.UUID(gone), AT_ONCE)
            else:
                removed = await repository.delete_some_before(db, work.now - service.KEPT, AT_ONCE)
        if removed == AT_ONCE:
            raise Later(work.now)
