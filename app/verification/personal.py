"""Verification's parts of personal data: changes of address, and registrations that wait for the address to be proved."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.jobs import personal as jobs
from app.mail import personal as mail
from app.tickets import personal as tickets
from app.users import service as users
from app.users.names import name_key
from app.verification import repository


class EmailChangesOf:
    """Which addresses the account had, and was to have."""

    name = "email_changes"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """Each change that is not forgotten yet."""
        changes = await repository.list_changes(db, person.id)
        return records(changes, "id", "old_email", "new_email", "requested_at", "confirmed_at", "undone_at", "forget_at")

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """All of them, and what waits for their addresses; unless somebody else has such an address by now."""
        changes = await repository.list_changes(db, person.id)
        await tickets.forget_subjects(db, [change.id for change in changes])
        await jobs.forget_subjects(db, [change.id for change in changes])
        await repository.delete_changes(db, person.id)
        for key in {name_key(email) for change in changes for email in (change.old_email, change.new_email)} - {person.email_key}:
            if await users.find_by_key(db, key) is None:
                await tickets.forget_address(db, key)
                await jobs.forget_address(db, key)
                await mail.forget_address(db, key)


class PendingRegistrationsOf:
    """What somebody, perhaps somebody else, asked for with the address."""

    name = "pending_registrations"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """Without the password's hash: whoever asked chose it."""
        waiting = await repository.list_pending_for(db, person.email_key)
        return records(waiting, "id", "username", "email", "locale", "created_at", "reserved_until")

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """All of it: nothing is made with the address of somebody who is gone."""
        waiting = [pending.id for pending in await repository.list_pending_for(db, person.email_key)]
        await tickets.forget_subjects(db, waiting)
        await jobs.forget_subjects(db, waiting)
        await repository.delete_pending_for(db, person.email_key)
