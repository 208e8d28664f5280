"""Audit's part of personal data: what was recorded about somebody, or done by them. Records stay; the person goes out of them."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import repository
from app.core.caller import OPERATOR_AGENT
from app.core.personal import Person, Record, record

# What `data` may keep of somebody who is gone. Anything else may name them, and so may what is added later.
IMPERSONAL = frozenset(
    {
        "after",
        "before",
        "by",
        "ended",
        "fields",
        "invitation",
        "method",
        "owed",
        "passkey",
        "reason",
        "required",
        "role",
        "stopped",
    }
)


class EventsOf:
    """Rows whose subject or actor is the person."""

    name = "events"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """All of them, oldest first, without ids, addresses and user agents of other people."""
        found = [_shown(event, person) async for page in repository.pages_about(db, person.id) for event in page]
        return sorted(found, key=lambda event: int(event["id"]))

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """No row goes, and moment, fact and ids stay as they are: empty is what tells who it was."""
        async for page in repository.pages_about(db, person.id):
            own = [event.id for event in page if _is_theirs(event, person)]
            await repository.blank_clients(db, own)
            for event in page:
                kept = {name: value for name, value in event.data.items() if name in IMPERSONAL}
                if kept != event.data:
                    await repository.replace_data(db, event.id, kept)


def _is_theirs(event: Any, person: Person) -> bool:
    """Whether address and user agent are the person's, or those of a stranger at the person's door; not an admin's."""
    if event.actor_id is None:
        return (event.address, event.user_agent) != ("", OPERATOR_AGENT)
    is_their_doing: bool = event.actor_id == person.id
    return is_their_doing


def _shown(event: Any, person: Person) -> Record:
    found: dict[str, Any] = record(event, "id", "at", "fact", "session_id", "request_id", "data")
    if _is_theirs(event, person):
        found |= record(event, "address", "user_agent")
    return found | {"by": _who(event.actor_id, person), "about": _who(event.subject_id, person)}


def _who(user_id: object, person: Person) -> str:
    if user_id is None:
        return "nobody known"
    return "you" if user_id == person.id else "somebody else"
