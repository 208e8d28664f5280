"""Where higher packages hear that an account's access has ended, and where they keep names and addresses for somebody."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.sockets import Socket


class AccessEnded(Protocol):
    """Ends what the account has open, in the same transaction; the account's row is locked."""

    async def __call__(self, db: AsyncSession, user_id: uuid.UUID, reason: str, now: datetime, /) -> None:
        """`reason` is what sessions record."""
        ...


ACCESS_ENDED: Socket[AccessEnded] = Socket("users.ACCESS_ENDED")


class Holds(Protocol):
    """Keeps usernames and addresses from others for a while, although no account has them."""

    async def holds_username(self, db: AsyncSession, key: str, now: datetime) -> bool:
        """Whether a new account may not have this name."""
        ...

    async def holds_email(self, db: AsyncSession, key: str, user_id: uuid.UUID | None, now: datetime) -> bool:
        """Whether this account, or a new one, may not have this address."""
        ...

    async def held_among(
        self, db: AsyncSession, username_keys: Sequence[str], email_keys: Sequence[str], now: datetime
    ) -> set[str]:
        """Those of these names and addresses that a new account may not have."""
        ...


HOLDS: Socket[Holds] = Socket("users.HOLDS")
