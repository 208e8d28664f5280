"""/users/: accounts, for staff."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator

from app.core.caller import Caller, May
from app.core.crypto import derive_key
from app.core.deps import Db, DbRead, Now, ServerOf
from app.core.errors import Forbidden, Invalid, ProofTooOld, ProofTooWeak, Unauthenticated
from app.core.paging import CursorText, Limit
from app.core.permissions import Role
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY, plain_text
from app.users import service
from app.users.errors import LastAdmin, UserNotFound
from app.users.models import User
from app.users.names import name_key
from app.users.repository import Filters
from app.users.schemas import RoleIn, StatusIn, UserDetailOut, UserPageOut

router = APIRouter(prefix="/users", tags=["users"], dependencies=[JSON_ONLY])
Sort = Literal["created_at", "username", "email", "-created_at", "-username", "-email"]
Beginning = Annotated[str | None, Query(max_length=254, description="Literal beginning of username or address")]
STAFF_ONLY = (Unauthenticated, Forbidden, Invalid)
FRESH = (ProofTooOld, ProofTooWeak)
MayRead = Annotated[Caller, May("users:read")]
MayWrite = Annotated[Caller, May("users:write")]
MayGiveRoles = Annotated[Caller, May("users:roles", fresh=True)]
MayDelete = Annotated[Caller, May("users:delete", fresh=True)]


@router.get("/", summary="List accounts", responses=refusals(*STAFF_ONLY))
async def list_users(
    _caller: MayRead,
    db: DbRead,
    server: ServerOf,
    limit: Limit = 50,
    cursor: CursorText = None,
    q: Annotated[Beginning, AfterValidator(lambda value: plain_text(value) if value else value)] = None,
    role: Role | None = None,
    active: Annotated[bool | None, Query()] = None,
    sort: Sort = "created_at",
) -> UserPageOut:
    """A page of accounts; `next_cursor` leads to the next one, and stays good while accounts come and go."""
    key = derive_key(server.settings.SECRET_KEY.get_secret_value(), "cursor")
    filters = Filters(name_key(q) if q else None, role, active)
    page = await service.list_users(db, key, filters, sort, cursor, limit)
    return UserPageOut(
        items=[UserDetailOut.model_validate(user) for user in page.items],
        next_cursor=page.next_cursor,
        total=page.total,
        total_capped=page.total_capped,
    )


@router.get("/{user_id}", response_model=UserDetailOut, summary="One account", responses=refusals(*STAFF_ONLY, UserNotFound))
async def get_user(user_id: uuid.UUID, _caller: MayRead, db: DbRead) -> User:
    """One account."""
    return await service.get_user(db, user_id)


@router.put(
    "/{user_id}/role",
    response_model=UserDetailOut,
    summary="Give a role",
    responses=refusals(*STAFF_ONLY, *FRESH, *JSON_BODY, UserNotFound, LastAdmin),
)
async def set_role(user_id: uuid.UUID, body: RoleIn, caller: MayGiveRoles, db: Db, now: Now) -> User:
    """Give an account a role. A change ends the person's sessions at once. Needs a fresh proof."""
    return await service.set_role(db, caller, user_id, body.role, now)


@router.put(
    "/{user_id}/status",
    response_model=UserDetailOut,
    summary="Enable or disable",
    responses=refusals(*STAFF_ONLY, *JSON_BODY, UserNotFound, LastAdmin),
)
async def set_status(user_id: uuid.UUID, body: StatusIn, caller: MayWrite, db: Db, now: Now) -> User:
    """Allow or forbid an account to be used. Disabling ends the person's sessions at once."""
    return await service.set_active(db, caller, user_id, now, active=body.active)


@router.delete(
    "/{user_id}",
    status_code=204,
    response_class=Response,
    summary="Delete an account",
    responses=refusals(*STAFF_ONLY, *FRESH, UserNotFound, LastAdmin),
)
async def delete_user(user_id: uuid.UUID, caller: MayDelete, db: Db, now: Now) -> None:
    """Delete an account. The person's sessions end at once. Needs a fresh proof."""
    await service.delete_user(db, caller, user_id, now)
