"""/users/invitations, for staff, and /auth/invitations/accept."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Response

from app.auth.deps import Auth
from app.auth.errors import PasswordRejected, RegistrationClosed
from app.core.caller import PUBLIC, Caller, May, see_fresh
from app.core.client import ClientOf
from app.core.deps import Db, DbRead, Now, ServerOf, Transactions
from app.core.errors import Forbidden, Invalid, Overloaded, ProofTooOld, ProofTooWeak, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.paging import CursorText, Limit
from app.core.permissions import is_staff
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.invitations import service
from app.invitations.deps import Invitations
from app.invitations.errors import InvitationNotFound
from app.invitations.models import Invitation
from app.invitations.schemas import AcceptInvitationIn, InvitationIn, InvitationOut, InvitationPageOut
from app.tickets.service import TicketInvalid
from app.users.errors import EmailTaken, UsernameTaken
from app.users.models import User
from app.users.schemas import UserOut

router = APIRouter(tags=["invitations"], dependencies=[JSON_ONLY])
STAFF_ONLY = (Unauthenticated, Forbidden)
MayInvite = Annotated[Caller, May("users:write")]
MayRead = Annotated[Caller, May("users:read")]


@router.post(
    "/users/invitations",
    status_code=201,
    response_model=InvitationOut,
    summary="Invite somebody",
    responses=refusals(*STAFF_ONLY, ProofTooOld, ProofTooWeak, RegistrationClosed, *JSON_BODY, EmailTaken),
)
async def invite(body: InvitationIn, caller: MayInvite, server: ServerOf, db: Db, kit: Invitations, now: Now) -> Invitation:
    """Mail an address a link by which it makes an account with this role. An older invitation of the address is withdrawn.

    A role of staff takes a fresh proof, as giving it later does.
    """
    if is_staff(body.role):
        await see_fresh(server, caller, now)
    return await service.invite(db, kit, caller, body.email, body.role, now)


@router.get("/users/invitations", summary="List invitations", responses=refusals(*STAFF_ONLY, Invalid))
async def list_invitations(
    _caller: MayRead, db: DbRead, kit: Invitations, limit: Limit = 50, cursor: CursorText = None
) -> InvitationPageOut:
    """A page of invitations that were neither accepted nor withdrawn, newest first."""
    page = await service.list_invitations(db, kit, cursor, limit)
    items = [InvitationOut.model_validate(invitation) for invitation in page.items]
    return InvitationPageOut(items=items, next_cursor=page.next_cursor)


@router.delete(
    "/users/invitations/{invitation_id}",
    status_code=204,
    response_class=Response,
    summary="Withdraw an invitation",
    responses=refusals(*STAFF_ONLY, Invalid, InvitationNotFound),
)
async def withdraw_invitation(invitation_id: uuid.UUID, caller: MayInvite, db: Db, now: Now) -> None:
    """Take an invitation back. Its link is dead at once."""
    await service.withdraw(db, caller, invitation_id, now)


@router.post(
    "/auth/invitations/accept",
    status_code=201,
    response_model=UserOut,
    summary="Accept an invitation",
    dependencies=[PUBLIC, Limited("invitation")],
    responses=refusals(
        RegistrationClosed, TicketInvalid, UsernameTaken, *JSON_BODY, PasswordRejected, TooManyRequests, Overloaded
    ),
)
async def accept_invitation(
    body: AcceptInvitationIn, database: Transactions, auth: Auth, kit: Invitations, client: ClientOf, now: Now
) -> User:
    """Make the account that a mailed link offers. Its address is proved by it. Signs nobody in."""
    return await service.accept(database, auth, kit, body.token, body.username, body.password, client, now)
