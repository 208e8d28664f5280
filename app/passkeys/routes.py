"""/auth/passkeys: a person's own; and doing without a password."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Request, Response, Security

from app.auth.cookies import hand_over, held_by
from app.auth.deps import Auth
from app.auth.errors import AttemptInvalid, LastFactor, TooManyTries
from app.auth.schemas import LoginOut, ProofOut
from app.auth.sessions import end_replaced
from app.auth.steps import Onto
from app.core.assurance import AAL2_PHR
from app.core.caller import FRESH as FRESH_FOR
from app.core.caller import PUBLIC, Assurance, Caller, Fresh, SignedIn, bearer, fresh, signed_in
from app.core.client import ClientOf
from app.core.cookies import DEVICE
from app.core.csrf import check_origin_if_any
from app.core.deps import Db, DbRead, Now, ServerOf, Transactions
from app.core.errors import (
    CsrfRefused,
    Invalid,
    ProofTooOld,
    ProofTooWeak,
    TokenInvalid,
    TooManyRequests,
    Unauthenticated,
)
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.passkeys import service
from app.passkeys.deps import Passkeys
from app.passkeys.errors import PasskeyNotAdded, PasskeyNotFound, PasskeysNeeded, PasswordNotFound, TooManyPasskeys
from app.passkeys.schemas import NO_ATTEMPT, AddOptionsIn, AddPasskeyIn, OptionsOut, PasskeyAddedOut, PasskeyOut, RenamePasskeyIn

router = APIRouter(prefix="/auth", tags=["passkeys"], dependencies=[JSON_ONLY])
NOT_SIGNED_IN = (Unauthenticated, TokenInvalid, CsrfRefused)
FRESH = (*NOT_SIGNED_IN, ProofTooOld, ProofTooWeak)
Token = Annotated[str | None, Security(bearer)]
ByPasskey = Annotated[Caller, Assurance(AAL2_PHR, max_age=FRESH_FOR)]


@router.get("/passkeys", summary="My passkeys", responses=refusals(*NOT_SIGNED_IN))
async def list_passkeys(caller: SignedIn, db: DbRead) -> list[PasskeyOut]:
    """Oldest first."""
    return [PasskeyOut.of(each) for each in await service.list_own(db, caller)]


@router.post(
    "/passkeys/options",
    summary="Begin to add a passkey",
    dependencies=[PUBLIC, Limited("mfa_enrol")],
    responses=refusals(*FRESH, AttemptInvalid, TooManyPasskeys, *JSON_BODY, TooManyRequests),
)
async def start_adding(
    request: Request,
    server: ServerOf,
    database: Transactions,
    kit: Passkeys,
    now: Now,
    token: Token,
    body: AddOptionsIn = NO_ATTEMPT,
) -> OptionsOut:
    """What to hand to `navigator.credentials.create()`, within five minutes and from this session.

    Takes a fresh proof; or the attempt of a login that was answered with mfa_enrolment_required, in place of a token.
    """
    if body.attempt is not None:
        check_origin_if_any(server, request.scope)
        async with database.write() as db:
            return OptionsOut(public_key=await service.start_adding_by_attempt(db, kit, body.attempt, now))
    caller = await fresh(request, await signed_in(request, token))
    async with database.write() as db:
        return OptionsOut(public_key=await service.start_adding(db, kit, caller, now))


@router.post(
    "/passkeys",
    status_code=201,
    response_model=PasskeyAddedOut,
    summary="Add a passkey",
    dependencies=[PUBLIC, Limited("mfa_enrol")],
    responses=refusals(*FRESH, PasskeyNotAdded, AttemptInvalid, TooManyPasskeys, *JSON_BODY, TooManyRequests, TooManyTries),
)
async def add_passkey(
    body: AddPasskeyIn,
    request: Request,
    response: Response,
    server: ServerOf,
    database: Transactions,
    auth: Auth,
    kit: Passkeys,
    client: ClientOf,
    now: Now,
    token: Token,
) -> PasskeyAddedOut:
    """What the browser made of the options; a mail tells the owner. The answer holds an access token of the session, which was
    proved by the passkey from now on; by an attempt, what a login answers.
    """
    if body.attempt is not None:
        check_origin_if_any(server, request.scope)
        onto = Onto(client, body.device or server.cookies.read(request.scope, DEVICE))
        passkey, pair = await service.add_by_attempt(database, auth, kit, body.attempt, body.credential, body.name, onto, now)
        by_cookie = body.transport == "cookie"
        if by_cookie:
            await end_replaced(database, auth, held_by(request), client, now)
        handed = hand_over(response, server, pair, now, by_cookie=by_cookie)
        return PasskeyAddedOut(passkey=PasskeyOut.of(passkey), tokens=LoginOut.model_validate(handed, from_attributes=True))
    caller = await fresh(request, await signed_in(request, token))
    async with database.write() as db:
        passkey, pair = await service.add(db, auth, kit, caller, body.credential, body.name, now)
    handed = hand_over(response, server, pair, now)
    return PasskeyAddedOut(passkey=PasskeyOut.of(passkey), tokens=ProofOut.model_validate(handed, from_attributes=True))


@router.patch(
    "/passkeys/{passkey_id}",
    summary="Rename a passkey",
    responses=refusals(*NOT_SIGNED_IN, PasskeyNotFound, *JSON_BODY),
)
async def rename_passkey(passkey_id: uuid.UUID, body: RenamePasskeyIn, caller: SignedIn, db: Db, now: Now) -> PasskeyOut:
    """Call one of the caller's passkeys something else; another person's is not found."""
    return PasskeyOut.of(await service.rename(db, caller, passkey_id, body.name, now))


@router.delete(
    "/passkeys/{passkey_id}",
    status_code=204,
    response_class=Response,
    summary="Remove a passkey",
    responses=refusals(*FRESH, PasskeyNotFound, PasskeysNeeded, LastFactor, Invalid),
)
async def remove_passkey(passkey_id: uuid.UUID, caller: Fresh, db: Db, now: Now) -> None:
    """It opens nothing any more, and the sessions that it opened end, but for the one that asks. A mail tells the owner."""
    await service.remove(db, caller, passkey_id, now)


@router.delete(
    "/password",
    status_code=204,
    response_class=Response,
    summary="Do without a password",
    responses=refusals(*NOT_SIGNED_IN, ProofTooWeak, PasswordNotFound, PasskeysNeeded),
)
async def remove_password(caller: ByPasskey, db: Db, now: Now) -> None:
    """Sign in by passkey alone from here on; every other session ends. Takes a fresh proof by passkey, and two passkeys that
    verify their user, or one and recovery codes. A mail tells the owner.
    """
    await service.remove_password(db, caller, now)
