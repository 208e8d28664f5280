"""Lets a question join a statement that was already sent, if that asks the same; and asks no Redis."""

import asyncio
import uuid
from datetime import datetime
from typing import Any

from app.auth.blocklist import Blocklist
from app.core.ports import LiveSession
from app.infra.sessions_postgres import PostgresSessionChecks
from tests.faults.launching import launch, put
from tests.infra.broken import answers_come_late  # noqa: F401 -- as far away as for the server that is not broken

ask: Any = PostgresSessionChecks.find_live
under_way: dict[uuid.UUID, asyncio.Future[LiveSession | None]] = {}


async def _find_live(self: PostgresSessionChecks, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
    if session_id not in under_way:
        under_way[session_id] = asyncio.ensure_future(ask(self, session_id, now))
        under_way[session_id].add_done_callback(lambda _: under_way.pop(session_id))
    return await asyncio.shield(under_way[session_id])


put(PostgresSessionChecks, "find_live", _find_live)
put(Blocklist, "refuses", lambda *_: None)

if __name__ == "__main__":
    launch()
