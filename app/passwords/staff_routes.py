"""POST /users/ and /users/{user_id}/password-reset: for staff."""

import uuid
from typing import Annotated

from fastapi import APIRouter

from app.auth.deps import Auth
from app.auth.errors import PasswordRejected
from app.core.caller import Caller, May, see_fresh
from app.core.deps import Db, Now, ServerOf, Transactions
from app.core.errors import Forbidden, Invalid, Overloaded, ProofTooOld, ProofTooWeak, Unauthenticated
from app.core.permissions import is_staff
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.passwords import staff
from app.passwords.schemas import CreateUserIn, ResetSentOut
from app.users.errors import AccountClosed, EmailTaken, UsernameTaken, UserNotFound
from app.users.models import User
from app.users.schemas import UserDetailOut

router = APIRouter(prefix="/users", tags=["users"], dependencies=[JSON_ONLY])
MayWrite = Annotated[Caller, May("users:write")]


@router.post(
    "/",
    status_code=201,
    response_model=UserDetailOut,
    summary="Make an account",
    responses=refusals(
        Unauthenticated, ProofTooOld, ProofTooWeak, Forbidden, *JSON_BODY, UsernameTaken, EmailTaken, PasswordRejected, Overloaded
    ),
)
async def create_user(
    body: CreateUserIn, caller: MayWrite, server: ServerOf, database: Transactions, auth: Auth, now: Now
) -> User:
    """Make an account. Without `password` the person is mailed a link to choose one, good for seven days.

    A role of staff takes a fresh proof, as giving it later does.
    """
    if is_staff(body.role):
        await see_fresh(server, caller, now)
    return await staff.create_account(
        database, auth, caller, body.username, body.email, body.role, body.password, now, locale=body.locale
    )


@router.post(
    "/{user_id}/password-reset",
    status_code=202,
    summary="Mail somebody a reset link",
    responses=refusals(Unauthenticated, Forbidden, Invalid, UserNotFound, AccountClosed),
)
async def send_reset(user_id: uuid.UUID, caller: MayWrite, db: Db, now: Now) -> ResetSentOut:
    """Have a reset link mailed to the account's address. Password and sessions stay as they are until it is used."""
    await staff.send_reset(db, caller, user_id, now)
    return ResetSentOut()
