"""Jobs' part of personal data: later work that is about somebody."""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.personal import Person, Record, record
from app.jobs import repository
from app.jobs.models import Job

MANY = 500
SHOWN = ("id", "kind", "created_at", "run_at", "attempts", "dead_at")
# Of a payload; what else is in one is a digest, or an id that a secret is derived from.
SAID = frozenset({"template", "to", "values", "locale", "email", "address", "agent", "request", "user", "subject", "endpoint"})

ADDRESS = re.compile(r"([^\s@<>]?)[^\s@<>]*@([^\s@<>]+)")


class JobsAbout:
    """A payload names people under `to`, `email`, `user` or `subject`, and nowhere else."""

    name = "jobs"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """Mails that wait to be sent, and the like."""
        return _shown(await repository.list_about(db, person.id, person.email_key))

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """What waits is not done any more. What is under way ends, and finds its row gone."""
        await repository.delete_about(db, person.id, person.email_key)


async def export_address(db: AsyncSession, email_key: str) -> list[Record]:
    """What is to be done for an address that was the person's."""
    return _shown(await repository.list_about(db, None, email_key))


async def forget_address(db: AsyncSession, email_key: str) -> None:
    """Drop what is to be done for an address that nobody has any more."""
    await repository.delete_about(db, None, email_key)


async def forget_subjects(db: AsyncSession, subject_ids: Sequence[uuid.UUID]) -> None:
    """Drop what is to be done about rows that are going: `subject`, `change` or `invitation` in a payload."""
    for start in range(0, len(subject_ids), MANY):
        await repository.delete_of(db, [str(each) for each in subject_ids[start : start + MANY]])


def _shown(jobs: Sequence[Job]) -> list[Record]:
    return [record(job, *SHOWN) | {"payload": _payload(job)} for job in jobs]


def _payload(job: Job) -> dict[str, Any]:
    return {name: value for name, value in job.payload.items() if name in SAID}


def said_of(job: Job) -> dict[str, Any]:
    """What staff may see of a payload: as the person it is about, with addresses shortened to a***@example.com."""
    return {name: _shortened(value) for name, value in _payload(job).items()}


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    return ADDRESS.sub(r"\1***@\2", value) if isinstance(value, str) else value
