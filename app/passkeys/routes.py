"""/auth/passkeys."""

import uuid

from fastapi import APIRouter, Response

from app.core.caller import Caller, Fresh, SignedIn
from app.core.deps import Db, DbRead, Now
from app.core.errors import CsrfRefused, Invalid, ProofTooOld, TokenInvalid, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.passkeys import service
from app.passkeys.deps import Passkeys
from app.passkeys.errors import PasskeyNotAdded, PasskeyNotFound, TooManyPasskeys
from app.passkeys.schemas import AddPasskeyIn, OptionsOut, PasskeyOut, RenamePasskeyIn

router = APIRouter(prefix="/auth", tags=["passkeys"], dependencies=[JSON_ONLY])
NOT_SIGNED_IN = (Unauthenticated, TokenInvalid, CsrfRefused)


@router.get("/passkeys", summary="My passkeys", responses=refusals(*NOT_SIGNED_IN))
async def list_passkeys(caller: SignedIn, db: DbRead) -> list[PasskeyOut]:
    """Oldest first."""
    return [PasskeyOut.of(each) for each in await service.list_own(db, caller)]


@router.patch(
    "/passkeys/{passkey_id}",
    summary="Rename a passkey",
    responses=refusals(*NOT_SIGNED_IN, PasskeyNotFound, *JSON_BODY),
)
async def rename_passkey(passkey_id: uuid.UUID, body: RenamePasskeyIn, caller: SignedIn, db: Db, now: Now) -> PasskeyOut:
    """Call one of the caller's passkeys something else; another person's is not found."""
    return PasskeyOut.of(await service.rename(db, caller, passkey_id, body.name, now))
