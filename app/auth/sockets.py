"""Where higher packages take part in registering, and in starting a reset."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.client import Client
from app.core.sockets import Socket
from app.users.models import User


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who wants an account, with the password hashed."""

    username: str
    email: str
    password_hash: str
    scheme: str
    locale: str | None


class Registered(Protocol):
    """Hears that somebody registered, in the same transaction."""

    async def __call__(self, db: AsyncSession, user: User, client: Client, now: datetime, /) -> None:
        """The account was made."""
        ...


class Pending(Protocol):
    """Keeps registrations until the address is proved; where one is plugged, registering makes no account."""

    async def __call__(self, db: AsyncSession, applicant: Applicant, client: Client, now: datetime, /) -> None:
        """Write it down, whether or not the address is taken.

        Raises:
            UsernameTaken: somebody has the name, or asked for it before.
        """
        ...


class StartReset(Protocol):
    """Has a reset link mailed to the account's address, in the same transaction."""

    async def __call__(self, db: AsyncSession, user: User, client: Client, now: datetime, /) -> None:
        """The account's row is locked."""
        ...


REGISTERED: Socket[Registered] = Socket("auth.REGISTERED")
PENDING: Socket[Pending] = Socket("auth.PENDING")
START_RESET: Socket[StartReset] = Socket("auth.START_RESET")
