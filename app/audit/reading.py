"""Reading the log: pages of it by what is sought, newest first, whatever its size."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import repository
from app.audit import search_repository as search
from app.audit.search_repository import Sought
from app.core.paging import read_cursor, write_cursor


@dataclass(frozen=True, slots=True)
class Events:
    """A page, newest first."""

    items: Sequence[Any]
    next_cursor: str | None


async def list_events(db: AsyncSession, key: bytes, sought: Sought, cursor: str | None, limit: int) -> Events:
    """A page of what is sought. It may be short, or empty, and yet have one behind it: a request looks at so many rows only.

    Raises:
        CursorInvalid: the cursor is not one of this search.
    """
    listing = f"audit/{sought!r}"
    before = int(read_cursor(key, listing, cursor)[0]) if cursor else None
    found = await search.find_page(db, sought, before, limit)
    following = write_cursor(key, listing, [found.before]) if found.before is not None else None
    return Events(found.rows, following)


async def list_about(db: AsyncSession, user_id: uuid.UUID, limit: int) -> Sequence[Any]:
    """The newest events about a person, or of what they did."""
    own = await search.find_page(db, Sought(subject=user_id), None, limit)
    done = await search.find_page(db, Sought(actor=user_id), None, limit)
    rows = {row.id: row for row in [*own.rows, *done.rows]}
    return sorted(rows.values(), key=lambda row: row.id, reverse=True)[:limit]


async def list_sealed(db: AsyncSession, after: int, limit: int) -> Sequence[Any]:
    """Events in the order of the chain, from behind a place in it. None comes to stand before one that was read."""
    return await repository.list_sealed(db, after, limit)


find_position = repository.find_position
newest_id = search.newest_id
