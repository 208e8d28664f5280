"""PATCH /users/{user_id} and /users/{user_id}/verify-email: for staff."""

import uuid
from typing import Annotated

from fastapi import APIRouter

from app.core.caller import Caller, May
from app.core.deps import Db, Now
from app.core.errors import Forbidden, Invalid, ProofTooOld, ProofTooWeak, Unauthenticated
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.users.errors import EmailTaken, UsernameTaken, UserNotFound
from app.users.models import User
from app.users.schemas import UserDetailOut
from app.verification import staff
from app.verification.schemas import EditUserIn

router = APIRouter(prefix="/users", tags=["users"], dependencies=[JSON_ONLY])


@router.patch(
    "/{user_id}",
    response_model=UserDetailOut,
    summary="Change somebody's account",
    responses=refusals(
        Unauthenticated, ProofTooOld, ProofTooWeak, Forbidden, *JSON_BODY, UserNotFound, UsernameTaken, EmailTaken
    ),
)
async def edit_user(
    user_id: uuid.UUID, body: EditUserIn, caller: Annotated[Caller, May("users:write", fresh=True)], db: Db, now: Now
) -> User:
    """Change username, address, display name or language. What is not named stays; null clears the latter two.

    Another address is not proved by it; the old one is told, and may undo it for seven days.
    """
    return await staff.edit(db, caller, user_id, body.changes(), now)


@router.post(
    "/{user_id}/verify-email",
    response_model=UserDetailOut,
    summary="Vouch for somebody's address",
    responses=refusals(Unauthenticated, Forbidden, Invalid, UserNotFound),
)
async def vouch(user_id: uuid.UUID, caller: Annotated[Caller, May("users:write")], db: Db, now: Now) -> User:
    """Have the account's address count as proved."""
    return await staff.vouch(db, caller, user_id, now)
