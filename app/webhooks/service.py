"""Endpoints: adding, changing, rotating, removing; and deliveries as staff see them: looked at, tested, sent again."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import reading
from app.audit import service as audit
from app.audit.facts import Fact
from app.core.caller import Caller
from app.core.crypto import new_id
from app.core.paging import read_cursor, write_cursor
from app.core.permissions import Permission, Role
from app.jobs import service as jobs
from app.users.holding import check_reach, hold_self
from app.webhooks import messages, repository
from app.webhooks.deps import WebhookKit
from app.webhooks.destinations import origin_of
from app.webhooks.errors import DeliveryNotFound, TooManyWebhooks, WebhookDisabled, WebhookNotFound
from app.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

KIND, TIDY_KIND = "webhook", "webhook-tidy"
LANE = "webhooks"
MOST_ENDPOINTS = 20  # fewer than the lane has slots
KEPT = timedelta(days=30)
BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an endpoint is to be."""

    url: str
    description: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different; None stays as it is."""

    url: str | None = None
    description: str | None = None
    facts: tuple[Fact, ...] | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of deliveries, each with the last attempt at it."""

    items: list[tuple[WebhookDelivery, WebhookAttempt | None]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Detail:
    """A delivery with every attempt at it, oldest first."""

    delivery: WebhookDelivery
    attempts: Sequence[WebhookAttempt]


# Endpoints.


async def list_endpoints(db: AsyncSession) -> list[WebhookEndpoint]:
    """All, oldest first."""
    return await repository.list_endpoints(db)


async def get(db: AsyncSession, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    """One.

    Raises:
        WebhookNotFound: see there.
    """
    found = await repository.find_endpoint(db, endpoint_id)
    if found is None:
        raise WebhookNotFound
    return found


async def create(db: AsyncSession, kit: WebhookKit, caller: Caller, wanted: Wanted, now: datetime) -> tuple[WebhookEndpoint, str]:
    """An endpoint, whose address was checked; and its secret, which is shown this once. It is told of events from here on.

    Raises:
        OutOfReach, TokenInvalid: see `hold_self`.
        TooManyWebhooks: see there.
    """
    await _check_own(db, caller, now)
    await repository.take_cursor(db, wait=True)  # two at once must not both be the last there is room for
    if await repository.count_endpoints(db) >= MOST_ENDPOINTS:
        raise TooManyWebhooks
    endpoint = WebhookEndpoint(
        id=new_id(now),
        url=wanted.url,
        description=wanted.description,
        facts=_sorted(wanted.facts),
        created_at=now,
        after_event=await reading.newest_id(db),
    )
    secret = kit.signer.make(endpoint)
    db.add(endpoint)
    await db.flush()
    await _record(db, Fact.WEBHOOK_CREATED, caller, endpoint.id, now, host=origin_of(endpoint.url))
    return endpoint, secret


async def change(db: AsyncSession, caller: Caller, endpoint_id: uuid.UUID, changes: Changes, now: datetime) -> WebhookEndpoint:
    """Another address, which was checked, description or choice of facts; told of events, or of none.

    Disabled, it is told of nothing that happens meanwhile; what waited goes on waiting.

    Raises:
        OutOfReach, TokenInvalid: see `hold_self`.
        WebhookNotFound: see there.
    """
    endpoint = await _hold(db, caller, endpoint_id, now)
    facts = None if changes.facts is None else _sorted(changes.facts)
    wanted = {"url": changes.url, "description": changes.description, "facts": facts}
    different = {name: value for name, value in wanted.items() if value is not None and value != getattr(endpoint, name)}
    hosts = {"before": origin_of(endpoint.url), "after": origin_of(changes.url or endpoint.url)} if "url" in different else {}
    for name, value in different.items():
        setattr(endpoint, name, value)
    if "url" in different:
        endpoint.failing_since = None  # the one before failed
    if different:
        await _record(db, Fact.WEBHOOK_CHANGED, caller, endpoint.id, now, fields=sorted(different), **hosts)
    if changes.enabled is not None and changes.enabled != endpoint.enabled:
        await _set_enabled(db, caller, endpoint, now, enabled=changes.enabled)
    await db.flush()
    return endpoint


async def _set_enabled(db: AsyncSession, caller: Caller, endpoint: WebhookEndpoint, now: datetime, *, enabled: bool) -> None:
    if not enabled:
        endpoint.disabled_at, endpoint.disabled_reason = now, BY_HAND
        await _record(db, Fact.WEBHOOK_DISABLED, caller, endpoint.id, now, reason=BY_HAND)
        return
    endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = None
    endpoint.after_event = await reading.newest_id(db)
    await _record(db, Fact.WEBHOOK_ENABLED, caller, endpoint.id, now)
    await send_soon(db, endpoint.id, now)


async def rotate(
    db: AsyncSession, kit: WebhookKit, caller: Caller, endpoint_id: uuid.UUID, overlap: timedelta, now: datetime
) -> tuple[WebhookEndpoint, str]:
    """A new secret, shown this once; the one before signs beside it for as long as `overlap` says, and older ones no more.

    Raises:
        OutOfReach, TokenInvalid: see `hold_self`.
        WebhookNotFound: see there.
    """
    endpoint = await _hold(db, caller, endpoint_id, now)
    secret = kit.signer.rotate(endpoint, now + overlap if overlap else None)
    await _record(db, Fact.WEBHOOK_SECRET_ROTATED, caller, endpoint.id, now)
    await db.flush()
    return endpoint, secret


async def remove(db: AsyncSession, caller: Caller, endpoint_id: uuid.UUID, now: datetime) -> None:
    """Gone, with all that was to be sent to it.

    Raises:
        OutOfReach, TokenInvalid: see `hold_self`.
        WebhookNotFound: see there.
    """
    endpoint = await _hold(db, caller, endpoint_id, now)
    await _record(db, Fact.WEBHOOK_DELETED, caller, endpoint.id, now)
    await repository.delete_endpoint(db, endpoint.id)
    await jobs.enqueue(db, TIDY_KIND, {"endpoint": str(endpoint.id)}, now)


# Deliveries.


async def list_deliveries(
    db: AsyncSession, kit: WebhookKit, endpoint_id: uuid.UUID, state: str | None, cursor: str | None, limit: int
) -> Page:
    """A page of what was, or is to be, sent to an endpoint; newest first.

    Raises:
        WebhookNotFound: see there.
        CursorInvalid: the cursor is not one of this listing.
    """
    await get(db, endpoint_id)
    listing = f"webhooks {endpoint_id} {state or ''}"
    after = None
    if cursor:
        moment, event_id, delivery_id = read_cursor(kit.cursor_key, listing, cursor)
        after = datetime.fromisoformat(moment), event_id, uuid.UUID(delivery_id)
    found = await repository.list_deliveries(db, endpoint_id, state, after, limit + 1)
    shown = found[:limit]
    last_of = {each.delivery_id: each for each in await repository.list_attempts(db, [each.id for each in shown])}
    last = shown[-1] if len(found) > limit else None
    place = [last.created_at.isoformat(), last.event_id or 0, str(last.id)] if last else None
    items = [(each, last_of.get(each.id)) for each in shown]
    return Page(items, write_cursor(kit.cursor_key, listing, place) if place else None)


async def look(db: AsyncSession, endpoint_id: uuid.UUID, delivery_id: uuid.UUID) -> Detail:
    """One, with every attempt at it.

    Raises:
        DeliveryNotFound: see there.
    """
    found = await repository.find_delivery(db, endpoint_id, delivery_id)
    if found is None:
        raise DeliveryNotFound
    return Detail(found, await repository.list_attempts(db, [found.id]))


async def send_test(db: AsyncSession, caller: Caller, endpoint_id: uuid.UUID, now: datetime) -> Detail:
    """Send it an event that tells of nothing, as any other is sent.

    Raises:
        OutOfReach, TokenInvalid: see `hold_self`.
        WebhookNotFound, WebhookDisabled: see there.
    """
    endpoint = await _hold(db, caller, endpoint_id, now, only_enabled=True)
    made = messages.of_test(endpoint, now)
    await repository.add_deliveries(db, [made])
    await send_soon(db, endpoint.id, now)
    await _record(db, Fact.WEBHOOK_TESTED, caller, endpoint.id, now, delivery=str(made["id"]))
    return await look(db, endpoint.id, made["id"])


async def replay(db: AsyncSession, caller: Caller, endpoint_id: uuid.UUID, delivery_id: uuid.UUID, now: datetime) -> Detail:
    """Send one again, at once and for three days, whatever came of it before; its `webhook-id` stays.

    Raises:
        OutOfReach, TokenInvalid: see `hold_self`.
        WebhookNotFound, WebhookDisabled, DeliveryNotFound: see there.
    """
    endpoint = await _hold(db, caller, endpoint_id, now, only_enabled=True)
    await look(db, endpoint.id, delivery_id)
    await repository.replay(db, delivery_id, now)
    await send_soon(db, endpoint.id, now)
    await _record(db, Fact.WEBHOOK_REPLAYED, caller, endpoint.id, now, delivery=str(delivery_id))
    return await look(db, endpoint.id, delivery_id)


async def send_soon(db: AsyncSession, endpoint_id: uuid.UUID, now: datetime) -> None:
    """Have a worker see to an endpoint: by the job of it that waits, or a new one where none does."""
    if not await jobs.hasten(db, KIND, "endpoint", str(endpoint_id), now, now):
        await jobs.enqueue(db, KIND, {"endpoint": str(endpoint_id)}, now)


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Part of jobs.DAILY: what is old goes, some at a time; and what waits has a job, even if somebody discarded that."""
    if await repository.has_before(db, now - KEPT):
        await jobs.enqueue(db, TIDY_KIND, {}, now)
    for endpoint in await repository.list_endpoints(db):
        if await repository.next_due(db, endpoint.id) is not None:
            await send_soon(db, endpoint.id, now)


async def _hold(
    db: AsyncSession, caller: Caller, endpoint_id: uuid.UUID, now: datetime, *, only_enabled: bool = False
) -> WebhookEndpoint:
    await _check_own(db, caller, now)
    endpoint = await repository.lock_endpoint(db, endpoint_id)
    if endpoint is None:
        raise WebhookNotFound
    if only_enabled and not endpoint.enabled:
        raise WebhookDisabled
    return endpoint


async def _check_own(db: AsyncSession, caller: Caller, now: datetime) -> None:
    acting = await hold_self(db, caller, now)
    await check_reach(db, caller, acting, Permission.WEBHOOKS_WRITE, Role.USER, now)


async def _record(db: AsyncSession, fact: Fact, caller: Caller, endpoint_id: uuid.UUID, now: datetime, **data: Any) -> None:
    who, session = caller.user_id, caller.session_id
    await audit.record(db, fact, caller.client, now, actor=who, session=session, webhook=str(endpoint_id), **data)


def _sorted(facts: Sequence[Fact]) -> list[str]:
    return sorted({fact.value for fact in facts})
