"""Users' part of personal data: the account itself."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, record
from app.users import repository

EXPORTED = (
    "id",
    "username",
    "email",
    "email_verified_at",
    "display_name",
    "locale",
    "role",
    "created_at",
    "last_login_at",
    "password_changed_at",
    "disabled_at",
    "leaving_at",
)


class AccountOf:
    """The row in `users`."""

    name = "account"

    async def export(self, db: AsyncSession, person: Person) -> Record:
        """All of it but the password's hash, and what is derived from the rest."""
        user = await repository.find_user(db, person.id)
        return record(user, *EXPORTED) if user else {}

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """The row goes."""
        await repository.delete_user(db, person.id)
