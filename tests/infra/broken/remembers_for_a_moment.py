"""Remembers for 50 ms what a row said; and asks no Redis, which would refuse what the row no longer does."""

import time
import uuid
from datetime import datetime
from typing import Any

from app.auth.blocklist import Blocklist
from app.core.ports import LiveSession
from app.infra.sessions_postgres import PostgresSessionChecks
from app.infra.sessions_sqlite import SqliteSessionChecks
from tests.faults.launching import launch, put

KEPT_SECONDS = 0.05


def remember(kind: type[PostgresSessionChecks] | type[SqliteSessionChecks]) -> None:
    ask: Any = kind.find_live
    known: dict[uuid.UUID, tuple[float, LiveSession | None]] = {}

    async def find_live(self: Any, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
        moment, live = known.get(session_id, (0.0, None))
        if time.monotonic() - moment > KEPT_SECONDS:
            live = await ask(self, session_id, now)
            known[session_id] = (time.monotonic(), live)
        return live

    put(kind, "find_live", find_live)


remember(PostgresSessionChecks)
remember(SqliteSessionChecks)
put(Blocklist, "refuses", lambda *_: None)

if __name__ == "__main__":
    launch()
