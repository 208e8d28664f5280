"""Recent activity: what happened to one's own account, for people who want to see whether it was they."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from app.account.face import SECURITY, Face, Own
from app.audit import personal
from app.audit.words import words_of
from app.core.device_names import load_names
from app.core.i18n import N_

pages = APIRouter(prefix=SECURITY, include_in_schema=False)
FEW, PAGE_SIZE = 5, 30
MOST_DIGITS = 18
BY = {"somebody else": N_("by an admin"), "nobody known": N_("by somebody who was not signed in")}


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of it."""

    id: int
    at: datetime
    words: str
    device: str
    address: str
    by: str


async def list_happenings(face: Face, user_id: uuid.UUID, before: int | None, limit: int) -> list[Happening]:
    """The newest of an account's events before an id, in the reader's language."""
    async with face.server.database.read() as db:
        events = await personal.list_own(db, user_id, before, limit)
    name = await load_names()
    return [
        Happening(
            event.id,
            event.at,
            words_of(event.fact, face.locale),
            name(event.user_agent).in_language(face.locale) if event.user_agent else "",
            event.address,
            face.say(N_("by support, in your place")) if event.impersonated else face.say(BY.get(event.by, "")),
        )
        for event in events
    ]


@pages.get("/activity")
async def show_activity(face: Own) -> Response:
    """All of it, page by page."""
    asked = face.request.query_params.get("before", "")
    before = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= MOST_DIGITS else None
    found = await list_happenings(face, face.known.me.id, before, PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    return face.show(
        "activity", happenings=shown, following=shown[-1].id if len(found) > PAGE_SIZE else None, first=before is not None
    )
