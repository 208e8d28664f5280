"""/jobs, for staff."""

import uuid
from typing import Annotated

from fastapi import APIRouter

from app.core.caller import Caller, May
from app.core.deps import Db, DbRead, Now
from app.core.errors import Forbidden, Invalid, ProofTooOld, Unauthenticated
from app.core.paging import CursorText, Limit
from app.core.problems import refusals
from app.work import service
from app.work.deps import Work
from app.work.errors import JobNotFound, JobRunning
from app.work.schemas import JobOut, JobPageOut, Kind, Stage

router = APIRouter(prefix="/jobs", tags=["jobs"])
STAFF = (Unauthenticated, Forbidden, Invalid)


@router.get("", summary="List jobs", responses=refusals(*STAFF))
async def list_jobs(
    _caller: Annotated[Caller, May("jobs:read")],
    db: DbRead,
    kit: Work,
    now: Now,
    kind: Kind = None,
    state: Stage = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> JobPageOut:
    """A page of what is to be done later, or was given up; newest first."""
    page = await service.list_jobs(db, kit, kind, state, cursor, limit, now)
    return JobPageOut(items=[JobOut.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.post(
    "/{job_id}/retry", response_model=JobOut, summary="Try a job now", responses=refusals(*STAFF, JobNotFound, JobRunning)
)
async def retry_job(job_id: uuid.UUID, caller: Annotated[Caller, May("jobs:write")], db: Db, now: Now) -> service.Shown:
    """Have it tried at once, also one that was given up."""
    return await service.retry(db, caller, job_id, now)


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Discard a job",
    responses=refusals(*STAFF, ProofTooOld, JobNotFound, JobRunning),
)
async def discard_job(job_id: uuid.UUID, caller: Annotated[Caller, May("jobs:write", fresh=True)], db: Db, now: Now) -> None:
    """Forget it, undone. Needs a fresh proof."""
    await service.discard(db, caller, job_id, now)
