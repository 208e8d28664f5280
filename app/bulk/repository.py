"""SQL of bulk actions."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.models import BulkAction, BulkItem

COLLECTING, RUNNING, STOPPED, DONE = "collecting", "running", "stopped", "done"
WAITING, SKIPPED, REFUSED, FAILED = "waiting", "skipped", "refused", "failed"
UNDER_WAY = (COLLECTING, RUNNING)
NOT_DONE = (SKIPPED, REFUSED, FAILED)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why accounts were left as they were, and how many."""

    state: str
    reason: str
    count: int


async def add_action(db: AsyncSession, values: dict[str, Any]) -> None:
    """One more."""
    await db.execute(insert(BulkAction).values(values))


async def find_action(db: AsyncSession, bulk_id: uuid.UUID) -> BulkAction | None:
    """The action as it is now."""
    return await db.get(BulkAction, bulk_id, populate_existing=True)


async def list_actions(db: AsyncSession, after: tuple[datetime, uuid.UUID] | None, limit: int) -> list[BulkAction]:
    """A page, newest first, from behind a position."""
    query = select(BulkAction).order_by(BulkAction.created_at.desc(), BulkAction.id.desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(BulkAction.created_at, BulkAction.id) < after)
    return list((await db.scalars(query)).all())


async def count_under_way(db: AsyncSession) -> int:
    """How many are under way."""
    query = select(func.count()).select_from(BulkAction).where(BulkAction.state.in_(UNDER_WAY))
    return await db.scalar(query) or 0


async def add_items(db: AsyncSession, bulk_id: uuid.UUID, user_ids: Sequence[uuid.UUID]) -> None:
    """Write accounts down, each once."""
    if user_ids:
        await db.execute(insert(BulkItem), [{"bulk_id": bulk_id, "user_id": each, "state": WAITING} for each in user_ids])


async def note_collected(
    db: AsyncSession,
    action: BulkAction,
    after: uuid.UUID | None,
    user_ids: Sequence[uuid.UUID],
    now: datetime,
    *,
    is_last: bool,
) -> bool:
    """Count what is written down from behind `after`; False if the action was stopped, or another did that."""
    values: dict[str, Any] = {"total": BulkAction.total + len(user_ids), "moved_at": now}
    if user_ids:
        values["collected_to"] = user_ids[-1]
    if is_last:
        values |= {"state": RUNNING, "filter": None}
    return await _move(db, action, COLLECTING, values, BulkAction.collected_to.is_not_distinct_from(after))


async def list_waiting(db: AsyncSession, bulk_id: uuid.UUID, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
    """Accounts whose turn comes next, in order of id."""
    query = select(BulkItem.user_id).where(BulkItem.bulk_id == bulk_id, BulkItem.state == WAITING)
    if after is not None:
        query = query.where(BulkItem.user_id > after)
    return list((await db.scalars(query.order_by(BulkItem.user_id).limit(limit))).all())


async def take_item(
    db: AsyncSession, bulk_id: uuid.UUID, user_id: uuid.UUID, now: datetime, *, state: str = DONE, reason: str | None = None
) -> bool:
    """True for the one worker whose transaction settles the item."""
    taken = await db.scalar(
        update(BulkItem)
        .where(BulkItem.bulk_id == bulk_id, BulkItem.user_id == user_id, BulkItem.state == WAITING)
        .values(state=state, reason=reason, done_at=now)
        .returning(BulkItem.user_id)
    )
    return taken is not None


async def note_skipped(db: AsyncSession, bulk_id: uuid.UUID, user_id: uuid.UUID, state: str, reason: str) -> None:
    """Say why nothing was done about an item that this transaction took."""
    await db.execute(
        update(BulkItem)
        .where(BulkItem.bulk_id == bulk_id, BulkItem.user_id == user_id, BulkItem.state == DONE)
        .values(state=state, reason=reason)
    )


async def count_item(db: AsyncSession, action: BulkAction, state: str, now: datetime) -> bool:
    """Count an item by what became of it; False if the action was stopped, or goes on elsewhere."""
    counter = getattr(BulkAction, state)
    return await _move(db, action, RUNNING, {counter.key: counter + 1, "moved_at": now})


async def take_turn(db: AsyncSession, action: BulkAction, now: datetime) -> bool:
    """True for the one job that another may follow."""
    return await _move(db, action, action.state, {"turn": action.turn + 1, "moved_at": now})


async def halt(db: AsyncSession, action: BulkAction, reason: str, now: datetime) -> bool:
    """Stop it, unless somebody has stopped or resumed it meanwhile."""
    values = {"state": STOPPED, "reason": reason, "turn": action.turn + 1, "moved_at": now}
    return await _move(db, action, RUNNING, values)


async def finish(db: AsyncSession, action: BulkAction, now: datetime) -> bool:
    """All is done, if nothing waits."""
    return await _move(db, action, RUNNING, {"state": DONE, "ended_at": now, "moved_at": now}, ~_has_waiting(action.id))


def _has_waiting(bulk_id: uuid.UUID) -> Any:
    return exists().where(BulkItem.bulk_id == bulk_id, BulkItem.state == WAITING)


async def _move(db: AsyncSession, action: BulkAction, state: str, values: dict[str, Any], *also: Any) -> bool:
    moved = await db.scalar(
        update(BulkAction)
        .where(BulkAction.id == action.id, BulkAction.turn == action.turn, BulkAction.state == state, *also)
        .values(values)
        .returning(BulkAction.id)
        .execution_options(synchronize_session=False)
    )
    return moved is not None


async def stop(db: AsyncSession, bulk_id: uuid.UUID, reason: str, now: datetime) -> bool:
    """True for the one who stops it; what is under way is not committed any more."""
    stopped = await db.scalar(
        update(BulkAction)
        .where(BulkAction.id == bulk_id, BulkAction.state.in_(UNDER_WAY))
        .values(state=STOPPED, reason=reason, turn=BulkAction.turn + 1, moved_at=now)
        .returning(BulkAction.id)
        .execution_options(synchronize_session=False)
    )
    return stopped is not None


async def resume(db: AsyncSession, bulk_id: uuid.UUID, acting: tuple[uuid.UUID, int], now: datetime) -> int | None:
    """The turn of the one who resumes it; from now on it acts in that name, as long as its epoch stays."""
    turn: int | None = await db.scalar(
        update(BulkAction)
        .where(BulkAction.id == bulk_id, BulkAction.state == STOPPED)
        .values(
            state=case((BulkAction.filter.is_(None), RUNNING), else_=COLLECTING),
            reason=None,
            turn=BulkAction.turn + 1,
            acting_id=acting[0],
            acting_epoch=acting[1],
            moved_at=now,
        )
        .returning(BulkAction.turn)
        .execution_options(synchronize_session=False)
    )
    return turn


async def revive(db: AsyncSession, bulk_id: uuid.UUID, before: datetime, now: datetime) -> int | None:
    """A new turn of one that no worker got on with since `before`."""
    turn: int | None = await db.scalar(
        update(BulkAction)
        .where(BulkAction.id == bulk_id, BulkAction.state.in_(UNDER_WAY), BulkAction.moved_at < before)
        .values(turn=BulkAction.turn + 1, moved_at=now)
        .returning(BulkAction.turn)
        .execution_options(synchronize_session=False)
    )
    return turn


async def list_stuck(db: AsyncSession, before: datetime) -> list[uuid.UUID]:
    """Those under way that no worker got on with since `before`."""
    query = select(BulkAction.id).where(BulkAction.state.in_(UNDER_WAY), BulkAction.moved_at < before)
    return list((await db.scalars(query)).all())


async def count_reasons(db: AsyncSession, bulk_id: uuid.UUID) -> list[Reason]:
    """How often each reason was there for not doing it."""
    query = (
        select(BulkItem.state, BulkItem.reason, func.count())
        .where(BulkItem.bulk_id == bulk_id, BulkItem.state.in_(NOT_DONE))
        .group_by(BulkItem.state, BulkItem.reason)
        .order_by(BulkItem.state, BulkItem.reason)
    )
    return [Reason(state, reason or "", count) for state, reason, count in (await db.execute(query)).all()]


async def list_not_done(db: AsyncSession, bulk_id: uuid.UUID, limit: int) -> list[BulkItem]:
    """Some of those that were not done."""
    query = select(BulkItem).where(BulkItem.bulk_id == bulk_id, BulkItem.state.in_(NOT_DONE))
    return list((await db.scalars(query.order_by(BulkItem.state, BulkItem.user_id).limit(limit))).all())


async def list_old(db: AsyncSession, before: datetime) -> list[uuid.UUID]:
    """Those that were begun before a moment and are not under way."""
    query = select(BulkAction.id).where(BulkAction.created_at < before, BulkAction.state.not_in(UNDER_WAY))
    return list((await db.scalars(query)).all())


async def delete_some_items(db: AsyncSession, bulk_id: uuid.UUID, most: int) -> int:
    """Remove items of an action that is over; how many."""
    some = select(BulkItem.user_id).where(BulkItem.bulk_id == bulk_id).limit(most)
    gone = await db.scalars(
        delete(BulkItem)
        .where(BulkItem.bulk_id == bulk_id, BulkItem.user_id.in_(some))
        .returning(BulkItem.user_id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


async def delete_action(db: AsyncSession, bulk_id: uuid.UUID) -> None:
    """Remove an action without items."""
    await db.execute(delete(BulkAction).where(BulkAction.id == bulk_id))


async def list_about(db: AsyncSession, user_id: uuid.UUID) -> list[tuple[BulkItem, str]]:
    """What was, or is to be, done about an account."""
    query = select(BulkItem, BulkAction.action).join(BulkAction, BulkAction.id == BulkItem.bulk_id)
    found = (await db.execute(query.where(BulkItem.user_id == user_id).order_by(BulkItem.bulk_id))).all()
    return [(item, action) for item, action in found]


async def list_by(db: AsyncSession, user_id: uuid.UUID) -> list[BulkAction]:
    """What an account began, or resumed."""
    query = select(BulkAction).where(or_(BulkAction.started_by == user_id, BulkAction.acting_id == user_id))
    return list((await db.scalars(query.order_by(BulkAction.created_at))).all())


async def forget(db: AsyncSession, user_id: uuid.UUID) -> None:
    """No item and no action names the account any more; what waited for it counts as skipped.

    An action that was still being written down stops here, since it has lost its filter.
    """
    waiting = select(BulkItem.bulk_id).where(BulkItem.user_id == user_id, BulkItem.state == WAITING)
    untracked = {"synchronize_session": False}
    await db.execute(
        update(BulkAction).where(BulkAction.id.in_(waiting)).values(skipped=BulkAction.skipped + 1).execution_options(**untracked)
    )
    await db.execute(delete(BulkItem).where(BulkItem.user_id == user_id).execution_options(**untracked))
    # What they searched for goes too: who was found by then is who it is for, should somebody resume it.
    theirs = or_(BulkAction.started_by == user_id, BulkAction.acting_id == user_id)
    halted = {"state": STOPPED, "reason": "starter_gone", "turn": BulkAction.turn + 1}
    collecting = update(BulkAction).where(theirs, BulkAction.state == COLLECTING).values(**halted)
    await db.execute(collecting.execution_options(**untracked))
    await db.execute(update(BulkAction).where(theirs).values(filter=None).execution_options(**untracked))
    for column in (BulkAction.started_by, BulkAction.acting_id):
        await db.execute(update(BulkAction).where(column == user_id).values({column: None}).execution_options(**untracked))
