"""SQL of counts."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Session
from app.database import insert_into
from app.stats.models import StatPoint

TURN = "turn"


async def take_turn(db: AsyncSession, now: datetime, every: timedelta) -> int | None:
    """For the one worker whose turn it is: the hour to count from. None for all others until `every` has passed.

    A turn taken by a clock far ahead of ours does not count.
    """
    due = or_(StatPoint.moved_at <= now - every, StatPoint.moved_at > now + every)
    taken = update(StatPoint).where(StatPoint.name == TURN, due).values(moved_at=now).returning(StatPoint.value)
    return await db.scalar(taken)


async def move_turn(db: AsyncSession, taken_at: datetime, hour: int, moved_at: datetime) -> bool:
    """Say how far we are, unless somebody else took the turn meanwhile; the row is held until the transaction ends."""
    mine = StatPoint.name == TURN, StatPoint.moved_at == taken_at
    moved = await db.scalar(update(StatPoint).where(*mine).values(value=hour, moved_at=moved_at).returning(StatPoint.value))
    return moved is not None


async def set_points(db: AsyncSession, values: Mapping[tuple[str, datetime], int], now: datetime) -> None:
    """Write numbers down in the place of what was there; a number that is newer than these stays."""
    add = insert_into(db, StatPoint).values(_rows(values, now))
    newer = {"value": add.excluded.value, "moved_at": add.excluded.moved_at}
    await db.execute(
        add.on_conflict_do_update(index_elements=["name", "at"], set_=newer, where=StatPoint.moved_at <= add.excluded.moved_at)
    )


async def add_to_points(db: AsyncSession, values: Mapping[tuple[str, datetime], int], now: datetime) -> None:
    """Add numbers to what is there, in one statement, its rows always in the same order."""
    add = insert_into(db, StatPoint).values(_rows(values, now))
    sums = {"value": StatPoint.value + add.excluded.value, "moved_at": add.excluded.moved_at}
    await db.execute(add.on_conflict_do_update(index_elements=["name", "at"], set_=sums))


def _rows(values: Mapping[tuple[str, datetime], int], now: datetime) -> list[dict[str, Any]]:
    return [{"name": name, "at": at, "value": value, "moved_at": now} for (name, at), value in sorted(values.items())]


async def list_points(db: AsyncSession, names: Sequence[str], since: datetime, until: datetime) -> Sequence[Any]:
    """Rows of name, at, value and moved_at, of hours that begin in that time, oldest first."""
    columns = StatPoint.name, StatPoint.at, StatPoint.value, StatPoint.moved_at
    query = select(*columns).where(StatPoint.name.in_(names), StatPoint.at >= since, StatPoint.at <= until)
    return (await db.execute(query.order_by(StatPoint.at))).all()


async def sum_points(db: AsyncSession, names: Sequence[str], since: datetime) -> dict[str, int]:
    """The sum of each of these, of hours from `since` on."""
    query = select(StatPoint.name, func.sum(StatPoint.value)).where(StatPoint.name.in_(names), StatPoint.at >= since)
    return {name: int(value) for name, value in (await db.execute(query.group_by(StatPoint.name))).all()}


async def find_reached(db: AsyncSession) -> int:
    """The first hour that is not counted for good."""
    return await db.scalar(select(StatPoint.value).where(StatPoint.name == TURN)) or 0


async def delete_before(db: AsyncSession, moment: datetime) -> None:
    """Forget older numbers."""
    await db.execute(delete(StatPoint).where(StatPoint.name != TURN, StatPoint.at < moment))


async def count_sessions(db: AsyncSession, now: datetime) -> int:
    """Everybody's that are alive; reads each of them, so it is for the worker alone."""
    alive = Session.ended_at.is_(None), Session.expires_at > now
    return await db.scalar(select(func.count()).select_from(Session).where(*alive)) or 0


async def find_revision(db: AsyncSession) -> str | None:
    """The database's migration."""
    revision: str | None = await db.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
