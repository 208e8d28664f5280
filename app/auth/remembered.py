"""Browsers that need not give the second factor for 30 days: a row each, and a cookie signed for the account and its factors.

A change of the factors leaves no such cookie good; a change of password and a log-out everywhere delete the rows.
"""

import uuid
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import repository
from app.auth.deps import AuthKit
from app.auth.models import RememberedDevice
from app.core.client import Client
from app.core.crypto import b64decode, b64encode, equal, keyed_digest, random_id

LIFE = timedelta(days=30)
ID_BYTES = 16


async def remember(db: AsyncSession, kit: AuthKit, user_id: uuid.UUID, mark: bytes, client: Client, now: datetime) -> str:
    """The cookie of a browser that gave the second factor just now; `mark` is of the account's factors."""
    device_id = random_id()
    await repository.add_remembered(
        db,
        RememberedDevice(id=device_id, user_id=user_id, user_agent=client.user_agent, created_at=now, expires_at=now + LIFE),
    )
    return b64encode(device_id.bytes + _signature(kit, device_id, user_id, mark))


async def is_remembered(
    db: AsyncSession, kit: AuthKit, cookie: str | None, user_id: uuid.UUID, mark: bytes, now: datetime
) -> bool:
    """Whether the cookie was made for this account and these factors, and was not revoked since."""
    raw = b64decode(cookie) if cookie and cookie.isascii() else None
    if raw is None or len(raw) <= ID_BYTES:
        return False
    device_id = uuid.UUID(bytes=raw[:ID_BYTES])
    if not equal(raw[ID_BYTES:], _signature(kit, device_id, user_id, mark)):
        return False
    return await repository.find_remembered(db, device_id, user_id, now) is not None


async def list_own(db: AsyncSession, user_id: uuid.UUID, now: datetime) -> list[RememberedDevice]:
    """An account's, oldest first, but for those whose time is over."""
    return [each for each in await repository.list_remembered(db, user_id) if each.expires_at > now]


def _signature(kit: AuthKit, device_id: uuid.UUID, user_id: uuid.UUID, mark: bytes) -> bytes:
    return keyed_digest(kit.remember_key, "v1", device_id.bytes, user_id.bytes, mark)
