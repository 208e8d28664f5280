"""/auth/passkeys: a person's own."""

import uuid

from fastapi import APIRouter, Response

from app.core.caller import Fresh, SignedIn
from app.core.deps import Db, DbRead, Now
from app.core.errors import CsrfRefused, Invalid, ProofTooOld, TokenInvalid, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.passkeys import service
from app.passkeys.deps import Passkeys
from app.passkeys.errors import PasskeyNotAdded, PasskeyNotFound, TooManyPasskeys
from app.passkeys.schemas import AddPasskeyIn, OptionsOut, PasskeyOut, RenamePasskeyIn

router = APIRouter(prefix="/auth/passkeys", tags=["passkeys"], dependencies=[JSON_ONLY])
NOT_SIGNED_IN = (Unauthenticated, TokenInvalid, CsrfRefused)


@router.get("", summary="My passkeys", responses=refusals(*NOT_SIGNED_IN))
async def list_passkeys(caller: SignedIn, db: DbRead) -> list[PasskeyOut]:
    """Oldest first."""
    return [PasskeyOut.of(each) for each in await service.list_own(db, caller)]


@router.post(
    "/options",
    summary="Begin to add a passkey",
    dependencies=[Limited("passkey_options")],
    responses=refusals(*NOT_SIGNED_IN, ProofTooOld, TooManyPasskeys, TooManyRequests),
)
async def start_adding(caller: Fresh, db: Db, kit: Passkeys, now: Now) -> OptionsOut:
    """What to hand to `navigator.credentials.create()`, within five minutes and from this session."""
    return OptionsOut(public_key=await service.start_own(db, kit, caller, now))


@router.post(
    "",
    status_code=201,
    summary="Add a passkey",
    responses=refusals(*NOT_SIGNED_IN, ProofTooOld, PasskeyNotAdded, TooManyPasskeys, *JSON_BODY),
)
async def add_passkey(body: AddPasskeyIn, caller: Fresh, db: Db, kit: Passkeys, now: Now) -> PasskeyOut:
    """What the browser made of the options; a mail tells the owner."""
    return PasskeyOut.of(await service.add_own(db, kit, caller, body.credential, body.name, now))


@router.patch(
    "/{passkey_id}",
    summary="Rename a passkey",
    responses=refusals(*NOT_SIGNED_IN, PasskeyNotFound, *JSON_BODY),
)
async def rename_passkey(passkey_id: uuid.UUID, body: RenamePasskeyIn, caller: SignedIn, db: Db, now: Now) -> PasskeyOut:
    """Call one of the caller's passkeys something else; another person's is not found."""
    return PasskeyOut.of(await service.rename(db, caller, passkey_id, body.name, now))


@router.delete(
    "/{passkey_id}",
    status_code=204,
    response_class=Response,
    summary="Remove a passkey",
    responses=refusals(*NOT_SIGNED_IN, ProofTooOld, PasskeyNotFound, Invalid),
)
async def remove_passkey(passkey_id: uuid.UUID, caller: Fresh, db: Db, now: Now) -> None:
    """It opens nothing any more, and the sessions that it opened end, but for the one that asks. A mail tells the owner."""
    await service.remove(db, caller, passkey_id, now)
