"""Mail's part of personal data: the dev mailbox."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.mail import repository


class DevMailsTo:
    """Development only; the mails themselves hold live links, so they are named, not shown."""

    name = "dev_mails"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """What was sent to the address."""
        return await export_address(db, person.email_key)

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """All of it."""
        await forget_address(db, person.email_key)


async def export_address(db: AsyncSession, email_key: str) -> list[Record]:
    """What was sent to an address."""
    return records(await repository.list_dev_mails_to(db, email_key), "id", "sent_at", "recipient", "subject")


async def forget_address(db: AsyncSession, email_key: str) -> None:
    """Drop what was sent to an address."""
    await repository.delete_dev_mails_to(db, email_key)
