"""The audit log: what happened, by whom, to whom; followed while it grows, and taken along."""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.face import At, Desk
from app.audit import export, following, reading, service
from app.audit.facts import Fact
from app.audit.following import Place
from app.audit.search_repository import Sought
from app.audit.words import words_of
from app.core.caller import holds_still
from app.core.crypto import derive_key
from app.core.deps import Now
from app.core.device_names import load_names
from app.core.i18n import N_
from app.core.limits import Limited
from app.core.paging import CursorInvalid
from app.core.permissions import Permission
from app.users import service as users

pages = APIRouter(prefix="/admin/audit", include_in_schema=False)
PATH = "/admin/audit"
PAGE_SIZE = 50
TAIL_SIZE = 50
MAX_ADDRESS = 64
POSITION = re.compile(r"[0-9]{1,18}", re.ASCII)  # of 63 bits
SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)  # of the years before 5139
FACTS = {fact.value: fact for fact in Fact}
NAMES = ("fact", "actor", "subject", "address", "since", "until")
FAULTS = {
    "fact": N_("There is no such event."),
    "actor": N_("Who did it: give the id of an account."),
    "subject": N_("Whom it is about: give the id of an account."),
    "address": N_("Give an address as it is recorded."),
    "since": N_("Give a day and a time, in UTC."),
    "until": N_("Give a day and a time, in UTC."),
}
Reader = Annotated[Desk, At("audit:read")]


@dataclass(frozen=True, slots=True)
class Shown:
    """A row as the page tells it."""

    row: Any
    words: str
    actor: str | None
    subject: str | None
    impersonator: str | None
    device: str
    changes: list[tuple[str, str]]


def asked_for(params: Mapping[str, str]) -> dict[str, str]:
    """What a search's address says, as far as it says something; what can't be read is kept, to be shown with its fault."""
    return {name: params[name].strip()[:MAX_ADDRESS] for name in NAMES if params.get(name, "").strip()}


def read(asked: Mapping[str, str]) -> tuple[Sought, dict[str, str]]:
    """What is sought, and the names of fields that can't be read with what is wrong with them."""
    wrong: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, text in asked.items():
        try:
            values[name] = READERS[name](text)
        except (KeyError, ValueError, OverflowError):  # the last: a moment that is none of the years 1 to 9999 in UTC
            wrong[name] = name
    fact = values.pop("fact", None)
    return Sought(facts=(fact,) if fact else (), **values), wrong


def _moment(text: str) -> datetime:
    """A moment in UTC, as the field for one gives it."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _address(text: str) -> str:
    if not text.isprintable():
        raise ValueError(text)
    return text


READERS: dict[str, Callable[[str], Any]] = {
    "fact": FACTS.__getitem__,
    "actor": uuid.UUID,
    "subject": uuid.UUID,
    "address": _address,
    "since": _moment,
    "until": _moment,
}


async def shown_of(desk: Desk, rows: Sequence[Any]) -> list[Shown]:
    """Rows with names of people and devices."""
    ids = {each for row in rows for each in (row.actor_id, row.subject_id, row.impersonator_id) if each is not None}
    async with desk.server.database.read() as db:
        names = await users.find_names(db, ids)
    device = await load_names()
    return [
        Shown(
            row,
            words_of(row.fact, desk.locale),
            names.get(row.actor_id),
            names.get(row.subject_id),
            names.get(row.impersonator_id),
            device(row.user_agent).in_language(desk.locale) if row.user_agent else "",
            [(name, str(value)) for name, value in sorted({**row.data, **(row.personal or {})}.items())],
        )
        for row in rows
    ]


@pages.get("")
async def show_log(desk: Reader, now: Now) -> Response:
    """A page of it, newest first."""
    params = desk.request.query_params
    asked = asked_for(params)
    sought, wrong = read(asked)
    key = derive_key(desk.server.settings.SECRET_KEY.get_secret_value(), "cursor")
    async with desk.server.database.read() as db:
        place = await following.begin(db, now)
        try:
            events = await reading.list_events(db, key, sought, params.get("cursor"), PAGE_SIZE)
        except CursorInvalid:  # of another search, or an address that was cut: from the beginning
            events = await reading.list_events(db, key, sought, None, PAGE_SIZE)
    query = urlencode(asked)
    further = urlencode({**asked, "cursor": events.next_cursor}) if events.next_cursor else None
    return desk.show(
        "audit",
        desk.form(asked, {name: desk.say(FAULTS[name]) for name in wrong}),
        status=422 if wrong else 200,
        events=await shown_of(desk, events.items),
        asked={**dict.fromkeys(NAMES, ""), **asked},
        facts=[(fact.value, words_of(fact.value, desk.locale)) for fact in Fact],
        first=f"{PATH}?{query}" if params.get("cursor") else None,
        following=f"{PATH}?{further}" if further else None,
        tail=_tail(asked, following.having_shown(place, events.items)) if not params.get("cursor") and not wrong else None,
    )


@pages.get("/tail")
async def follow_log(desk: Annotated[Desk, At("audit:read", polls=True)]) -> Response:
    """What came since, and where to ask on."""
    params = desk.request.query_params
    asked = asked_for(params)
    sought, _ = read(asked)
    async with desk.server.database.read() as db:
        rows, place = await following.follow(db, sought, _place(params), TAIL_SIZE)
    return desk.show("audit_tail", events=await shown_of(desk, [*reversed(rows)]), tail=_tail(asked, place))


def _tail(asked: Mapping[str, str], place: Place) -> str:
    """Where to ask for what comes behind a place."""
    ahead = ".".join(str(each) for each in sorted(place.ahead))
    return f"{PATH}/tail?{urlencode({**asked, 'after': place.position, 'from': place.since, 'seen': ahead})}"


def _place(params: Mapping[str, str]) -> Place:
    """What such an address says; of what can't be read, nothing."""
    after, since = params.get("after", ""), params.get("from", "")
    ahead = params.get("seen", "").split(".")[: following.MOST_AHEAD]
    return Place(
        int(after) if POSITION.fullmatch(after) else 0,
        int(since) if SECONDS.fullmatch(since) else 0,
        frozenset(int(each) for each in ahead if POSITION.fullmatch(each)),
    )


@pages.get("/export", dependencies=[Limited("export")])
async def export_log(request: Request, desk: Annotated[Desk, At("audit:read", harm=True)], now: Now) -> Response:
    """The flow of GET /audit/export."""
    caller, asked = desk.known, asked_for(desk.request.query_params)
    kind = export.TABLE if desk.request.query_params.get("format") == export.TABLE else export.LINES
    sought, wrong = read(asked)
    if wrong:
        return desk.go(PATH, **asked)
    async with desk.server.database.write() as db:
        await service.record_export(db, caller, kind, sought, now)
        vouched = await export.vouch(desk.server, db, sought, kind, now)
    allowed = holds_still(desk.server, caller, Permission.AUDIT_READ)
    return export.answer(request, export.write(desk.server.database, sought, kind, allowed, vouched), kind, now)
