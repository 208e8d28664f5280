"""Bulk actions: what is to be done to whom, what runs, how far it is, and how to go on."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.responses import Response

from app.admin.face import At, Desk
from app.admin.users_pages import ROLE_NAMES, filters_of
from app.bulk import service
from app.bulk.acts import Action
from app.bulk.deps import BulkKit
from app.bulk.errors import BulkBusy, BulkNotResumable, BulkNotStoppable
from app.bulk.models import BulkAction
from app.bulk.service import Preview, Wanted
from app.core.csrf import FormChoices, FormFields
from app.core.deps import Now
from app.core.errors import AppError
from app.core.i18n import N_
from app.core.paging import CursorInvalid
from app.core.permissions import ROLES

pages = APIRouter(prefix="/admin/bulk", include_in_schema=False)
PATH = "/admin/bulk"
PAGE_SIZE = 25
FILTERS = ("q", "role", "active", "verified")
NAMES = {
    Action.DISABLE: N_("Disable"),
    Action.ENABLE: N_("Enable"),
    Action.LOG_OUT: N_("Sign out everywhere"),
    Action.SEND_RESET: N_("Send a link to reset the password"),
    Action.VERIFY_EMAIL: N_("Mark the mail address as verified"),
    Action.REQUIRE_FACTOR: N_("Require a second factor"),
    Action.RELEASE_FACTOR: N_("Require a second factor no longer"),
    Action.SET_ROLE: N_("Give a role"),
    Action.DELETE: N_("Delete"),
}
STATES = {"collecting": N_("Begins"), "running": N_("Runs"), "stopped": N_("Stopped"), "done": N_("Done")}
REASONS = {
    "by_hand": N_("Somebody stopped it."),
    "starter_gone": N_("The account that started it is gone."),
    "starter_not_permitted": N_("Who started it may not do this any more."),
    "starter_changed": N_("Password, address, role or status of who started it has changed since."),
    "unchanged": N_("It was so already."),
    "not_usable": N_("The account can't be used."),
    "gone": N_("The account is gone."),
    "own_account": N_("It is the account of who started this."),
    "last_admin": N_("It is the last active admin."),
    "above": N_("The account holds more than who started this."),
    "error": N_("It failed three times; the server's log says why."),
}


def _ids(pairs: Sequence[tuple[str, str]]) -> tuple[uuid.UUID, ...]:
    """Who was chosen; what is no id was not made by our form, and is nobody."""
    found = []
    for name, value in pairs:
        if name == "user":
            try:
                found.append(uuid.UUID(value))
            except ValueError:
                continue
    return tuple(dict.fromkeys(found))


def _wanted(pairs: Sequence[tuple[str, str]]) -> Wanted | None:
    """What a form asks for; None where the action, or its role, is still to be chosen."""
    fields = dict(pairs)
    try:
        action = Action(fields.get("action", ""))
    except ValueError:
        return None
    role = ROLES.get(fields.get("give", "")) if action is Action.SET_ROLE else None
    if action is Action.SET_ROLE and role is None:
        return None
    return Wanted(action, role, *_selected(pairs))


def _selected(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[uuid.UUID, ...], Any]:
    fields = dict(pairs)
    if fields.get("everybody") == "yes":
        return (), filters_of({name: fields[name] for name in FILTERS if fields.get(name)})
    return _ids(pairs), None


def _hidden(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The selection, for the form of the next step."""
    fields = dict(pairs)
    if fields.get("everybody") == "yes":
        return [("everybody", "yes"), *((name, fields.get(name, "")[: service.MOST_QUERY]) for name in FILTERS)]
    return [("user", str(each)) for each in _ids(pairs)]


def _offered(desk: Desk) -> list[tuple[str, str]]:
    return [(each.value, desk.say(name)) for each, name in NAMES.items() if service.may(desk.known.me.role, each, None)]


def _roles(desk: Desk) -> list[tuple[str, str]]:
    mine = desk.known.me.role
    return [(role.value, desk.say(name)) for role, name in ROLE_NAMES.items() if service.may(mine, Action.SET_ROLE, role)]


def _named(desk: Desk, action: str, role: str | None) -> str:
    name = desk.say(NAMES[Action(action)])
    return f"{name}: {desk.say(ROLE_NAMES[ROLES[role]])}" if role else name


def _words(desk: Desk, words: Mapping[str, str]) -> dict[str, str]:
    return {code: desk.say(text) for code, text in words.items()}


async def _preview(desk: Desk, wanted: Wanted) -> Preview:
    async with desk.server.database.read() as db:
        return await service.preview(db, desk.server.kit(BulkKit), wanted)


async def _confirm(desk: Desk, pairs: Sequence[tuple[str, str]], error: AppError | None = None) -> Response:
    wanted = _wanted(pairs)
    shown = await _preview(desk, wanted or Wanted(Action.ENABLE, None, *_selected(pairs)))
    values: dict[str, Any] = {
        "found": shown,
        "hidden": _hidden(pairs),
        "wanted": wanted,
        "named": _named(desk, wanted.action, wanted.role) if wanted else "",
        "actions": _offered(desk),
        "roles": _roles(desk),
    }
    return desk.refused("bulk_new", {}, error, **values) if error else desk.show("bulk_new", **values)


@pages.get("")
async def list_bulk(desk: Annotated[Desk, At("users:write")]) -> Response:
    """Those of the last thirty days."""
    kit, cursor = desk.server.kit(BulkKit), desk.request.query_params.get("cursor")
    async with desk.server.database.read() as db:
        try:
            page = await service.list_actions(db, kit, cursor, PAGE_SIZE)
        except CursorInvalid:
            page = await service.list_actions(db, kit, None, PAGE_SIZE)
    items = [(each, _named(desk, each.action, each.role)) for each in page.items]
    return desk.show("bulk_list", items=items, next_cursor=page.next_cursor, states=_words(desk, STATES))


@pages.post("/new")
async def choose(desk: Annotated[Desk, At("users:write", harm=True)], pairs: FormChoices) -> Response:
    """What to do with those who were chosen; once that is said, for whom it is and what it is, to be confirmed."""
    return await _confirm(desk, pairs)


@pages.post("")
async def start(desk: Annotated[Desk, At("users:write", harm=True)], pairs: FormChoices, now: Now) -> Response:
    """Begin it."""
    wanted = _wanted(pairs)
    if wanted is None or (wanted.filters is None and not wanted.ids):
        return await _confirm(desk, pairs)
    try:
        async with desk.server.database.write() as db:
            action = await service.start(db, desk.known, wanted, now)
    except BulkBusy as error:
        return await _confirm(desk, pairs, error)
    return desk.go(f"{PATH}/{action.id}", "bulk-started")


@pages.get("/{bulk_id}")
async def look(bulk_id: uuid.UUID, desk: Annotated[Desk, At("users:write")]) -> Response:
    """How far it is, and what was not done and why."""
    return await _shown(desk, bulk_id)


async def _shown(desk: Desk, bulk_id: uuid.UUID, error: AppError | None = None) -> Response:
    async with desk.server.database.read() as db:
        found = await service.look(db, bulk_id)
        names = await service.names_of(db, found.not_done)
    action = found.action
    values = _state(desk, action) | {
        "reasons": found.reasons,
        "not_done": [(names.get(item.user_id, ""), item) for item in found.not_done],
        "may_act": service.may(desk.known.me.role, Action(action.action), ROLES.get(action.role or "")),
    }
    return desk.refused("bulk", {}, error, **values) if error else desk.show("bulk", **values)


def _state(desk: Desk, action: BulkAction) -> dict[str, Any]:
    return {
        "action": action,
        "named": _named(desk, action.action, action.role),
        "states": _words(desk, STATES),
        "why": _words(desk, REASONS),
        "moves": action.state in {"collecting", "running"},
    }


@pages.get("/{bulk_id}/progress")
async def progress(bulk_id: uuid.UUID, desk: Annotated[Desk, At("users:write", polls=True)]) -> Response:
    """The part of the page that changes; once nothing moves any more the whole page is asked for."""
    async with desk.server.database.read() as db:
        action = await service.get(db, bulk_id)
    values = _state(desk, action)
    shown = desk.show("bulk_progress", **values)
    if not values["moves"]:
        shown.headers["HX-Refresh"] = "true"
    return shown


@pages.post("/{bulk_id}/stop")
async def stop(bulk_id: uuid.UUID, desk: Annotated[Desk, At("users:write")], _fields: FormFields, now: Now) -> Response:
    """Nothing more, until it is resumed."""
    try:
        async with desk.server.database.write() as db:
            await service.stop(db, desk.known, bulk_id, now)
    except BulkNotStoppable as error:
        return await _shown(desk, bulk_id, error)
    return desk.go(f"{PATH}/{bulk_id}", "bulk-stopped")


@pages.post("/{bulk_id}/resume")
async def resume(
    bulk_id: uuid.UUID, desk: Annotated[Desk, At("users:write", harm=True)], _fields: FormFields, now: Now
) -> Response:
    """Go on with what is left, in the name of who says so."""
    try:
        async with desk.server.database.write() as db:
            await service.resume(db, desk.known, bulk_id, now)
    except (BulkNotResumable, BulkBusy) as error:
        return await _shown(desk, bulk_id, error)
    return desk.go(f"{PATH}/{bulk_id}", "bulk-resumed")
