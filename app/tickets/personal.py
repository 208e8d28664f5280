"""Tickets' part of personal data: links and codes that were mailed to somebody."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.tickets import repository

MANY = 500
SHOWN = ("id", "purpose", "address", "created_at", "expires_at", "spent_at", "voided_at")


class TicketsOf:
    """The account's own, and those made for its address."""

    name = "links"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """What each was for and what became of it; the links themselves are stored nowhere."""
        return records(await repository.list_about(db, person.id, person.email_key), *SHOWN)

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """All of them."""
        await repository.delete_about(db, person.id, person.email_key)


async def export_subjects(db: AsyncSession, subject_ids: Sequence[uuid.UUID]) -> list[Record]:
    """The tickets of rows that stand for something asked of an account."""
    found: list[Record] = []
    for start in range(0, len(subject_ids), MANY):
        found += records(await repository.list_of(db, subject_ids[start : start + MANY]), *SHOWN)
    return found


async def forget_subjects(db: AsyncSession, subject_ids: Sequence[uuid.UUID]) -> None:
    """Drop the tickets of rows that are going."""
    for start in range(0, len(subject_ids), MANY):
        await repository.delete_of(db, subject_ids[start : start + MANY])


async def forget_address(db: AsyncSession, email_key: str) -> None:
    """Drop the tickets for an address that nobody has any more."""
    await repository.delete_for(db, email_key)
