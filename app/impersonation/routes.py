"""POST /users/{id}/impersonate."""

import uuid

from fastapi import APIRouter

from app.auth.deps import Auth
from app.auth.sessions import Pair
from app.core.deps import Db, Now
from app.core.errors import CsrfRefused, Forbidden, Impersonated, ProofTooOld, ProofTooWeak, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.impersonation import service
from app.impersonation.deps import FreshImpersonator, Impersonation
from app.impersonation.errors import AccountClosed, NotBelow
from app.impersonation.schemas import ImpersonateIn, ImpersonationOut
from app.users.errors import UserNotFound

router = APIRouter(prefix="/users", tags=["impersonation"], dependencies=[JSON_ONLY])
STAFF = (Unauthenticated, ProofTooOld, ProofTooWeak, Forbidden, CsrfRefused, Impersonated)


@router.post(
    "/{user_id}/impersonate",
    status_code=201,
    response_model=ImpersonationOut,
    summary="Act as somebody",
    dependencies=[Limited("impersonate")],
    responses=refusals(*STAFF, NotBelow, *JSON_BODY, UserNotFound, AccountClosed, TooManyRequests),
)
async def impersonate(
    user_id: uuid.UUID, body: ImpersonateIn, caller: FreshImpersonator, db: Db, auth: Auth, kit: Impersonation, now: Now
) -> Pair:
    """A token that acts as the person for half an hour at most, and dies with the caller's own session.

    It shows what the person sees and changes nothing here. The person is told, and sees it among their sessions.
    """
    return await service.start(db, auth, kit, caller, user_id, body.reason, now)
