"""/users/{user_id}/sessions and lockouts, /lockouts: for staff."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Response

from app.auth import staff
from app.auth.deps import Auth
from app.auth.devices import Devices
from app.auth.errors import SessionNotFound
from app.auth.schemas import LockoutOut, SessionOut, StopOut
from app.core.caller import Caller, May
from app.core.deps import Db, DbRead, Now
from app.core.device_names import load_names
from app.core.errors import Forbidden, Invalid, Unauthenticated
from app.core.problems import refusals
from app.users.errors import UserNotFound

router = APIRouter(tags=["users"])
STAFF_ONLY = (Unauthenticated, Forbidden, Invalid)
MayRead = Annotated[Caller, May("users:read")]
MayWrite = Annotated[Caller, May("users:write")]


@router.get("/users/{user_id}/sessions", summary="Somebody's sessions", responses=refusals(*STAFF_ONLY, UserNotFound))
async def list_sessions_of(user_id: uuid.UUID, caller: MayRead, db: DbRead, devices: Devices, now: Now) -> list[SessionOut]:
    """Where a person is signed in, newest first."""
    name = await load_names()
    found = await staff.list_sessions(db, user_id, now)
    return [
        SessionOut.of(each, caller.session_id, name(each.user_agent), devices.place_of(each, caller.me.locale)) for each in found
    ]


@router.delete(
    "/users/{user_id}/sessions",
    status_code=204,
    response_class=Response,
    summary="End somebody's sessions",
    responses=refusals(*STAFF_ONLY, UserNotFound),
)
async def end_sessions_of(user_id: uuid.UUID, caller: MayWrite, db: Db, now: Now) -> None:
    """End all of a person's sessions. Every browser has to give the second factor again."""
    await staff.end_sessions(db, caller, user_id, now)


@router.delete(
    "/users/{user_id}/sessions/{session_id}",
    status_code=204,
    response_class=Response,
    summary="End one of somebody's sessions",
    responses=refusals(*STAFF_ONLY, UserNotFound, SessionNotFound),
)
async def end_session_of(user_id: uuid.UUID, session_id: uuid.UUID, caller: MayWrite, db: Db, now: Now) -> None:
    """End one of a person's sessions."""
    await staff.end_session(db, caller, user_id, session_id, now)


@router.get("/users/{user_id}/lockouts", summary="Somebody's failed tries", responses=refusals(*STAFF_ONLY, UserNotFound))
async def list_lockouts_of(user_id: uuid.UUID, _caller: MayRead, db: DbRead, auth: Auth, now: Now) -> list[LockoutOut]:
    """What failed of late for a person's name, address, account and second proofs, and until when that stops the next try."""
    found = await staff.list_lockouts(db, auth, user_id, now)
    return [LockoutOut.model_validate(each) for each in found]


@router.delete(
    "/users/{user_id}/lockouts",
    status_code=204,
    response_class=Response,
    summary="Let somebody try again",
    responses=refusals(*STAFF_ONLY, UserNotFound),
)
async def lift_lockouts_of(user_id: uuid.UUID, caller: MayWrite, db: Db, auth: Auth, now: Now) -> None:
    """Forget a person's failed tries: the next may be made at once."""
    await staff.lift_lockouts(db, auth, caller, user_id, now)


@router.get("/lockouts", summary="Accounts that are stopped", responses=refusals(Unauthenticated, Forbidden))
async def list_stops(_caller: MayRead, db: DbRead, auth: Auth, now: Now) -> list[StopOut]:
    """The accounts with which strangers get nowhere after fifty failures in a row; the newest hundred."""
    return [StopOut.of(each) for each in await staff.list_stops(db, auth, now)]
