"""The Redis blocklist: tokens and sessions that ended, until no token of theirs can live. It can only refuse.

The session row has decided already (DESIGN section 3); this is a second, independent no. Keys share one hash tag, so that
both are asked in one round trip on a cluster.
"""

import uuid
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ports import Refusals

MARGIN = timedelta(seconds=60)  # beyond a token's life, for clocks that differ
ENDED = "auth.ended"  # key in a session's info
PREFIX = "{authkeep}:blocked"


def note_ended(db: AsyncSession, session_id: uuid.UUID, token: tuple[str, datetime] | None = None) -> None:
    """Remember, until this transaction has committed, that a session (and the token presented) is to be blocked."""
    db.info.setdefault(ENDED, {})[session_id] = token


class Blocklist:
    """Blocks after commit, best effort; asks beside the row."""

    def __init__(self, store: Refusals | None, access_life: timedelta) -> None:
        self._store = store
        self._access_life = access_life

    def refuses(self, keys: Sequence[str]) -> Awaitable[bool] | None:
        """Whether one of these is blocked, asked at once; None where there is no Redis to ask."""
        if self._store is None:
            return None
        return self._store.holds_any(keys)

    async def block(self, ended: Mapping[uuid.UUID, tuple[str, datetime] | None], now: datetime) -> None:
        """Write what ended; an answer does not depend on its success."""
        if self._store is None or not ended:
            return
        keys = {session_key(sid): _seconds(self._access_life + MARGIN) for sid in ended}
        for token in ended.values():
            if token is not None:
                token_id, expires_at = token
                keys[token_key(token_id)] = _seconds(expires_at - now + MARGIN)
        await self._store.put(keys)


def ended_in(info: Mapping[str, Any]) -> Mapping[uuid.UUID, tuple[str, datetime] | None]:
    """What a committed transaction noted."""
    noted: Mapping[uuid.UUID, tuple[str, datetime] | None] = info.get(ENDED, {})
    return noted


def session_key(session_id: uuid.UUID) -> str:
    """What a session is blocked under."""
    return f"{PREFIX}:sid:{session_id.hex}"


def token_key(token_id: str) -> str:
    """What a token is blocked under, by its jti."""
    return f"{PREFIX}:jti:{token_id}"


def _seconds(life: timedelta) -> int:
    return max(1, int(life.total_seconds()) + 1)
