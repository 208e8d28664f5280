"""/users/bulk, for staff."""

import uuid
from typing import Annotated

from fastapi import APIRouter

from app.bulk import service
from app.bulk.deps import Bulk
from app.bulk.errors import BulkBusy, BulkNotFound, BulkNotResumable, BulkNotStoppable
from app.bulk.models import BulkAction
from app.bulk.schemas import BulkDetailOut, BulkIn, BulkOut, BulkPageOut, NotDoneOut, ReasonOut
from app.core.caller import Caller, May
from app.core.deps import Db, DbRead, Now
from app.core.errors import Forbidden, Invalid, ProofTooOld, Unauthenticated
from app.core.paging import CursorText, Limit
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY

router = APIRouter(prefix="/users/bulk", tags=["users"], dependencies=[JSON_ONLY])
Writer = Annotated[Caller, May("users:write")]
FreshWriter = Annotated[Caller, May("users:write", fresh=True)]
STAFF = (Unauthenticated, Forbidden, Invalid)


@router.post(
    "",
    status_code=201,
    response_model=BulkOut,
    summary="Act on many accounts",
    responses=refusals(*STAFF, ProofTooOld, *JSON_BODY, BulkBusy),
)
async def start_bulk(body: BulkIn, caller: FreshWriter, db: Db, now: Now) -> BulkAction:
    """Begin an action on many accounts; a worker does it, one account after the other. Needs a fresh proof."""
    return await service.start(db, caller, body.wanted(), now)


@router.get("", summary="List bulk actions", responses=refusals(*STAFF))
async def list_bulk(_caller: Writer, db: DbRead, kit: Bulk, limit: Limit = 50, cursor: CursorText = None) -> BulkPageOut:
    """A page of bulk actions of the last thirty days, newest first."""
    page = await service.list_actions(db, kit, cursor, limit)
    return BulkPageOut(items=[BulkOut.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/{bulk_id}", summary="One bulk action", responses=refusals(*STAFF, BulkNotFound))
async def look_at_bulk(bulk_id: uuid.UUID, _caller: Writer, db: DbRead) -> BulkDetailOut:
    """How far it is, and what was not done and why."""
    found = await service.look(db, bulk_id)
    return BulkDetailOut(
        **BulkOut.model_validate(found.action).model_dump(),
        reasons=[ReasonOut.model_validate(each) for each in found.reasons],
        not_done=[NotDoneOut.model_validate(item) for item in found.not_done],
    )


@router.post(
    "/{bulk_id}/stop",
    response_model=BulkOut,
    summary="Stop a bulk action",
    responses=refusals(*STAFF, BulkNotFound, BulkNotStoppable),
)
async def stop_bulk(bulk_id: uuid.UUID, caller: Writer, db: Db, now: Now) -> BulkAction:
    """Nothing more is done, until it is resumed. What was done stays."""
    return await service.stop(db, caller, bulk_id, now)


@router.post(
    "/{bulk_id}/resume",
    response_model=BulkOut,
    summary="Resume a bulk action",
    responses=refusals(*STAFF, ProofTooOld, BulkNotFound, BulkBusy, BulkNotResumable),
)
async def resume_bulk(bulk_id: uuid.UUID, caller: FreshWriter, db: Db, now: Now) -> BulkAction:
    """Go on with what is left, in the name of the caller. Needs a fresh proof."""
    return await service.resume(db, caller, bulk_id, now)
