"""Webhooks: who is told of what, what was sent and answered, and sending it again."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response

from app.admin.face import At, Desk
from app.audit.facts import Fact
from app.audit.words import words_of
from app.core.csrf import FormChoices, FormFields
from app.core.deps import Now
from app.core.errors import AppError, FieldError, Invalid
from app.core.i18n import N_
from app.core.paging import CursorInvalid
from app.webhooks import destinations, service
from app.webhooks.deps import Hooks, WebhookKit
from app.webhooks.errors import TooManyWebhooks, WebhookDisabled
from app.webhooks.schemas import ChangeWebhookIn, WebhookIn

pages = APIRouter(prefix="/admin/webhooks", include_in_schema=False)
PATH = "/admin/webhooks"
PAGE_SIZE = 25
Reader = Annotated[Desk, At("webhooks:read")]
FreshWriter = Annotated[Desk, At("webhooks:write", harm=True)]
STATES = {"waiting": N_("Waits"), "delivered": N_("Delivered"), "dead": N_("Given up")}
OVERLAPS = {"24": N_("24 hours"), "168": N_("7 days"), "0": N_("not at all: somebody may know it")}
REASONS = {
    "by_hand": N_("Somebody of the staff disabled it."),
    "gone": N_("It answered 410: it is gone for good."),
    "failing": N_("Nothing arrived there for three days."),
}
ERRORS = {
    "refused_address": N_("Its name leads to an address that is not public."),
    "timeout": N_("No answer within ten seconds."),
    "no_answer": N_("No whole answer."),
    "no_secret": N_("Its secret can't be read: it was sealed under another SECRET_KEY. Replace it."),
    "failed": N_("It failed here; the server's log says why."),
}


def _words(desk: Desk, words: dict[str, str]) -> dict[str, str]:
    return {code: desk.say(text) for code, text in words.items()}


def _choices(desk: Desk, chosen: Sequence[str]) -> dict[str, Any]:
    facts = [(fact.value, words_of(fact.value, desk.locale)) for fact in Fact]
    return {"facts": facts, "chosen": frozenset(chosen)}


def _read(pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], list[str]]:
    """The body that the route of the same flow takes, but for the facts, which are apart."""
    fields = dict(pairs)
    known = {fact.value for fact in Fact}
    chosen = [value for name, value in pairs if name == "facts" and value in known]
    return {"url": fields.get("url", "").strip(), "description": fields.get("description", "")}, chosen


def _body(model: type[WebhookIn] | type[ChangeWebhookIn], pairs: Sequence[tuple[str, str]]) -> Any:
    fields, chosen = _read(pairs)
    try:
        return model.model_validate({**fields, "facts": chosen})
    except ValidationError as error:
        found = {str(item["loc"][0]): str(item["type"]) for item in error.errors(include_input=False, include_url=False)}
        # Codes that the pages' words for passwords have too ("too_short") say nothing of these fields.
        faults = [FieldError(("body", name), kind if kind == "unprintable" else "invalid", "") for name, kind in found.items()]
        raise Invalid(errors=faults) from None


@pages.get("")
async def list_webhooks(desk: Reader) -> Response:
    """Every endpoint."""
    async with desk.server.database.read() as db:
        items = await service.list_endpoints(db)
    return desk.show("webhooks", items=items)


@pages.get("/new")
async def show_new(desk: FreshWriter) -> Response:
    """The form."""
    return desk.show("webhook_new", **_choices(desk, []))


@pages.post("")
async def create(desk: FreshWriter, pairs: FormChoices, kit: Hooks, now: Now) -> Response:
    """Add it, and show its secret this once."""
    try:
        body = _body(WebhookIn, pairs)
        await destinations.check(kit.outbound, body.url, loopback=kit.loopback)
        async with desk.server.database.write() as db:
            endpoint, secret = await service.create(db, kit, desk.known, body.wanted(), now)
    except (Invalid, TooManyWebhooks) as error:
        fields, chosen = _read(pairs)
        return desk.refused("webhook_new", {**fields, "facts": ""}, error, **_choices(desk, chosen))
    return desk.show("webhook_secret", endpoint=endpoint, secret=secret, status=201)


async def _shown(desk: Desk, webhook_id: uuid.UUID, error: AppError | None = None, **typed: Any) -> Response:
    kit, params = desk.server.kit(WebhookKit), desk.request.query_params
    state = params["state"] if params.get("state") in STATES else None
    async with desk.server.database.read() as db:
        endpoint = await service.get(db, webhook_id)
        try:
            page = await service.list_deliveries(db, kit, webhook_id, state, params.get("cursor"), PAGE_SIZE)
        except CursorInvalid:  # of another search, or an address that was cut: from the beginning
            page = await service.list_deliveries(db, kit, webhook_id, state, None, PAGE_SIZE)
    fields = typed.get("fields") or {"url": endpoint.url, "description": endpoint.description}
    values = _choices(desk, typed.get("chosen") or endpoint.facts) | {
        "endpoint": endpoint,
        "page": page,
        "state": state or "",
        "states": _words(desk, STATES),
        "why": _words(desk, REASONS),
        "errors": _words(desk, ERRORS),
        "overlaps": list(_words(desk, OVERLAPS).items()),
    }
    if error:
        return desk.refused("webhook", {**fields, "facts": "", "sure": ""}, error, **values)
    return desk.show("webhook", desk.form(fields), **values)


@pages.get("/{webhook_id}")
async def look(webhook_id: uuid.UUID, desk: Reader) -> Response:
    """One: what it is told of, what was sent there, and what can be done to it."""
    return await _shown(desk, webhook_id)


@pages.post("/{webhook_id}")
async def change(webhook_id: uuid.UUID, desk: FreshWriter, pairs: FormChoices, kit: Hooks, now: Now) -> Response:
    """Its address, its description, its events."""
    try:
        body = _body(ChangeWebhookIn, pairs)
        await destinations.check(kit.outbound, body.url, loopback=kit.loopback)
        async with desk.server.database.write() as db:
            await service.change(db, desk.known, webhook_id, body.changes(), now)
    except Invalid as error:
        fields, chosen = _read(pairs)
        return await _shown(desk, webhook_id, error, fields=fields, chosen=chosen)
    return desk.go(f"{PATH}/{webhook_id}", "saved")


@pages.post("/{webhook_id}/status")
async def set_status(webhook_id: uuid.UUID, desk: FreshWriter, fields: FormFields, now: Now) -> Response:
    """Enable or disable it."""
    enabled = fields.get("enabled") == "yes"
    async with desk.server.database.write() as db:
        await service.change(db, desk.known, webhook_id, service.Changes(enabled=enabled), now)
    return desk.go(f"{PATH}/{webhook_id}", "webhook-enabled" if enabled else "webhook-disabled")


@pages.post("/{webhook_id}/rotate")
async def rotate(webhook_id: uuid.UUID, desk: FreshWriter, fields: FormFields, kit: Hooks, now: Now) -> Response:
    """A new secret, shown this once."""
    hours = fields.get("overlap", "24")
    overlap = timedelta(hours=int(hours if hours in OVERLAPS else "24"))
    async with desk.server.database.write() as db:
        endpoint, secret = await service.rotate(db, kit, desk.known, webhook_id, overlap, now)
    return desk.show("webhook_secret", endpoint=endpoint, secret=secret)


@pages.post("/{webhook_id}/test")
async def send_test(webhook_id: uuid.UUID, desk: FreshWriter, _fields: FormFields, now: Now) -> Response:
    """Send it an event that tells of nothing."""
    try:
        async with desk.server.database.write() as db:
            await service.send_test(db, desk.known, webhook_id, now)
    except WebhookDisabled as error:
        return await _shown(desk, webhook_id, error)
    return desk.go(f"{PATH}/{webhook_id}", "webhook-tested")


@pages.post("/{webhook_id}/delete")
async def delete(webhook_id: uuid.UUID, desk: FreshWriter, fields: FormFields, now: Now) -> Response:
    """Gone, once the box is ticked."""
    if fields.get("sure") != "yes":
        return await _shown(desk, webhook_id, Invalid(errors=[FieldError(("body", "sure"), "missing", "")]))
    async with desk.server.database.write() as db:
        await service.remove(db, desk.known, webhook_id, now)
    return desk.go(PATH, "webhook-deleted")


async def _delivery(desk: Desk, webhook_id: uuid.UUID, delivery_id: uuid.UUID, error: AppError | None = None) -> Response:
    async with desk.server.database.read() as db:
        endpoint = await service.get(db, webhook_id)
        found = await service.look(db, webhook_id, delivery_id)
    values: dict[str, Any] = {
        "endpoint": endpoint,
        "found": found,
        "states": _words(desk, STATES),
        "errors": _words(desk, ERRORS),
    }
    return desk.refused("webhook_delivery", {}, error, **values) if error else desk.show("webhook_delivery", **values)


@pages.get("/{webhook_id}/deliveries/{delivery_id}")
async def look_at_delivery(webhook_id: uuid.UUID, delivery_id: uuid.UUID, desk: Reader) -> Response:
    """What is sent, and what was answered at each attempt."""
    return await _delivery(desk, webhook_id, delivery_id)


@pages.post("/{webhook_id}/deliveries/{delivery_id}/replay")
async def replay(webhook_id: uuid.UUID, delivery_id: uuid.UUID, desk: FreshWriter, _fields: FormFields, now: Now) -> Response:
    """Send it again."""
    try:
        async with desk.server.database.write() as db:
            await service.replay(db, desk.known, webhook_id, delivery_id, now)
    except WebhookDisabled as error:
        return await _delivery(desk, webhook_id, delivery_id, error)
    return desk.go(f"{PATH}/{webhook_id}/deliveries/{delivery_id}", "webhook-replayed")
