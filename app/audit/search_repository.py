"""SQL of finding events among millions: each filter has an index, or looks at a bounded number of rows."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.facts import Fact
from app.audit.models import ABOUT_ANOTHER, COMMON, RARE, AuditEvent
from app.audit.repository import COLUMNS

WINDOW = 100_000  # ids that a request goes through where no index serves
LOOKED_AT = 10_000  # rows of one person or address that it looks at for what else is sought
SKEW = timedelta(minutes=5)  # rows are in the order of ids, and of their moments but for so much


@dataclass(frozen=True, slots=True)
class Sought:
    """Which events; what is None or empty does not matter."""

    facts: tuple[Fact, ...] = ()
    actor: uuid.UUID | None = None
    subject: uuid.UUID | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == Sought()

    def told(self) -> dict[str, Any]:
        """As the log itself tells what somebody took along."""
        values = {name: getattr(self, name) for name in ("actor", "subject", "address", "since", "until")}
        named = {name: str(value) for name, value in values.items() if value is not None}
        return named | ({"facts": [fact.value for fact in self.facts]} if self.facts else {})


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, newest first; `before` is the id to go on from, None at the end."""

    rows: Sequence[Any]
    before: int | None


async def newest_id(db: AsyncSession) -> int:
    """Of the last row written; 0 where there is none."""
    return await db.scalar(select(func.max(AuditEvent.id))) or 0


async def find_page(db: AsyncSession, sought: Sought, before: int | None, limit: int) -> Found:
    """The rows before an id that match."""
    top = before if before is not None else await newest_id(db) + 1
    low, high = await _bounds(db, sought)
    top = min(top, high) if high is not None else top
    bottom = await _bottom(db, sought, low, top)
    found: list[Any] = []
    for matching in _ways(sought):
        query = select(*COLUMNS).where(matching, AuditEvent.id < top, AuditEvent.id >= bottom)
        found += (await db.execute(query.order_by(AuditEvent.id.desc()).limit(limit + 1))).all()
    rows = sorted(found, key=lambda row: row.id, reverse=True)[:limit]
    if len(found) > limit:
        return Found(rows, rows[-1].id)
    return Found(rows, bottom if bottom > low else None)


async def find_behind(db: AsyncSession, sought: Sought, after: int, last: int, but: Collection[int], limit: int) -> Sequence[Any]:
    """The first rows behind a place of the chain, and up to another, that match, but for some ids; in the order of the chain."""
    found: list[Any] = []
    for matching in _ways(sought):
        query = select(*COLUMNS).where(
            matching, AuditEvent.position > after, AuditEvent.position <= last, AuditEvent.id.not_in(but)
        )
        found += (await db.execute(query.order_by(AuditEvent.position).limit(limit))).all()
    return sorted(found, key=lambda row: row.position)[:limit]


async def find_unplaced(db: AsyncSession, sought: Sought, but: Collection[int], limit: int) -> Sequence[Any]:
    """The first rows that match and have no place in the chain, or none that counts, but for some ids; oldest first.

    Of these it looks at the newest only: there are more where no worker seals.
    """
    bottom = await newest_id(db) - WINDOW
    found: dict[int, Any] = {}
    for unplaced in (AuditEvent.position.is_(None), AuditEvent.position < 1):
        for matching in _ways(sought):
            query = select(*COLUMNS).where(matching, unplaced, AuditEvent.id > bottom, AuditEvent.id.not_in(but))
            found |= {row.id: row for row in (await db.execute(query.order_by(AuditEvent.id).limit(limit))).all()}
    return sorted(found.values(), key=lambda row: row.id)[:limit]


async def find_positions(db: AsyncSession, ids: Collection[int]) -> Sequence[Any]:
    """Of rows that are there, id and place."""
    if not ids:
        return []
    return (await db.execute(select(AuditEvent.id, AuditEvent.position).where(AuditEvent.id.in_(ids)))).all()


async def end_of(db: AsyncSession, sought: Sought) -> int:
    """Up to where an export goes: a place of the chain if it takes all of it, else an id."""
    if sought.is_all:
        return await db.scalar(select(func.max(AuditEvent.position))) or 0
    _, high = await _bounds(db, sought)
    newest = await newest_id(db)
    return min(newest, high) if high is not None else newest


async def find_for_export(db: AsyncSession, sought: Sought, after: int, end: int, limit: int) -> Sequence[Any]:
    """Sealed rows, oldest first: all of them in the order of the chain, some of them in that of their ids."""
    if sought.is_all:
        return await find_sealed(db, after, end, limit)
    low, _ = await _bounds(db, sought)
    found: list[Any] = []
    for matching in _ways(sought):
        query = select(*COLUMNS).where(
            matching, AuditEvent.position > 0, AuditEvent.id > max(after, low - 1), AuditEvent.id <= end
        )
        found += (await db.execute(query.order_by(AuditEvent.id).limit(limit))).all()
    return sorted(found, key=lambda row: row.id)[:limit]


async def find_sealed(db: AsyncSession, after: int, last: int, limit: int) -> Sequence[Any]:
    """Rows in the order of the chain, behind a place and up to another."""
    query = select(*COLUMNS).where(AuditEvent.position > after, AuditEvent.position <= last)
    return (await db.execute(query.order_by(AuditEvent.position).limit(limit))).all()


async def count_by_hour(db: AsyncSession, facts: Sequence[str], since: datetime, until: datetime) -> Sequence[Any]:
    """How many of each fact there are from `since` to before `until`: rows of fact and count."""
    query = select(AuditEvent.fact, func.count()).where(AuditEvent.at >= since, AuditEvent.at < until, AuditEvent.fact.in_(facts))
    return (await db.execute(query.group_by(AuditEvent.fact))).all()


async def find_first(db: AsyncSession, since: datetime) -> datetime | None:
    """When the first event was from `since` on."""
    first = select(AuditEvent.at).where(AuditEvent.at >= since).order_by(AuditEvent.at).limit(1)
    moment: datetime | None = await db.scalar(first)
    return moment


async def _bottom(db: AsyncSession, sought: Sought, low: int, top: int) -> int:
    """From which id on a request looks: what fits rarely is not sought among all events of an address that never rests."""
    if not _is_indexed(sought):
        return max(low, top - WINDOW)
    alone = _alone(sought)
    if alone in {replace(sought, since=None, until=None), Sought()}:
        return low
    ends: list[int] = []
    for along in _walks(alone):
        walk = select(AuditEvent.id).where(along, AuditEvent.id < top, AuditEvent.id >= low).order_by(AuditEvent.id.desc())
        ends.append(await db.scalar(walk.offset(LOOKED_AT).limit(1)) or low)
    return max(ends)


def _alone(sought: Sought) -> Sought:
    """The one thing whose index is gone along, where several are sought."""
    if sought.subject is not None:
        return Sought(subject=sought.subject)
    return Sought(actor=sought.actor) if sought.actor is not None else Sought(address=sought.address)


def _walks(alone: Sought) -> list[ColumnElement[bool]]:
    """What an index says by itself of one thing: to look at each row for more would be what is to be bounded."""
    if alone.actor is None:
        return _ways(alone)
    return [AuditEvent.subject_id == alone.actor, and_(AuditEvent.actor_id == alone.actor, ABOUT_ANOTHER)]


def _is_indexed(sought: Sought) -> bool:
    indexed = sought.subject or sought.actor or sought.address or _are_rare(sought)
    return bool(indexed) or not sought.facts


def _are_rare(sought: Sought) -> bool:
    return bool(sought.facts) and not COMMON & {fact.value for fact in sought.facts}


def _ways(sought: Sought) -> list[ColumnElement[bool]]:
    """Conditions that share no row and have an index each: one, but for an actor."""
    every: list[Any] = [AuditEvent.id > 0]
    if sought.facts:
        every.append(AuditEvent.fact.in_([fact.value for fact in sought.facts]))
        if _are_rare(sought) and not (sought.subject or sought.actor or sought.address):
            every.append(RARE)
    if sought.subject is not None:
        every.append(AuditEvent.subject_id == sought.subject)
    if sought.address is not None:
        every.append(AuditEvent.address == sought.address)
    if sought.since is not None:
        every.append(AuditEvent.at >= sought.since)
    if sought.until is not None:
        every.append(AuditEvent.at < sought.until)
    if sought.actor is None:
        return [and_(*every)]
    own = AuditEvent.subject_id == sought.actor
    return [
        and_(*every, own, AuditEvent.actor_id == sought.actor),
        and_(*every, AuditEvent.actor_id == sought.actor, ABOUT_ANOTHER),
    ]


async def _bounds(db: AsyncSession, sought: Sought) -> tuple[int, int | None]:
    """Ids between which the moments sought lie, by the index of moments."""
    low, high = 0, None
    if sought.since is not None:
        first = select(AuditEvent.id).where(AuditEvent.at >= sought.since - SKEW).order_by(AuditEvent.at, AuditEvent.id).limit(1)
        found = await db.scalar(first)
        low = found if found is not None else await newest_id(db) + 1
    if sought.until is not None:
        after = select(AuditEvent.id).where(AuditEvent.at >= sought.until + SKEW).order_by(AuditEvent.at, AuditEvent.id).limit(1)
        high = await db.scalar(after)
    return low, high
