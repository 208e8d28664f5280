"""/webhooks, for staff."""

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter

from app.core.caller import Caller, May
from app.core.deps import Db, DbRead, Now, Transactions
from app.core.errors import Forbidden, Invalid, ProofTooOld, Unauthenticated
from app.core.paging import CursorText, Limit
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.webhooks import destinations, service
from app.webhooks.deps import Hooks
from app.webhooks.errors import DeliveryNotFound, TooManyWebhooks, WebhookDisabled, WebhookNotFound
from app.webhooks.models import WebhookEndpoint
from app.webhooks.schemas import (
    ChangeWebhookIn,
    DeliveryDetailOut,
    DeliveryOut,
    DeliveryPageOut,
    RotateSecretIn,
    Stage,
    WebhookIn,
    WebhookOut,
    WebhookSecretOut,
    WebhooksOut,
)

router = APIRouter(prefix="/webhooks", tags=["webhooks"], dependencies=[JSON_ONLY])
Reader = Annotated[Caller, May("webhooks:read")]
FreshWriter = Annotated[Caller, May("webhooks:write", fresh=True)]
STAFF = (Unauthenticated, Forbidden, Invalid)
WRITER = (*STAFF, ProofTooOld)


def _with_secret(endpoint: WebhookEndpoint, secret: str) -> WebhookSecretOut:
    return WebhookSecretOut(**WebhookOut.model_validate(endpoint).model_dump(), secret=secret)


@router.get("", summary="List webhooks", responses=refusals(*STAFF))
async def list_webhooks(_caller: Reader, db: DbRead) -> WebhooksOut:
    """Every endpoint."""
    return WebhooksOut(items=[WebhookOut.model_validate(each) for each in await service.list_endpoints(db)])


@router.post("", status_code=201, summary="Add a webhook", responses=refusals(*WRITER, *JSON_BODY, TooManyWebhooks))
async def create_webhook(body: WebhookIn, caller: FreshWriter, database: Transactions, kit: Hooks, now: Now) -> WebhookSecretOut:
    """An endpoint that is told of what happens from here on. Its secret is shown this once. Needs a fresh proof."""
    await destinations.check(kit.outbound, body.url, loopback=kit.loopback)
    async with database.write() as db:
        return _with_secret(*await service.create(db, kit, caller, body.wanted(), now))


@router.get("/{webhook_id}", response_model=WebhookOut, summary="One webhook", responses=refusals(*STAFF, WebhookNotFound))
async def look_at_webhook(webhook_id: uuid.UUID, _caller: Reader, db: DbRead) -> WebhookEndpoint:
    """How it stands with it."""
    return await service.get(db, webhook_id)


@router.patch(
    "/{webhook_id}",
    response_model=WebhookOut,
    summary="Change a webhook",
    responses=refusals(*WRITER, *JSON_BODY, WebhookNotFound),
)
async def change_webhook(
    webhook_id: uuid.UUID, body: ChangeWebhookIn, caller: FreshWriter, database: Transactions, kit: Hooks, now: Now
) -> WebhookEndpoint:
    """Its address, its events; enable or disable it. Needs a fresh proof."""
    if body.url is not None:
        await destinations.check(kit.outbound, body.url, loopback=kit.loopback)
    async with database.write() as db:
        return await service.change(db, caller, webhook_id, body.changes(), now)


@router.delete("/{webhook_id}", status_code=204, summary="Remove a webhook", responses=refusals(*WRITER, WebhookNotFound))
async def delete_webhook(webhook_id: uuid.UUID, caller: FreshWriter, db: Db, now: Now) -> None:
    """With all that was to be sent to it, and what was. Needs a fresh proof."""
    await service.remove(db, caller, webhook_id, now)


@router.post(
    "/{webhook_id}/rotate-secret",
    summary="Replace a webhook's secret",
    responses=refusals(*WRITER, *JSON_BODY, WebhookNotFound),
)
async def rotate_webhook_secret(
    webhook_id: uuid.UUID, body: RotateSecretIn, caller: FreshWriter, db: Db, kit: Hooks, now: Now
) -> WebhookSecretOut:
    """A new secret, shown this once; both sign for a while. Needs a fresh proof."""
    overlap = timedelta(hours=body.overlap_hours)
    return _with_secret(*await service.rotate(db, kit, caller, webhook_id, overlap, now))


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    summary="Send a test to a webhook",
    responses=refusals(*WRITER, WebhookNotFound, WebhookDisabled),
)
async def test_webhook(webhook_id: uuid.UUID, caller: FreshWriter, db: Db, now: Now) -> DeliveryDetailOut:
    """An event that tells of nothing, sent as any other. Needs a fresh proof."""
    return DeliveryDetailOut.whole(await service.send_test(db, caller, webhook_id, now))


@router.get("/{webhook_id}/deliveries", summary="List deliveries", responses=refusals(*STAFF, WebhookNotFound))
async def list_deliveries(
    webhook_id: uuid.UUID,
    _caller: Reader,
    db: DbRead,
    kit: Hooks,
    state: Stage = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> DeliveryPageOut:
    """A page of what was sent in the last thirty days, or waits to be; newest first."""
    page = await service.list_deliveries(db, kit, webhook_id, state, cursor, limit)
    return DeliveryPageOut(items=[DeliveryOut.of(*each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/{webhook_id}/deliveries/{delivery_id}", summary="One delivery", responses=refusals(*STAFF, DeliveryNotFound))
async def look_at_delivery(webhook_id: uuid.UUID, delivery_id: uuid.UUID, _caller: Reader, db: DbRead) -> DeliveryDetailOut:
    """What is sent, and what was answered at each attempt."""
    return DeliveryDetailOut.whole(await service.look(db, webhook_id, delivery_id))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Send a delivery again",
    responses=refusals(*WRITER, WebhookNotFound, DeliveryNotFound, WebhookDisabled),
)
async def replay_delivery(
    webhook_id: uuid.UUID, delivery_id: uuid.UUID, caller: FreshWriter, db: Db, now: Now
) -> DeliveryDetailOut:
    """At once, with the same id, whatever came of it before. Needs a fresh proof."""
    return DeliveryDetailOut.whole(await service.replay(db, caller, webhook_id, delivery_id, now))
