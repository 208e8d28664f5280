"""Second factors' parts of personal data."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, record, records
from app.mfa import repository


class FactorsOf:
    """Authenticator app, recovery codes, and whether a factor is required."""

    name = "second_factors"

    async def export(self, db: AsyncSession, person: Person) -> Record:
        """Since when each is there; secrets and codes are not shown."""
        required = await repository.find_requirement(db, person.id)
        return {
            "totp": records(await repository.list_totp(db, person.id), "id", "created_at", "confirmed_at"),
            "recovery_codes": records(await repository.list_codes(db, person.id), "id", "created_at", "spent_at"),
            "requirement": record(required, "required_at", "grace_ends_at") if required else {},
        }

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """Nothing is left."""
        await repository.delete_totp(db, person.id)
        await repository.delete_codes(db, person.id)
        await repository.delete_requirement(db, person.id)
