"""Where higher packages hear that an account's access has ended, and say which names are not free."""

import uuid
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.sockets import Socket


class AccessEnded(Protocol):
    """Ends what the account has open, in the same transaction; the account's row is locked."""

    async def __call__(self, db: AsyncSession, user_id: uuid.UUID, reason: str, now: datetime) -> None:
        """`reason` is what sessions record."""
        ...


class NameHeld(Protocol):
    """Knows names that are promised to somebody who has no account yet."""

    async def __call__(self, db: AsyncSession, username_key: str, now: datetime) -> bool:
        """Whether this name, in its unique form, is one."""
        ...


ACCESS_ENDED: Socket[AccessEnded] = Socket("users.ACCESS_ENDED")
NAME_HELD: Socket[NameHeld] = Socket("users.NAME_HELD")
