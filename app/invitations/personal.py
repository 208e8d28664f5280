"""Invitations' part of personal data: those sent to somebody's address, and those that somebody made."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.invitations import repository
from app.jobs import personal as jobs
from app.tickets import personal as tickets

SHOWN = ("id", "role", "created_at", "expires_at", "accepted_at", "withdrawn_at")


class InvitationsOf:
    """Those to the address say so; those made by the person don't say whom they invited."""

    name = "invitations"

    async def export(self, db: AsyncSession, person: Person) -> dict[str, list[Record]]:
        """What is not forgotten yet."""
        about = await repository.list_about(db, person.id, person.email_key)
        received = [each for each in about if each.email_key == person.email_key]
        made = [each for each in about if each.invited_by == person.id]
        return {"received": records(received, "email", *SHOWN), "made": records(made, *SHOWN)}

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """Those to the address go; those made by the person were made by nobody known."""
        gone = await repository.delete_for(db, person.email_key)
        await tickets.forget_subjects(db, gone)
        await jobs.forget_subjects(db, gone)
        await repository.forget_inviter(db, person.id)
