"""Jobs' part of personal data: later work that is about somebody."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.jobs import repository

MANY = 500
SHOWN = ("id", "kind", "payload", "created_at", "run_at", "attempts", "dead_at")


class JobsAbout:
    """A payload names people under `to`, `email`, `user` or `subject`, and nowhere else."""

    name = "jobs"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """Mails that wait to be sent, and the like."""
        return records(await repository.list_about(db, person.id, person.email_key), *SHOWN)

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """What waits is not done any more. What is under way ends, and finds its row gone."""
        await repository.delete_about(db, person.id, person.email_key)


async def export_address(db: AsyncSession, email_key: str) -> list[Record]:
    """What is to be done for an address that was the person's."""
    return records(await repository.list_about(db, None, email_key), *SHOWN)


async def forget_address(db: AsyncSession, email_key: str) -> None:
    """Drop what is to be done for an address that nobody has any more."""
    await repository.delete_about(db, None, email_key)


async def forget_subjects(db: AsyncSession, subject_ids: Sequence[uuid.UUID]) -> None:
    """Drop what is to be done about rows that are going: `subject`, `change` or `invitation` in a payload."""
    for start in range(0, len(subject_ids), MANY):
        await repository.delete_of(db, [str(each) for each in subject_ids[start : start + MANY]])
