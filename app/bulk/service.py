"""Starting, watching, stopping and resuming bulk actions. What a worker does about them is in `running`."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.bulk import repository
from app.bulk.acts import NEEDS, Action
from app.bulk.deps import BulkKit
from app.bulk.errors import BulkBusy, BulkNotFound, BulkNotResumable, BulkNotStoppable
from app.bulk.models import BulkAction, BulkItem
from app.core.caller import Caller
from app.core.crypto import new_id
from app.core.paging import cut_page, read_place
from app.core.permissions import Permission, Role, covers, holds
from app.jobs import service as jobs
from app.users import service as users
from app.users.holding import check_reach, hold_self
from app.users.models import User
from app.users.search import search
from app.users.selection import Filters, list_by_ids

KIND, TIDY_KIND = "bulk", "bulk-tidy"
LISTING = "bulk"
MOST_IDS = 1_000
MOST_AT_ONCE = 4
MOST_QUERY = 254
SHOWN_NAMES = 10
SHOWN_NOT_DONE = 100
BY_HAND = "by_hand"
KEPT = timedelta(days=30)
STUCK_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An action, and for whom: these accounts, or all that match a filter."""

    action: Action
    role: Role | None
    ids: tuple[uuid.UUID, ...]
    filters: Filters | None


@dataclass(frozen=True, slots=True)
class Preview:
    """For how many it would be, counted to 10,000, and the first few of them."""

    total: int
    capped: bool
    some: list[User]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of bulk actions."""

    items: list[BulkAction]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Detail:
    """One, with why accounts were left as they are: how often, and the first hundred."""

    action: BulkAction
    reasons: list[repository.Reason]
    not_done: list[BulkItem]


async def preview(db: AsyncSession, kit: BulkKit, wanted: Wanted) -> Preview:
    """What a start would be about."""
    if wanted.filters is None:
        found = await list_by_ids(db, wanted.ids)
        return Preview(len(found), capped=False, some=found[:SHOWN_NAMES])
    found_by = await search(db, kit.cursor_key, wanted.filters, "created_at", None, SHOWN_NAMES)
    return Preview(found_by.total or 0, found_by.total_capped, found_by.items)


async def start(db: AsyncSession, caller: Caller, wanted: Wanted, now: datetime) -> BulkAction:
    """Write down what is to be done; a worker begins at once. The accounts that match a filter are those there are by now.

    Raises:
        OutOfReach: the caller's role does not hold what the action needs, or what the role to be given holds.
        BulkBusy: see there.
    """
    role = await hold_self(db, caller, now)
    await check_reach(db, caller, role, NEEDS[wanted.action], wanted.role or Role.USER, now)
    acting = await users.get_user(db, caller.me.id)
    if await repository.count_under_way(db) >= MOST_AT_ONCE:
        raise BulkBusy
    ids = sorted(set(wanted.ids))
    bulk_id = new_id(now)
    values: dict[str, Any] = {
        "id": bulk_id,
        "action": wanted.action,
        "role": wanted.role,
        "filter": asdict(wanted.filters) if wanted.filters is not None else None,
        "state": repository.RUNNING if wanted.filters is None else repository.COLLECTING,
        "turn": 1,
        "started_by": caller.me.id,
        "acting_id": acting.id,
        "acting_epoch": acting.epoch,
        "created_at": now,
        "moved_at": now,
        "total": len(ids),
        "done": 0,
        "skipped": 0,
        "refused": 0,
        "failed": 0,
    }
    await repository.add_action(db, values)
    await repository.add_items(db, bulk_id, ids)
    await enqueue(db, bulk_id, 1, now)
    data: dict[str, Any] = {"action": wanted.action} | ({"role": wanted.role} if wanted.role else {})
    data |= {"selected": "filter"} if wanted.filters is not None else {"total": len(ids)}
    await _record(db, Fact.BULK_STARTED, caller, bulk_id, now, **data)
    return await get(db, bulk_id)


async def stop(db: AsyncSession, caller: Caller, bulk_id: uuid.UUID, now: datetime) -> BulkAction:
    """No account after this, but the one under way.

    Raises:
        BulkNotFound, OutOfReach, BulkNotStoppable: see there.
    """
    acting = await hold_self(db, caller, now)
    action = await get(db, bulk_id)
    await check_reach(db, caller, acting, NEEDS[Action(action.action)], Role.USER, now)
    if not await repository.stop(db, bulk_id, BY_HAND, now):
        raise BulkNotStoppable
    await _record(db, Fact.BULK_STOPPED, caller, bulk_id, now, reason=BY_HAND)
    return await get(db, bulk_id)


async def resume(db: AsyncSession, caller: Caller, bulk_id: uuid.UUID, now: datetime) -> BulkAction:
    """Go on with what is left, from now on in the name of who says so.

    Raises:
        BulkNotFound, OutOfReach, BulkBusy, BulkNotResumable: see there.
    """
    role = await hold_self(db, caller, now)
    action = await get(db, bulk_id)
    await check_reach(db, caller, role, NEEDS[Action(action.action)], Role(action.role or Role.USER), now)
    acting = await users.get_user(db, caller.me.id)
    if await repository.count_under_way(db) >= MOST_AT_ONCE:
        raise BulkBusy
    turn = await repository.resume(db, bulk_id, (acting.id, acting.epoch), now)
    if turn is None:
        raise BulkNotResumable
    await enqueue(db, bulk_id, turn, now)
    await _record(db, Fact.BULK_RESUMED, caller, bulk_id, now)
    return await get(db, bulk_id)


async def get(db: AsyncSession, bulk_id: uuid.UUID) -> BulkAction:
    """One.

    Raises:
        BulkNotFound: see there.
    """
    found = await repository.find_action(db, bulk_id)
    if found is None:
        raise BulkNotFound
    return found


async def look(db: AsyncSession, bulk_id: uuid.UUID) -> Detail:
    """One, with what was not done and why.

    Raises:
        BulkNotFound: see there.
    """
    action = await get(db, bulk_id)
    reasons = await repository.count_reasons(db, bulk_id)
    return Detail(action, reasons, await repository.list_not_done(db, bulk_id, SHOWN_NOT_DONE))


async def list_actions(db: AsyncSession, kit: BulkKit, cursor: str | None, limit: int) -> Page:
    """A page, newest first.

    Raises:
        CursorInvalid: the cursor is not one of this listing.
    """
    found = await repository.list_actions(db, read_place(kit.cursor_key, LISTING, cursor), limit + 1)
    return Page(*cut_page(kit.cursor_key, LISTING, found, limit))


async def names_of(db: AsyncSession, items: Sequence[BulkItem]) -> dict[uuid.UUID, str]:
    """Usernames of the accounts that items are about, where they are still there."""
    return {user.id: user.username for user in await list_by_ids(db, [item.user_id for item in items])}


async def enqueue(db: AsyncSession, bulk_id: uuid.UUID, turn: int, now: datetime) -> None:
    """The job of one turn."""
    await jobs.enqueue(db, KIND, {"bulk": str(bulk_id), "turn": turn}, now)


def needed(action: Action) -> Permission:
    """What whoever does this must hold."""
    return NEEDS[action]


def may(holder: Role, action: Action, role: Role | None) -> bool:
    """Whether a role may do this, giving that role if it is about one."""
    return holds(holder, NEEDS[action]) and (role is None or covers(holder, role))


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Daily: what is over is kept thirty days; what is under way and was left lying is taken up again."""
    for bulk_id in await repository.list_old(db, now - KEPT):
        await jobs.enqueue(db, TIDY_KIND, {"bulk": str(bulk_id)}, now)
    for bulk_id in await repository.list_stuck(db, now - STUCK_AFTER):
        turn = await repository.revive(db, bulk_id, now - STUCK_AFTER, now)
        if turn is not None:
            await enqueue(db, bulk_id, turn, now)


async def _record(db: AsyncSession, fact: Fact, caller: Caller, bulk_id: uuid.UUID, now: datetime, **data: Any) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, session=caller.session_id, bulk=str(bulk_id), **data)
