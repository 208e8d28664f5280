"""Events of other hours, counted."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from app.audit import service
from app.audit.facts import Fact
from app.core.client import Client
from app.core.server import Server
from app.stats.counting import Counter
from tests.mail.postman import rows_of

STRANGER = Client("203.0.113.7", "Harbour/1.0", "r1")
Numbers = Mapping[tuple[str, datetime], int]


async def write(server: Server, fact: Fact, at: datetime, count: int = 1) -> None:
    """Events of a moment, as features record them."""
    async with server.database.write() as db:
        for _ in range(count):
            await service.record(db, fact, STRANGER, at)


async def count(server: Server, now: datetime, *, turns: int = 40) -> None:
    """What a worker's ticks do until it has caught up, as if it had just been started."""
    counter = Counter(server.database)
    for _ in range(turns):
        await counter.tick(now)


async def numbers(server: Server) -> dict[tuple[str, datetime], int]:
    """What is in the table, but for zeros and whose turn it is."""
    rows = await rows_of(server, "stat_points")
    return {(row["name"], row["at"]): row["value"] for row in rows if row["value"] and row["name"] != "turn"}


async def points_of(server: Server, name: str) -> list[dict[str, Any]]:
    return [row for row in await rows_of(server, "stat_points") if row["name"] == name]


async def give_turn_back(server: Server) -> None:
    """As if the last count were long ago."""
    async with server.database.write() as db:
        await db.execute(text("UPDATE stat_points SET moved_at = at WHERE name = 'turn'"))


def at_half_past(moment: datetime, back: int = 0) -> datetime:
    """Half past the hour, so many hours ago."""
    return moment.replace(minute=30, second=0, microsecond=0) - timedelta(hours=back)
