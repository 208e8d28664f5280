"""Searching a million accounts in bounded time, whatever is asked for.

A search looks at WINDOW accounts, in the order of an index, and says where it stopped: a page may be short, or empty, and still
have one after it. Whose name begins with what is searched for comes first, then whose address does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.paging import read_cursor, write_cursor
from app.users.models import User
from app.users.repository import SOUGHT, WALKS, Filters, Part, Place, count_window, find_end, list_window

SORTS = tuple(WALKS)
__all__ = ["SORTS", "Filters", "Found", "search"]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of accounts; how many there are is told with the first."""

    items: list[User]
    next_cursor: str | None
    total: int | None
    total_capped: bool


async def search(db: AsyncSession, key: bytes, filters: Filters, sort: str, cursor: str | None, limit: int) -> Found:
    """A page of those who match. Where something is searched for, its order is fixed and `sort` says nothing.

    Raises:
        CursorInvalid: the cursor is not one of this search.
    """
    parts = SOUGHT if filters.beginning else (WALKS[sort],)
    listing = f"people/{'' if filters.beginning else sort}/{filters!r}"
    number, place = _read(parts, read_cursor(key, listing, cursor)) if cursor else (0, None)
    found: list[tuple[int, User]] = []
    stopped: tuple[int, Place] | None = None
    for index in range(number, len(parts)):
        part, after = parts[index], place if index == number else None
        rows = await list_window(db, part, filters, after, limit + 1 - len(found))
        found += [(index, user) for user in rows]
        if len(found) > limit:
            last, user = found[limit - 1]
            stopped = (last, parts[last].place(user))
        elif (end := await find_end(db, part, filters, after)) is not None:
            stopped = (index, end)
        if stopped is not None:
            break
    total, capped = (None, False) if cursor else await count_window(db, parts, filters)
    return Found(
        [user for _, user in found[:limit]],
        write_cursor(key, listing, _written(stopped)) if stopped else None,
        total,
        capped,
    )


def _written(stopped: tuple[int, Place]) -> list[Any]:
    number, place = stopped
    return [number, *(each.isoformat() if isinstance(each, datetime) else str(each) for each in place)]


def _read(parts: tuple[Part, ...], position: list[Any]) -> tuple[int, Place]:
    number, *place = position
    return number, parts[number].read(place)
