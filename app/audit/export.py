"""Taking the log along: JSON Lines that can be verified, or CSV for a spreadsheet; a page at a time, whatever its size."""

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse

from app.audit import search_repository as search
from app.audit.chain import COLUMNS, AuditKeys
from app.audit.heads import Sinks
from app.audit.sealing import sign_now
from app.audit.search_repository import Sought
from app.core.edge import STREAMS
from app.core.server import Server
from app.database import Database

PAGE = 1_000
LINES, TABLE = "jsonl", "csv"
MEDIA = {LINES: "application/jsonl; charset=utf-8", TABLE: "text/csv; charset=utf-8"}
# What a spreadsheet would take for a formula, or for the end of a cell (OWASP: CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
CSV_COLUMNS = (
    "id",
    "position",
    "at",
    "fact",
    "actor_id",
    "subject_id",
    "impersonator_id",
    "session_id",
    "address",
    "user_agent",
    "request_id",
    "data",
)
Allowed = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Vouched:
    """What tells the sinks of the head that was signed, and up to where heads reach; None: that does not matter."""

    tell: Callable[[], Awaitable[None]]
    end: int | None = None


def as_line(row: Any) -> str:
    """A row with all that verifying it takes: `python -m app audit verify --export`."""
    return json.dumps({name: _plain(getattr(row, name)) for name in COLUMNS}, ensure_ascii=False, separators=(",", ":"))


def as_cells(row: Any) -> list[str]:
    """A row for a spreadsheet: nothing in it is a formula there."""
    values = {name: getattr(row, name) for name in CSV_COLUMNS if name != "data"}
    data = json.dumps({**row.data, **(row.personal or {})}, ensure_ascii=False, sort_keys=True)
    return [_inert("" if value is None else str(_plain(value))) for value in (*values.values(), data)]


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if isinstance(value, int | dict | str | None) else str(value)


async def vouch(server: Server, db: AsyncSession, sought: Sought, kind: str, now: datetime) -> Vouched:
    """See that a signed head reaches the end of the log, if all of it is taken along: so that all of it can be verified.

    What it hands back is for `write`, once the transaction is committed.
    """
    is_whole = kind == LINES and sought.is_all
    head, end = await sign_now(db, server.kit(AuditKeys), now) if is_whole else (None, None)
    return Vouched(partial(server.kit(Sinks).tell, head), end)


async def write(database: Database, sought: Sought, kind: str, allowed: Allowed, vouched: Vouched) -> AsyncIterator[str]:
    """The rows that were sealed when it began, oldest first, in short transactions; `allowed` is asked before each page."""
    await vouched.tell()
    if kind == TABLE:
        yield _table([CSV_COLUMNS])
    last = 0
    async with database.read() as db:
        end = vouched.end if vouched.end is not None else await search.end_of(db, sought)
    while True:
        await allowed()
        async with database.read() as db:
            rows = await search.find_for_export(db, sought, last, end, PAGE)
        if not rows:
            return
        yield _table([as_cells(row) for row in rows]) if kind == TABLE else "".join(f"{as_line(row)}\n" for row in rows)
        last = rows[-1].position if sought.is_all else rows[-1].id


def _table(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def answer(request: Request, parts: AsyncIterator[str], kind: str, now: datetime) -> StreamingResponse:
    """An answer that may take longer than others."""
    request.scope[STREAMS] = True
    name = f"authkeep-audit-{now:%Y%m%d-%H%M%S}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(parts, media_type=MEDIA[kind], headers=headers)
