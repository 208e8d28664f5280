"""Audit's part of personal data: what was recorded about somebody, or done by them. Records stay; the person goes out of them.

What goes was never in the chain itself, only a salted commitment to it: that stays in its place, and the salt goes.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import repository
from app.audit.chain import commit_client, commit_personal
from app.audit.search_repository import Sought, find_page
from app.core.caller import OPERATOR_AGENT
from app.core.personal import Person, Record, record

# What names nobody and stays. Anything else of an event's data may name somebody, and so may what is added later: that is
# written apart, and goes.
IMPERSONAL = frozenset(
    {
        "action",
        "after",
        "before",
        "bulk",
        "by",
        "delivery",
        "credentials",
        "done",
        "ended",
        "failed",
        "fields",
        "filters",
        "format",
        "host",
        "invitation",
        "job",
        "kind",
        "kinds",
        "method",
        "owed",
        "parent",
        "passkey",
        "position",
        "reason",
        "refused",
        "required",
        "role",
        "rows",
        "selected",
        "sessions",
        "skipped",
        "stopped",
        "tickets",
        "total",
        "until",
        "webhook",
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
            rows = [(event, event._mapping) for event in page]
            clients = [
                {"event_id": event.id, "digest": commit_client(event.client_salt, values) if event.client_salt else None}
                for event, values in rows
                if _is_theirs(event, person) and (event.client_salt or event.address or event.user_agent)
            ]
            named = [
                {"event_id": event.id, "digest": commit_personal(event.personal_salt, values) if event.personal_salt else None}
                for event, values in rows
                if event.personal_salt or event.personal
            ]
            await repository.erase_clients(db, clients)
            await repository.erase_personal(db, named)
            for event, _ in rows:
                if event.mark is None:  # of no chain: written beside a server of an older version
                    await repository.replace_data(db, event.id, _impersonal(event.data))


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """An event as the person it is about may see it: where it came from only if it was they, or a stranger at their door."""

    id: int
    at: datetime
    fact: str
    address: str
    user_agent: str
    by: str  # you, somebody else, nobody known
    impersonated: bool


async def list_own(db: AsyncSession, person_id: uuid.UUID, before: int | None, limit: int) -> list[OwnEvent]:
    """What happened to an account, newest first; not what its owner did to others."""
    found = await find_page(db, Sought(subject=person_id), before, limit)
    shown: list[OwnEvent] = []
    for row in found.rows:
        is_theirs = row.impersonator_id is None and (row.actor_id is None or row.actor_id == person_id)
        address, agent = (row.address, row.user_agent) if is_theirs and row.user_agent != OPERATOR_AGENT else ("", "")
        by = "nobody known" if row.actor_id is None else "you" if row.actor_id == person_id else "somebody else"
        shown.append(OwnEvent(row.id, row.at, row.fact, address, agent, by, row.impersonator_id is not None))
    return shown


def _impersonal(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name in IMPERSONAL}


def _is_theirs(event: Any, person: Person) -> bool:
    """Whether address and user agent are the person's, or those of a stranger at the person's door; not an admin's."""
    if event.actor_id is None:
        return (event.address, event.user_agent) != ("", OPERATOR_AGENT)
    is_their_doing: bool = event.actor_id == person.id
    return is_their_doing


def _shown(event: Any, person: Person) -> Record:
    found: dict[str, Any] = record(event, "id", "at", "fact", "session_id", "request_id")
    found["data"] = {**event.data, **(event.personal or {})}
    if _is_theirs(event, person):
        found |= record(event, "address", "user_agent")
    return found | {"by": _who(event.actor_id, person), "about": _who(event.subject_id, person)}


def _who(user_id: object, person: Person) -> str:
    if user_id is None:
        return "nobody known"
    return "you" if user_id == person.id else "somebody else"
