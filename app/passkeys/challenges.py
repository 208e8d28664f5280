"""Challenges: 32 random bytes, good for five minutes, for one answer, by whom they were made for (section 13.4.3)."""

import uuid
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import digest, random_256
from app.passkeys import repository
from app.passkeys.ceremony import claimed_challenge
from app.passkeys.models import CHALLENGE_LIFE
from app.passkeys.repository import Taken

ADD, PROVE, LOGIN = "add", "prove", "login"
NOBODY = uuid.UUID(int=0)


def binding(*whom: str | uuid.UUID) -> bytes:
    """What stands for a session, an attempt, or a browser (by its secret) with the account that it named."""
    return digest("/".join(map(str, whom)))


async def make(db: AsyncSession, purpose: str, bound_to: bytes, now: datetime, user_handle: bytes | None = None) -> bytes:
    """A new challenge."""
    challenge = random_256()
    await repository.add_challenge(db, challenge, purpose, bound_to, now + CHALLENGE_LIFE, user_handle)
    return challenge


async def take(db: AsyncSession, client_data: str, purpose: str, bindings: tuple[bytes, ...], now: datetime) -> Taken | None:
    """The challenge that client data names, for the first to answer it; it is gone then, if the transaction is committed."""
    claimed = claimed_challenge(client_data)
    return await repository.take_challenge(db, claimed, purpose, bindings, now) if claimed else None
