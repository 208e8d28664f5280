"""Keyset pages with cursors that can't be tampered with."""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Query

from app.core.crypto import b64decode, b64encode, equal, keyed_digest
from app.core.errors import FieldError, Invalid

MAX_LIMIT = 100
MAC_BYTES = 16

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items a page has at most")]
CursorText = Annotated[str | None, Query(max_length=1024, description="`next_cursor` of the page before")]


class CursorInvalid(Invalid):
    """A cursor that this server did not make for this very list."""

    def __init__(self) -> None:
        super().__init__(errors=[FieldError(("query", "cursor"), "cursor_invalid", "Use next_cursor as it was given")])


def write_cursor(key: bytes, listing: str, position: list[Any]) -> str:
    """A cursor for the place `position` in `listing` (its name, order and filters), readable by us alone."""
    body = json.dumps(position, separators=(",", ":")).encode()
    return b64encode(keyed_digest(key, listing, body)[:MAC_BYTES] + body)


def read_cursor(key: bytes, listing: str, cursor: str) -> list[Any]:
    """The place a cursor stands for.

    Raises:
        CursorInvalid: it was changed, or made for another listing.
    """
    raw = b64decode(cursor) or b""
    mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
    if not equal(mac, keyed_digest(key, listing, body)[:MAC_BYTES]):
        raise CursorInvalid
    position: list[Any] = json.loads(body)
    return position


class Dated(Protocol):
    """A row of a listing by age."""

    @property
    def id(self) -> Any: ...

    @property
    def created_at(self) -> Any: ...


Row = TypeVar("Row", bound=Dated)


def read_place(key: bytes, listing: str, cursor: str | None) -> tuple[datetime, uuid.UUID] | None:
    """The place, in a listing by age, behind which a page begins; None for the first.

    Raises:
        CursorInvalid: it was changed, or made for another listing.
    """
    if not cursor:
        return None
    moment, row_id = read_cursor(key, listing, cursor)
    return datetime.fromisoformat(moment), uuid.UUID(row_id)


def cut_page(key: bytes, listing: str, found: Sequence[Row], limit: int) -> tuple[list[Row], str | None]:
    """The page, and the cursor of the next, of rows of a listing by age of which one more was asked for than fit."""
    if len(found) <= limit:
        return list(found), None
    last = found[limit - 1]
    return list(found[:limit]), write_cursor(key, listing, [last.created_at.isoformat(), str(last.id)])
