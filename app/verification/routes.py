"""/auth/verify-email and /auth/me/email."""

from fastapi import APIRouter, Response

from app.auth.deps import Auth
from app.core.caller import PUBLIC, Fresh
from app.core.client import ClientOf
from app.core.deps import Db, Now, ServerOf
from app.core.errors import ProofTooOld, TokenInvalid, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.tickets.service import TicketInvalid
from app.verification import changes, service
from app.verification.deps import Verification
from app.verification.schemas import (
    ChangeEmailIn,
    ChangeEmailOut,
    EmailTokenIn,
    ResendIn,
    ResentOut,
    VerifiedOut,
    VerifyEmailIn,
)

router = APIRouter(prefix="/auth", tags=["verification"], dependencies=[JSON_ONLY])


@router.post(
    "/verify-email",
    summary="Prove a mail address",
    dependencies=[PUBLIC, Limited("verify_email")],
    responses=refusals(TicketInvalid, *JSON_BODY, TooManyRequests),
)
async def verify_email(body: VerifyEmailIn, db: Db, kit: Verification, client: ClientOf, now: Now) -> VerifiedOut:
    """Spend a verification link or code. Makes the account, where registering waits for it. Signs nobody in."""
    if body.email is not None and body.code is not None:
        return VerifiedOut(username=await service.verify_by_code(db, kit, body.email, body.code, client, now))
    return VerifiedOut(username=await service.verify_by_link(db, kit, body.token or "", client, now))


@router.post(
    "/verify-email/resend",
    status_code=202,
    summary="Ask for the verification mail again",
    dependencies=[PUBLIC, Limited("resend")],
    responses=refusals(*JSON_BODY, TooManyRequests),
)
async def resend_verification(body: ResendIn, db: Db, server: ServerOf, kit: Verification, now: Now) -> ResentOut:
    """Have link and code mailed again, if this address waits to be proved. The answer is the same if it does not."""
    await service.ask_again(db, server.limits, kit, body.email, now)
    return ResentOut()


@router.post(
    "/me/email",
    status_code=202,
    summary="Change my mail address",
    dependencies=[Limited("change_email")],
    responses=refusals(Unauthenticated, TokenInvalid, ProofTooOld, *JSON_BODY, TooManyRequests),
)
async def change_email(
    body: ChangeEmailIn, caller: Fresh, db: Db, server: ServerOf, kit: Verification, now: Now
) -> ChangeEmailOut:
    """Have a link mailed to the new address. The address stays as it is until that is opened."""
    await changes.ask_change(db, server.limits, kit, caller, body.new_email, now)
    return ChangeEmailOut()


@router.post(
    "/me/email/confirm",
    status_code=204,
    response_class=Response,
    summary="Confirm a change of mail address",
    dependencies=[PUBLIC, Limited("confirm_email")],
    responses=refusals(TicketInvalid, *JSON_BODY, TooManyRequests),
)
async def confirm_email(body: EmailTokenIn, db: Db, kit: Verification, client: ClientOf, now: Now) -> None:
    """Swap the address by the link that came to the new one. The old one is told, and can undo it for 7 days."""
    await changes.confirm_change(db, kit, body.token, client, now)


@router.post(
    "/me/email/undo",
    status_code=204,
    response_class=Response,
    summary="Undo a change of mail address",
    dependencies=[PUBLIC, Limited("confirm_email")],
    responses=refusals(TicketInvalid, *JSON_BODY, TooManyRequests),
)
async def undo_email(body: EmailTokenIn, db: Db, auth: Auth, kit: Verification, client: ClientOf, now: Now) -> None:
    """Give the old address back. Ends every session, voids the password and mails a reset link."""
    await changes.undo_change(db, auth, kit, body.token, client, now)
