"""What servers broken on purpose have in common that remember a row."""

import time
import uuid
from datetime import datetime
from typing import Any

from app.auth.blocklist import Blocklist
from app.core.ports import LiveSession
from app.infra.sessions_postgres import PostgresSessionChecks
from app.infra.sessions_sqlite import SqliteSessionChecks
from tests.faults.launching import put


def remember_rows(seconds: float) -> None:
    """Answer from memory for so long; and ask no Redis, which would refuse what the row no longer does."""
    for kind in (PostgresSessionChecks, SqliteSessionChecks):
        _remember(kind, seconds)
    put(Blocklist, "refuses", lambda *_: None)


def _remember(kind: type[PostgresSessionChecks] | type[SqliteSessionChecks], seconds: float) -> None:
    ask: Any = kind.find_live
    known: dict[uuid.UUID, tuple[float, LiveSession | None]] = {}

    async def find_live(self: Any, session_id: uuid.UUID, now: datetime) -> LiveSession | None:
        moment, live = known.get(session_id, (0.0, None))
        if time.monotonic() - moment > seconds:
            live = await ask(self, session_id, now)
            known[session_id] = (time.monotonic(), live)
        return live

    put(kind, "find_live", find_live)
