"""Taking the log along costs the same memory whatever its length."""

import tracemalloc
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import insert

from app.audit import export
from app.audit.models import AuditEvent
from app.audit.search_repository import Sought
from app.core.server import Server

FEW, MANY = 2_000, 20_000
AT_ONCE = 2_000
SUBJECT = uuid.UUID(int=7)


async def fill(server: Server, first: int, last: int) -> None:
    """Rows of the chain with these places; an export does not look at seals."""
    now = server.clock()
    for start in range(first, last + 1, AT_ONCE):
        rows = [
            {
                "at": now + timedelta(milliseconds=place),
                "fact": "user.login.failed",
                "subject_id": SUBJECT,
                "address": "203.0.113.7",
                "user_agent": "Harbour/1.0",
                "request_id": f"{place:016x}",
                "data": {"reason": "password"},
                "personal": {"typed": "somebody"},
                "position": place,
            }
            for place in range(start, min(start + AT_ONCE, last + 1))
        ]
        async with server.database.write() as db:
            await db.execute(insert(AuditEvent), rows)


async def allow() -> None:
    """The caller may go on."""


async def peak_of(server: Server, sought: Sought, kind: str) -> tuple[int, int]:
    """Rows of an export, and the most bytes that it held at once."""
    lines = 0
    tracemalloc.start()
    try:
        async for part in export.write(server.database, sought, kind, allow, export.Vouched(allow)):
            lines += part.count("\n")
        return lines, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("sought", "kind"), [(Sought(), export.LINES), (Sought(subject=SUBJECT), export.TABLE)])
async def test_an_export_of_ten_times_the_rows_holds_no_more_at_once(server: Server, sought: Sought, kind: str) -> None:
    await fill(server, 1, FEW)
    head = 1 if kind == export.TABLE else 0
    await peak_of(server, sought, kind)  # what is made once and kept: statements, caches
    few, small = await peak_of(server, sought, kind)
    await fill(server, FEW + 1, MANY)
    many, large = await peak_of(server, sought, kind)
    assert (few - head, many - head) == (FEW, MANY)
    assert large < 1.5 * small, f"{small:,} bytes for {FEW:,} rows, {large:,} for {MANY:,}"
