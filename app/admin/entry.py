"""Being in the console: entered with a fresh proof, over after 8 hours, or 15 minutes without a request.

A cookie says since when, signed for one session; the session's row decides before it is read, so logging out ends this too.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.types import Scope

from app.core.cookies import CONSOLE, Cookies
from app.core.crypto import b64decode, b64encode, equal, keyed_digest
from app.core.identity import Caller

LIFE, IDLE = timedelta(hours=8), timedelta(minutes=15)
MOMENT_BYTES, MAC_BYTES = 8, 32


@dataclass(frozen=True, slots=True)
class ConsoleKit:
    """The key of the cookie."""

    key: bytes


@dataclass(frozen=True, slots=True)
class ConsoleDoor:
    """Open to whoever is in the console: the door of what its scripts could call by cookie."""

    kit: ConsoleKit
    cookies: Cookies

    def __call__(self, scope: Scope, caller: Caller, now: datetime) -> bool:
        """See `Door`."""
        held = self.cookies.read(scope, CONSOLE)
        return caller.session_id is not None and read_entry(self.kit, caller.session_id, held, now) is not None


def write_entry(kit: ConsoleKit, session_id: uuid.UUID, entered_at: datetime, now: datetime) -> str:
    """The cookie's value for a request at this moment."""
    moments = b"".join(int(each.timestamp()).to_bytes(MOMENT_BYTES, "big") for each in (entered_at, now))
    return b64encode(moments + _mac(kit, session_id, moments))


def read_entry(kit: ConsoleKit, session_id: uuid.UUID, cookie: str | None, now: datetime) -> datetime | None:
    """Since when this session is in the console; None where it is not (any more)."""
    raw = b64decode(cookie) if cookie and cookie.isascii() else None
    if raw is None or len(raw) != 2 * MOMENT_BYTES + MAC_BYTES:
        return None
    moments, mac = raw[: 2 * MOMENT_BYTES], raw[2 * MOMENT_BYTES :]
    if not equal(mac, _mac(kit, session_id, moments)):
        return None
    entered_at, seen_at = (
        datetime.fromtimestamp(int.from_bytes(each, "big"), UTC) for each in (moments[:MOMENT_BYTES], moments[MOMENT_BYTES:])
    )
    return entered_at if now - entered_at < LIFE and now - seen_at < IDLE else None


def _mac(kit: ConsoleKit, session_id: uuid.UUID, moments: bytes) -> bytes:
    return keyed_digest(kit.key, "console", session_id.bytes, moments)
