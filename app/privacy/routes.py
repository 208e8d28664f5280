"""/auth/me: changing one's profile, taking one's data along, leaving."""

from fastapi import APIRouter, Request, Response

from app.auth.cookies import drop_cookies
from app.core.caller import Fresh, SignedIn
from app.core.deps import Db, Now, Transactions
from app.core.errors import CsrfRefused, ProofTooOld, TokenInvalid, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.privacy import service
from app.privacy.schemas import ExportOut, LeavingOut
from app.users import service as users
from app.users.errors import LastAdmin, UsernameTaken
from app.users.models import User
from app.users.schemas import ProfileIn, UserOut

router = APIRouter(prefix="/auth/me", tags=["auth"], dependencies=[JSON_ONLY])
FILE = "personal-data.json"


@router.patch(
    "",
    response_model=UserOut,
    summary="Change my profile",
    dependencies=[Limited("change_profile")],
    responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused, UsernameTaken, *JSON_BODY, TooManyRequests),
)
async def change_profile(body: ProfileIn, caller: SignedIn, db: Db, now: Now) -> User:
    """Change username, display name or language. What is not named stays; null clears the latter two."""
    return await users.change_profile(db, caller, body.changes(), now)


@router.get(
    "/export",
    response_model=ExportOut,
    summary="Everything about me",
    dependencies=[Limited("export")],
    responses=refusals(Unauthenticated, TokenInvalid, ProofTooOld, CsrfRefused, TooManyRequests),
)
async def export_me(caller: Fresh, database: Transactions, now: Now) -> Response:
    """One document with all that is held about the caller, the audit log included; no secret, and nothing about other people."""
    document = ExportOut(exported_at=now, data=await service.export(database, caller, now))
    headers = {"Content-Disposition": f'attachment; filename="{FILE}"'}
    return Response(document.model_dump_json(indent=2), media_type="application/json", headers=headers)


@router.delete(
    "",
    status_code=202,
    summary="Leave",
    responses=refusals(Unauthenticated, TokenInvalid, ProofTooOld, CsrfRefused, LastAdmin),
)
async def leave(request: Request, response: Response, caller: Fresh, db: Db, now: Now) -> LeavingOut:
    """Give the account up. Every session ends at once; signing in within seven days brings it back, later it is erased."""
    erased_at = await service.leave(db, caller, now)
    drop_cookies(request, response)
    return LeavingOut(erased_at=erased_at)
