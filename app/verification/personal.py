"""Verification's parts of personal data: changes of address, and registrations that wait for the address to be proved."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.jobs import personal as jobs
from app.mail import personal as mail
from app.tickets import personal as tickets
from app.users import service as users
from app.users.names import name_key
from app.verification import repository
from app.verification.models import EmailChange

CHANGE = ("id", "old_email", "new_email", "requested_at", "confirmed_at", "undone_at", "forget_at")


class EmailChangesOf:
    """Which addresses the account had, and was to have."""

    name = "email_changes"

    async def export(self, db: AsyncSession, person: Person) -> dict[str, list[Record]]:
        """Each change that is not forgotten yet, and what there is for its addresses."""
        changes = await repository.list_changes(db, person.id)
        keys = await _deserted(db, person, changes)
        return {
            "changes": records(changes, *CHANGE),
            "links": await tickets.export_subjects(db, [change.id for change in changes]),
            "jobs": [job for key in keys for job in await jobs.export_address(db, key)],
            "dev_mails": [sent for key in keys for sent in await mail.export_address(db, key)],
        }

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """All of them, and what waits for their addresses."""
        changes = await repository.list_changes(db, person.id)
        ids = [change.id for change in changes]
        await tickets.forget_subjects(db, ids)
        await jobs.forget_subjects(db, ids)
        for key in await _deserted(db, person, changes):
            await tickets.forget_address(db, key)
            await jobs.forget_address(db, key)
            await mail.forget_address(db, key)
        await repository.delete_changes(db, person.id)


async def _deserted(db: AsyncSession, person: Person, changes: Sequence[EmailChange]) -> list[str]:
    """The addresses of these changes that were the person's, or were to be; but for those that an account has now."""
    keys = {name_key(email) for change in changes for email in (change.old_email, change.new_email)} - {person.email_key}
    return [key for key in sorted(keys) if await users.find_by_key(db, key) is None]


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
