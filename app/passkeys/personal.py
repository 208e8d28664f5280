"""Passkeys' part of personal data."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.passkeys import repository

SHOWN = (
    "id",
    "name",
    "aaguid",
    "transports",
    "discoverable",
    "backup_eligible",
    "backed_up",
    "uv_initialized",
    "sign_count",
    "created_at",
    "last_used_at",
)


class PasskeysOf:
    """What is kept to check passkeys by; their secrets never leave the person's devices."""

    name = "passkeys"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """Each with what its authenticator said of itself."""
        return records(await repository.list_of(db, person.id), *SHOWN)

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """All of them."""
        await repository.delete_all_of(db, person.id)
