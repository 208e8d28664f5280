"""GET /audit/events and /audit/export: the log, for who has `audit:read`."""

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, AwareDatetime
from starlette.responses import StreamingResponse

from app.audit import export, reading, service
from app.audit.facts import Fact
from app.audit.schemas import EventOut, EventPageOut
from app.audit.search_repository import Sought
from app.core.caller import Caller, May, holds_still, see_fresh
from app.core.crypto import derive_key
from app.core.deps import Db, DbRead, Now, ServerOf
from app.core.device_names import load_names
from app.core.errors import Forbidden, Invalid, ProofTooOld, ProofTooWeak, Unauthenticated
from app.core.limits import Limited
from app.core.paging import CursorText, Limit
from app.core.permissions import Permission
from app.core.problems import refusals
from app.core.wire import plain_text

router = APIRouter(prefix="/audit", tags=["audit"])
READERS = (Unauthenticated, Forbidden, Invalid)
Moment = Annotated[AwareDatetime | None, Query(description="ISO 8601 with an offset, such as 2026-11-23T12:00:00Z")]


def _plain(value: str | None) -> str | None:
    return plain_text(value) if value else None


AddressText = Annotated[str | None, Query(max_length=64, description="Exactly as recorded"), AfterValidator(_plain)]


def sought_of(
    fact: Annotated[list[Fact] | None, Query(max_length=20, description="One of these; give it again for another")] = None,
    actor: Annotated[uuid.UUID | None, Query(description="Who did it")] = None,
    subject: Annotated[uuid.UUID | None, Query(description="Whom it is about")] = None,
    address: AddressText = None,
    since: Moment = None,
    until: Moment = None,
) -> Sought:
    """What of the log somebody wants."""
    return Sought(tuple(dict.fromkeys(fact or ())), actor, subject, address or None, since, until)


Asked = Annotated[Sought, Depends(sought_of)]
Reader = Annotated[Caller, May("audit:read")]


@router.get("/events", summary="List security events", responses=refusals(*READERS))
async def list_events(
    _caller: Reader, db: DbRead, server: ServerOf, sought: Asked, limit: Limit = 50, cursor: CursorText = None
) -> EventPageOut:
    """Security events, newest first. A page may be short while `next_cursor` leads on: a request looks at so many rows only."""
    key = derive_key(server.settings.SECRET_KEY.get_secret_value(), "cursor")
    events = await reading.list_events(db, key, sought, cursor, limit)
    name = await load_names()
    items = [EventOut(**told(row), device=str(name(row.user_agent)) if row.user_agent else "") for row in events.items]
    return EventPageOut(items=items, next_cursor=events.next_cursor)


def told(row: Any) -> dict[str, Any]:
    """A row as readers get it."""
    columns = (name for name in EventOut.model_fields if name not in {"device", "data"})
    return {name: getattr(row, name) for name in columns} | {"data": {**row.data, **(row.personal or {})}}


@router.get(
    "/export",
    response_class=StreamingResponse,
    summary="Take the log along",
    responses={
        200: {"content": {"application/jsonl": {}, "text/csv": {}}, "description": "All that match and are sealed, oldest first"},
        **refusals(*READERS, ProofTooOld, ProofTooWeak),
    },
    dependencies=[Limited("export")],
)
async def export_events(
    request: Request,
    caller: Reader,
    server: ServerOf,
    now: Now,
    sought: Asked,
    db: Db,
    kind: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl",
) -> StreamingResponse:
    """The log in JSON Lines, which `python -m app audit verify` can read, or CSV. Wants a fresh proof; is recorded itself.

    It goes on as long as the caller may read: one that was cut off has no end.
    """
    await see_fresh(server, caller, now)
    await service.record_export(db, caller, kind, sought, now)
    allowed = holds_still(server, caller, Permission.AUDIT_READ)
    vouched = await export.vouch(server, db, sought, kind, now)
    return export.answer(request, export.write(server.database, sought, kind, allowed, vouched), kind, now)
