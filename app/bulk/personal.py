"""Bulk's part of personal data: what was done about somebody along with others, and what they had done."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk import repository
from app.core.personal import Person, Record, record, records


class BulkOf:
    """Items about the account, without who had it done; and the actions that it began or resumed, without whom they are about."""

    name = "bulk_actions"

    async def export(self, db: AsyncSession, person: Person) -> dict[str, list[Record]]:
        """What became of each."""
        about = await repository.list_about(db, person.id)
        counts = ("total", "done", "skipped", "refused", "failed")
        shown = ("id", "action", "role", "state", "reason", "created_at", "moved_at", "ended_at", *counts)
        return {
            "about_you": [record(item, "bulk_id", "state", "reason", "done_at") | {"action": action} for item, action in about],
            "by_you": records(await repository.list_by(db, person.id), *shown),
        }

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """Items go. Actions stay without a name, and stop if they acted in this one."""
        await repository.forget(db, person.id)
