"""Invitations' part of personal data: those the person made, and those the address was sent."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.invitations import repository
from app.jobs import personal as jobs
from app.tickets import personal as tickets


class InvitationsOf:
    """Those the account made, without whom they were for; those that its address was sent, and the one it was made by."""

    name = "invitations"

    async def export(self, db: AsyncSession, person: Person) -> dict[str, list[Record]]:
        """What became of each."""
        moments = ("created_at", "expires_at", "accepted_at", "withdrawn_at")
        made, received = await repository.list_of(db, person.id), await repository.list_for(db, person.id, person.email_key)
        return {"made": records(made, "id", "role", *moments), "received": records(received, "id", "email", "role", *moments)}

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """What the address was sent; and who made the others."""
        gone = await repository.delete_for(db, person.id, person.email_key)
        await tickets.forget_subjects(db, gone)
        await jobs.forget_subjects(db, gone)
        await repository.forget_inviter(db, person.id)
