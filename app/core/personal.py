"""Who holds what about a person: each feature with tables of its own plugs its part into `PERSONAL_DATA`."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.sockets import Socket

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Whose data it is: rows name an account by its id, or by what somebody may type for it."""

    id: uuid.UUID
    username_key: str
    email: str
    email_key: str


class PersonalData(Protocol):
    """One feature's part in export and erasure."""

    @property
    def name(self) -> str:
        """Its key in the exported document."""
        ...

    async def export(self, db: AsyncSession, person: Person) -> Any:
        """What is held about the person, as JSON values. No secret, no digest of one, nothing about other people."""
        ...

    async def erase(self, db: AsyncSession, person: Person, now: datetime) -> None:
        """Remove it, or what of it names the person where the row must stay; the account's row is locked."""
        ...


PERSONAL_DATA: Socket[PersonalData] = Socket("core.PERSONAL_DATA")


def records(rows: Sequence[object], *names: str) -> list[Record]:
    """These attributes of each row, and no other: a column that is added later is not exported by accident."""
    return [record(row, *names) for row in rows]


def record(row: object, *names: str) -> Record:
    """These attributes of one row."""
    return {name: getattr(row, name) for name in names}
