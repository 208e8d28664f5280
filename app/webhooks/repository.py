"""SQL of webhooks."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import AuditChain, AuditEvent
from app.webhooks.models import WebhookAttempt, WebhookCursor, WebhookDelivery, WebhookEndpoint

Place = tuple[datetime, int, uuid.UUID]  # in a list of deliveries
WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"
THE_CURSOR = WebhookCursor.name == "cursor"


# Endpoints.


async def list_endpoints(db: AsyncSession) -> list[WebhookEndpoint]:
    """All, oldest first."""
    return list((await db.scalars(select(WebhookEndpoint).order_by(WebhookEndpoint.created_at, WebhookEndpoint.id))).all())


async def find_endpoint(db: AsyncSession, endpoint_id: uuid.UUID) -> WebhookEndpoint | None:
    """One, as it is now."""
    return await db.get(WebhookEndpoint, endpoint_id, populate_existing=True)


async def lock_endpoint(db: AsyncSession, endpoint_id: uuid.UUID) -> WebhookEndpoint | None:
    """One, held until the transaction ends."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).with_for_update()
    found: WebhookEndpoint | None = await db.scalar(query.execution_options(populate_existing=True))
    return found


async def count_endpoints(db: AsyncSession) -> int:
    """How many there are."""
    return await db.scalar(select(func.count()).select_from(WebhookEndpoint)) or 0


async def delete_endpoint(db: AsyncSession, endpoint_id: uuid.UUID) -> None:
    """Remove one; its deliveries are out of reach from here on, and are tidied away."""
    await db.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id))


async def take_endpoint(
    db: AsyncSession, endpoint_id: uuid.UUID, lease: uuid.UUID, now: datetime, until: datetime
) -> WebhookEndpoint | None:
    """The endpoint, for the one worker that delivers to it until then; None where it is disabled, gone, or another has it."""
    free = or_(WebhookEndpoint.lease_until.is_(None), WebhookEndpoint.lease_until < now)
    take = (
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.disabled_at.is_(None), free)
        .values(lease=lease, lease_until=until)
        .returning(WebhookEndpoint)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return (await db.scalars(take)).one_or_none()


async def release_endpoint(db: AsyncSession, endpoint_id: uuid.UUID, lease: uuid.UUID) -> None:
    """Let go of it, unless the lease has passed to another worker."""
    await db.execute(
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.lease == lease)
        .values(lease=None, lease_until=None)
        .execution_options(synchronize_session=False)
    )


# From the audit chain to deliveries.


async def has_news(db: AsyncSession) -> bool:
    """Whether the chain is further than the cursor; only reads."""
    query = select(WebhookCursor.name).join(AuditChain, AuditChain.position > WebhookCursor.position).where(THE_CURSOR)
    return await db.scalar(query.limit(1)) is not None


async def take_cursor(db: AsyncSession, *, wait: bool = False) -> int | None:
    """Where the cursor is, held until the transaction ends; None where another has it and is not waited for."""
    query = select(WebhookCursor.position).where(THE_CURSOR).with_for_update(skip_locked=not wait)
    found: int | None = await db.scalar(query)
    return found


async def move_cursor(db: AsyncSession, before: int, to: int) -> bool:
    """True for the one who moves it on from there."""
    moved = update(WebhookCursor).where(THE_CURSOR, WebhookCursor.position == before).values(position=to)
    return (await db.execute(moved.returning(WebhookCursor.name))).first() is not None


async def list_listening(db: AsyncSession) -> list[WebhookEndpoint]:
    """Endpoints that are told of events; none of them goes before the transaction ends."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.disabled_at.is_(None)).order_by(WebhookEndpoint.id)
    return list((await db.scalars(query.with_for_update(read=True))).all())


async def add_deliveries(db: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """More to be sent."""
    if rows:
        await db.execute(insert(WebhookDelivery), rows)


# Deliveries.


async def list_due(db: AsyncSession, endpoint_id: uuid.UUID, now: datetime, most: int) -> list[WebhookDelivery]:
    """Those of an endpoint whose attempt is due, the longest due first."""
    due = (WebhookDelivery.endpoint_id == endpoint_id) & (WebhookDelivery.state == WAITING) & (WebhookDelivery.due_at <= now)
    query = select(WebhookDelivery).where(due).order_by(WebhookDelivery.due_at, WebhookDelivery.event_id).limit(most)
    return list((await db.scalars(query)).all())


async def next_due(db: AsyncSession, endpoint_id: uuid.UUID) -> datetime | None:
    """When the next attempt is due; None where nothing waits, or it is disabled."""
    enabled = exists().where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.disabled_at.is_(None))
    waiting = (WebhookDelivery.endpoint_id == endpoint_id) & (WebhookDelivery.state == WAITING)
    query = select(WebhookDelivery.due_at).where(waiting, enabled).order_by(WebhookDelivery.due_at).limit(1)
    found: datetime | None = await db.scalar(query)
    return found


async def note_tried(db: AsyncSession, delivery: WebhookDelivery, **values: Any) -> None:
    """Say what becomes of a delivery, unless another worker's attempt, or a replay, has said it meanwhile."""
    as_it_was = (WebhookDelivery.state == WAITING) & (WebhookDelivery.tries == delivery.tries)
    tried = update(WebhookDelivery).where(WebhookDelivery.id == delivery.id, as_it_was)
    await db.execute(tried.values(tries=delivery.tries + 1, **values).execution_options(synchronize_session=False))


async def add_attempt(db: AsyncSession, values: dict[str, Any]) -> None:
    """Write down what came of one."""
    await db.execute(insert(WebhookAttempt).values(values))


async def find_delivery(db: AsyncSession, endpoint_id: uuid.UUID, delivery_id: uuid.UUID) -> WebhookDelivery | None:
    """One of this endpoint, as it is now."""
    query = select(WebhookDelivery).where(WebhookDelivery.id == delivery_id, WebhookDelivery.endpoint_id == endpoint_id)
    found: WebhookDelivery | None = await db.scalar(query.execution_options(populate_existing=True))
    return found


async def list_deliveries(
    db: AsyncSession, endpoint_id: uuid.UUID, state: str | None, after: Place | None, limit: int
) -> list[WebhookDelivery]:
    """A page, newest first, from behind a place; what was written down at one moment in the order of the events."""
    place = (WebhookDelivery.created_at, func.coalesce(WebhookDelivery.event_id, 0), WebhookDelivery.id)
    query = select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    if after is not None:
        query = query.where(tuple_(*place) < after)
    return list((await db.scalars(query.order_by(*(each.desc() for each in place)).limit(limit))).all())


async def list_attempts(db: AsyncSession, delivery_ids: Sequence[uuid.UUID]) -> list[WebhookAttempt]:
    """Every attempt at these, oldest first."""
    query = select(WebhookAttempt).where(WebhookAttempt.delivery_id.in_(delivery_ids)).order_by(WebhookAttempt.id)
    return list((await db.scalars(query)).all())


async def replay(db: AsyncSession, delivery_id: uuid.UUID, now: datetime) -> None:
    """Due at once, as if it had never been tried."""
    again = update(WebhookDelivery).where(WebhookDelivery.id == delivery_id)
    values = {"state": WAITING, "tries": 0, "due_at": now, "settled_at": None}
    await db.execute(again.values(values).execution_options(synchronize_session=False))


async def has_before(db: AsyncSession, moment: datetime) -> bool:
    """Whether there is one that was made before then."""
    return await db.scalar(select(WebhookDelivery.id).where(WebhookDelivery.created_at < moment).limit(1)) is not None


async def delete_some_before(db: AsyncSession, moment: datetime, most: int) -> int:
    """Remove the oldest of those made before then, whatever became of them; how many."""
    old = select(WebhookDelivery.id).where(WebhookDelivery.created_at < moment).order_by(WebhookDelivery.created_at)
    return await _delete_some(db, old.limit(most))


async def delete_some_of(db: AsyncSession, endpoint_id: uuid.UUID, most: int) -> int:
    """Remove deliveries of an endpoint; how many."""
    return await _delete_some(db, select(WebhookDelivery.id).where(WebhookDelivery.endpoint_id == endpoint_id).limit(most))


async def _delete_some(db: AsyncSession, chosen: Any) -> int:
    ids = list((await db.scalars(chosen)).all())
    await db.execute(delete(WebhookAttempt).where(WebhookAttempt.delivery_id.in_(ids)))
    await db.execute(delete(WebhookDelivery).where(WebhookDelivery.id.in_(ids)))
    return len(ids)


# About a person.


def _about(user_id: uuid.UUID) -> Any:
    return select(AuditEvent.id).where(or_(AuditEvent.subject_id == user_id, AuditEvent.actor_id == user_id))


async def list_about(db: AsyncSession, user_id: uuid.UUID) -> list[WebhookDelivery]:
    """Deliveries of events that are about an account, or of what it did; oldest first."""
    query = select(WebhookDelivery).where(WebhookDelivery.event_id.in_(_about(user_id)))
    return list((await db.scalars(query.order_by(WebhookDelivery.created_at, WebhookDelivery.id))).all())


def _answers(user_id: uuid.UUID) -> Any:
    its = select(WebhookDelivery.id).where(WebhookDelivery.event_id.in_(_about(user_id)))
    return WebhookAttempt.delivery_id.in_(its)


async def list_attempts_about(db: AsyncSession, user_id: uuid.UUID) -> list[WebhookAttempt]:
    """What came of telling about an account, oldest first."""
    return list((await db.scalars(select(WebhookAttempt).where(_answers(user_id)).order_by(WebhookAttempt.id))).all())


async def empty_answers(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Forget what receivers said to events about an account, or to what it did."""
    emptied = update(WebhookAttempt).where(_answers(user_id)).values(answer="")
    await db.execute(emptied.execution_options(synchronize_session=False))
