"""Webhooks' part of personal data: what others were told about somebody. Messages name people by ids alone."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, records
from app.webhooks import repository


class ToldAbout:
    """Deliveries of events about the account, or of what it did, and what was answered."""

    name = "webhooks"

    async def export(self, db: AsyncSession, person: Person) -> dict[str, list[Record]]:
        """What was told, when, whether it arrived, and what was answered; not which systems those are."""
        told = await repository.list_about(db, person.id)
        answers = await repository.list_attempts_about(db, person.id)
        shown = ("id", "event_id", "type", "body", "created_at", "state", "tries", "due_at", "settled_at")
        return {
            "told": records(told, *shown),
            "answers": records(answers, "id", "delivery_id", "at", "milliseconds", "status", "error", "answer"),
        }

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """What receivers answered goes: it may hold anything. Messages hold ids, as the audit log does."""
        await repository.empty_answers(db, person.id)
