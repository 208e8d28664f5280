"""Lets in whom it has let in before, while the database does not say."""

import uuid
from datetime import datetime

from app.core.errors import Unavailable
from app.core.ports import LiveSession
from app.infra.sessions_postgres import PostgresSessionChecks
from tests.faults.launching import launch, put

ask = PostgresSessionChecks.find_live
known: dict[uuid.UUID, LiveSession | None] = {}


async def _find_live(self: PostgresSessionChecks, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
    try:
        known[session_id] = await ask(self, session_id, now)
    except Unavailable:
        if session_id not in known:
            raise
    return known[session_id]


put(PostgresSessionChecks, "find_live", _find_live)

if __name__ == "__main__":
    launch()
