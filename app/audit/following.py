"""Following the log while it grows: each event once, and none passed over, in whatever order transactions commit.

Ids are given before a commit, so nobody may go on behind the newest id that was seen: one below it may still come. Places in the
chain are given after it, and have no holes: whoever goes from place to place passes over nothing. What has no place yet is shown
at once, and remembered until its place was passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import repository
from app.audit import search_repository as search
from app.audit.search_repository import Sought

MOST_AHEAD = 100  # rows without a place that are shown before they have one; more of them wait for it
BACK = timedelta(hours=1)  # before somebody began: what gets its place later and is older is history, no news


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has followed.

    Attributes:
        position: all up to this place of the chain was shown, or is not to be.
        since: in seconds of the epoch; what is older is not for them.
        ahead: rows that were shown before they had a place behind it.
    """

    position: int
    since: int = 0
    ahead: frozenset[int] = frozenset()


async def begin(db: AsyncSession, now: datetime) -> Place:
    """Where to follow from. To be asked before the rows that are shown first, and these are then told by `having_shown`."""
    return Place(await repository.find_position(db), int((now - BACK).timestamp()))


def having_shown(place: Place, rows: Sequence[Any]) -> Place:
    """The place of somebody who has seen these rows, too."""
    return replace(place, ahead=place.ahead | {row.id for row in rows if _is_ahead(row.position, place.position)})


async def follow(db: AsyncSession, sought: Sought, place: Place, limit: int) -> tuple[Sequence[Any], Place]:
    """The next rows that match, oldest first, and the place behind them. It looks at so many rows only, whatever there is."""
    since = datetime.fromtimestamp(place.since, UTC)
    wanted = replace(sought, since=max(sought.since or since, since)) if place.since else sought
    newest = await repository.find_position(db)  # before any row is read: what gets its place meanwhile is for the next time
    after = min(place.position, newest)  # a backup that was put back may end before it
    last = min(newest, after + search.WINDOW)
    rows = list(await search.find_behind(db, wanted, after, last, place.ahead, limit))
    reached = rows[-1].position if len(rows) == limit else last
    positions = await search.find_positions(db, place.ahead)
    ahead = frozenset(event_id for event_id, position in positions if _is_ahead(position, reached))
    room = min(limit - len(rows), MOST_AHEAD - len(ahead))
    if reached == newest and room > 0:
        rows += await search.find_unplaced(db, wanted, place.ahead, room)
    return rows, having_shown(replace(place, position=reached, ahead=ahead), rows)


def _is_ahead(position: int | None, reached: int) -> bool:
    """Whether a row that was shown would come again; one below 1, which is not ours, gets no place that could be passed."""
    return position is None or position > reached or position < 1
