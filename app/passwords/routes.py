"""/auth/forgot-password, /auth/reset-password, /auth/change-password."""

from fastapi import APIRouter, Response

from app.auth.cookies import hand_over
from app.auth.deps import Auth
from app.auth.errors import PasswordRejected, PasswordWrong, TooManyTries
from app.auth.schemas import LoginOut
from app.auth.sessions import Pair
from app.core.caller import PUBLIC, Backed
from app.core.client import ClientOf
from app.core.deps import Db, Now, ServerOf, Transactions
from app.core.errors import CsrfRefused, Overloaded, ProofTooOld, TokenInvalid, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.passwords import service
from app.passwords.deps import Reset
from app.passwords.schemas import AcceptedOut, ChangePasswordIn, ForgotPasswordIn, ResetPasswordIn
from app.tickets.service import TicketInvalid

router = APIRouter(prefix="/auth", tags=["passwords"], dependencies=[JSON_ONLY])


@router.post(
    "/forgot-password",
    status_code=202,
    summary="Ask for a reset link",
    dependencies=[PUBLIC, Limited("forgot_password")],
    responses=refusals(*JSON_BODY, TooManyRequests),
)
async def forgot_password(
    body: ForgotPasswordIn, db: Db, server: ServerOf, reset: Reset, client: ClientOf, now: Now
) -> AcceptedOut:
    """Have a reset link mailed, if there is such an account: the answer is the same, at the same time, if there is none."""
    await service.request_reset(db, server.limits, reset, body.email, client, now)
    return AcceptedOut()


@router.post(
    "/reset-password",
    status_code=204,
    response_class=Response,
    summary="Reset the password by a link",
    dependencies=[PUBLIC, Limited("reset_password")],
    responses=refusals(TicketInvalid, *JSON_BODY, PasswordRejected, TooManyRequests, Overloaded),
)
async def reset_password(
    body: ResetPasswordIn, database: Transactions, kit: Auth, reset: Reset, client: ClientOf, now: Now
) -> None:
    """Set a new password by the token of a reset link. Ends every session, signs nobody in."""
    await service.reset_password(database, kit, reset, body.token, body.new_password, client, now)


@router.post(
    "/change-password",
    response_model=LoginOut,
    summary="Change my password",
    dependencies=[Limited("change_password")],
    responses=refusals(
        PasswordWrong,
        Unauthenticated,
        TokenInvalid,
        ProofTooOld,
        CsrfRefused,
        *JSON_BODY,
        PasswordRejected,
        TooManyRequests,
        TooManyTries,
        Overloaded,
    ),
)
async def change_password(
    body: ChangePasswordIn,
    response: Response,
    caller: Backed,
    database: Transactions,
    server: ServerOf,
    kit: Auth,
    now: Now,
) -> Pair:
    """Set a new password by the current one, after a fresh proof by a second factor where there is one.

    Every session before it ends; the answer is a new one.
    """
    pair = await service.change_password(database, kit, caller, body.current_password, body.new_password, now)
    return hand_over(response, server, pair, now, by_cookie=body.transport == "cookie")
