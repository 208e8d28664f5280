"""Jobs: what waits, runs, was given up; one of them tried now or discarded, from the page that says what that means."""

import uuid
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from app.admin.face import At, Desk
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.errors import AppError
from app.core.i18n import N_
from app.core.paging import CursorInvalid
from app.jobs import service as jobs
from app.jobs.models import State
from app.work import service
from app.work.deps import WorkKit
from app.work.errors import JobNotFound, JobRunning

pages = APIRouter(prefix="/admin/jobs", include_in_schema=False)
PATH = "/admin/jobs"
PAGE_SIZE = 50
MAX_KIND = 64
STATES = {State.QUEUED: N_("Waits"), State.RUNNING: N_("Runs"), State.DEAD: N_("Given up")}


def _states(desk: Desk) -> dict[str, str]:
    return {state.value: desk.say(name) for state, name in STATES.items()}


@pages.get("")
async def list_jobs(desk: Annotated[Desk, At("jobs:read")], now: Now) -> Response:
    """How many there are of each kind, and a page of them."""
    params, kit = desk.request.query_params, desk.server.kit(WorkKit)
    kind = params.get("kind", "")[:MAX_KIND]
    state = State(params["state"]) if params.get("state") in set(State) else None
    asked = {name: value for name, value in (("kind", kind), ("state", state.value if state else "")) if value}
    async with desk.server.database.read() as db:
        counts = await jobs.count_by_kind(db, now)
        try:
            page = await service.list_jobs(db, kit, kind, state, params.get("cursor"), PAGE_SIZE, now)
        except CursorInvalid:  # of another search, or an address that was cut: from the beginning
            page = await service.list_jobs(db, kit, kind, state, None, PAGE_SIZE, now)
    following = urlencode({**asked, "cursor": page.next_cursor}) if page.next_cursor else None
    return desk.show(
        "jobs",
        items=page.items,
        counts=counts,
        asked={"kind": kind, "state": asked.get("state", "")},
        states=_states(desk),
        following=f"{PATH}?{following}" if following else None,
    )


async def _shown(desk: Desk, job_id: uuid.UUID, now: datetime, error: AppError | None = None) -> Response:
    async with desk.server.database.read() as db:
        job = await service.get(db, job_id, now)
    said = [(name, str(value)) for name, value in sorted(job.payload.items()) if not isinstance(value, dict)]
    said += [
        (f"{name}.{key}", str(each))
        for name, value in sorted(job.payload.items())
        if isinstance(value, dict)
        for key, each in sorted(value.items())
    ]
    values: dict[str, Any] = {"job": job, "said": said, "states": _states(desk)}
    return desk.refused("job", {}, error, **values) if error else desk.show("job", **values)


@pages.get("/{job_id}")
async def look(job_id: uuid.UUID, desk: Annotated[Desk, At("jobs:read")], now: Now) -> Response:
    """One, and what can be done to it."""
    return await _shown(desk, job_id, now)


@pages.post("/{job_id}/retry")
async def retry(job_id: uuid.UUID, desk: Annotated[Desk, At("jobs:write")], _fields: FormFields, now: Now) -> Response:
    """Have it tried now."""
    try:
        async with desk.server.database.write() as db:
            await service.retry(db, desk.known, job_id, now)
    except JobNotFound:  # done meanwhile
        return desk.go(PATH, "job-gone")
    except JobRunning as error:
        return await _shown(desk, job_id, now, error)
    return desk.go(PATH, "job-retried")


@pages.post("/{job_id}/discard")
async def discard(
    job_id: uuid.UUID, desk: Annotated[Desk, At("jobs:write", harm=True)], _fields: FormFields, now: Now
) -> Response:
    """Forget it, undone."""
    try:
        async with desk.server.database.write() as db:
            await service.discard(db, desk.known, job_id, now)
    except JobNotFound:
        return desk.go(PATH, "job-gone")
    except JobRunning as error:
        return await _shown(desk, job_id, now, error)
    return desk.go(PATH, "job-discarded")
