"""/auth/mfa, the second steps of a login, and /users/{id}/mfa for admins."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Request, Response, Security

from app.auth import steps
from app.auth.cookies import hand_over, held_by
from app.auth.deps import Auth
from app.auth.errors import AttemptInvalid, LastFactor, ProofWrong, TooManyTries
from app.auth.schemas import LoginOut, ProofOut
from app.auth.sessions import Pair, end_replaced
from app.auth.steps import Onto
from app.core.caller import PUBLIC, Caller, Fresh, May, SignedIn, bearer, fresh, signed_in
from app.core.client import ClientOf
from app.core.cookies import DEVICE
from app.core.csrf import check_origin_if_any
from app.core.deps import Db, DbRead, Now, ServerOf, Transactions
from app.core.errors import (
    CsrfRefused,
    Forbidden,
    Invalid,
    ProofTooOld,
    ProofTooWeak,
    TokenInvalid,
    TooManyRequests,
    Unauthenticated,
)
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.server import Server
from app.core.wire import JSON_ONLY
from app.mfa import service
from app.mfa.deps import Mfa
from app.mfa.errors import FactorNotFound, NoFactor, OwnFactors
from app.mfa.proofs import RECOVERY, TOTP
from app.mfa.schemas import (
    NO_ATTEMPT,
    AttemptIn,
    ConfirmTotpIn,
    FinishIn,
    MfaOut,
    RecoveryCodesOut,
    RecoveryLoginIn,
    TotpLoginIn,
    TotpSetupOut,
    UserMfaIn,
)
from app.mfa.service import Overview
from app.mfa.totp import Setup
from app.users.errors import UserNotFound

router = APIRouter(tags=["second factors"], dependencies=[JSON_ONLY])
CALLER = (Unauthenticated, TokenInvalid, CsrfRefused)
FRESH = (*CALLER, ProofTooOld, ProofTooWeak)
STEP = (AttemptInvalid, ProofWrong, CsrfRefused, *JSON_BODY, TooManyRequests, TooManyTries)
Token = Annotated[str | None, Security(bearer)]


@router.get("/auth/mfa", response_model=MfaOut, summary="My second factors", responses=refusals(*CALLER))
async def look(caller: SignedIn, db: DbRead, kit: Mfa) -> Overview:
    """What is enrolled, and whether it must be."""
    return await service.look_at_own(db, kit, caller)


@router.post(
    "/auth/mfa/totp",
    response_model=TotpSetupOut,
    summary="Set up an authenticator app",
    dependencies=[PUBLIC, Limited("mfa_enrol")],
    responses=refusals(*FRESH, AttemptInvalid, *JSON_BODY, TooManyRequests),
)
async def start_totp(
    request: Request,
    server: ServerOf,
    database: Transactions,
    kit: Mfa,
    now: Now,
    token: Token,
    body: AttemptIn = NO_ATTEMPT,
) -> Setup:
    """A secret for an authenticator app. It counts once a code is confirmed, within ten minutes; then it replaces an older one.

    Takes a fresh proof; or the attempt of a login that was answered with mfa_enrolment_required, in place of a token.
    """
    if body.attempt is not None:
        check_origin_if_any(server, request.scope)
        async with database.write() as db:
            return await service.start_totp_by_attempt(db, kit, body.attempt, now)
    caller = await fresh(request, await signed_in(request, token))
    async with database.write() as db:
        return await service.start_totp(db, kit, caller, now)


@router.post(
    "/auth/mfa/totp/confirm",
    response_model=LoginOut | ProofOut,
    summary="Confirm the authenticator app",
    dependencies=[PUBLIC, Limited("mfa_enrol")],
    responses=refusals(*FRESH, FactorNotFound, ProofWrong, AttemptInvalid, *JSON_BODY, TooManyRequests, TooManyTries),
)
async def confirm_totp(
    body: ConfirmTotpIn,
    request: Request,
    response: Response,
    server: ServerOf,
    database: Transactions,
    auth: Auth,
    kit: Mfa,
    client: ClientOf,
    now: Now,
    token: Token,
) -> LoginOut | ProofOut:
    """Give a code that the app shows. The answer is an access token of the session, which was proved by the app from now on;
    by an attempt, what a login answers.
    """
    if body.attempt is not None:
        check_origin_if_any(server, request.scope)
        onto = Onto(client, body.device or server.cookies.read(request.scope, DEVICE))
        pair = await service.confirm_totp_by_attempt(database, auth, kit, body.attempt, body.code, onto, now)
        by_cookie = body.transport == "cookie"
        if by_cookie:
            await end_replaced(database, auth, held_by(request), client, now)
        return LoginOut.model_validate(hand_over(response, server, pair, now, by_cookie=by_cookie), from_attributes=True)
    caller = await fresh(request, await signed_in(request, token))
    async with database.write() as db:
        pair = await service.confirm_totp(db, auth, kit, caller, body.code, now)
    return ProofOut.model_validate(hand_over(response, server, pair, now), from_attributes=True)


@router.delete(
    "/auth/mfa/totp",
    status_code=204,
    response_class=Response,
    summary="Remove my authenticator app",
    responses=refusals(*FRESH, FactorNotFound, LastFactor),
)
async def remove_totp(caller: Fresh, db: Db, now: Now) -> None:
    """Take it away. The other sessions that it had part in end; with the last factor the recovery codes go."""
    await service.remove_totp(db, caller, now)


@router.post(
    "/auth/mfa/recovery-codes",
    response_model=RecoveryCodesOut,
    summary="Make recovery codes",
    dependencies=[Limited("mfa_enrol")],
    responses=refusals(*FRESH, NoFactor, TooManyRequests),
)
async def make_codes(caller: Fresh, db: Db, kit: Mfa, now: Now) -> RecoveryCodesOut:
    """Ten codes that stand in for a lost factor, each once. Those from before are void, and the other sessions that they opened
    end; no browser is remembered any more.
    """
    return RecoveryCodesOut(codes=await service.make_codes(db, kit, caller, now))


@router.delete(
    "/auth/mfa/remembered-devices",
    status_code=204,
    response_class=Response,
    summary="Forget remembered browsers",
    responses=refusals(*CALLER),
)
async def forget_remembered(caller: SignedIn, db: Db, now: Now) -> None:
    """Ask every browser of the caller for the second factor again."""
    await service.forget_remembered(db, caller, now)


@router.post(
    "/auth/login/totp",
    response_model=LoginOut,
    summary="Second step: authenticator app",
    dependencies=[PUBLIC, Limited("second_step")],
    responses=refusals(*STEP),
)
async def log_in_by_totp(
    body: TotpLoginIn, request: Request, response: Response, server: ServerOf, auth: Auth, client: ClientOf, now: Now
) -> Pair:
    """Finish a login by a code of the authenticator app. A code is good once, for its 30 seconds and 30 to either side."""
    return await _finish(body, TOTP, body.code, request, response, server, auth, client, now)


@router.post(
    "/auth/login/recovery",
    response_model=LoginOut,
    summary="Second step: recovery code",
    dependencies=[PUBLIC, Limited("second_step")],
    responses=refusals(*STEP),
)
async def log_in_by_recovery(
    body: RecoveryLoginIn, request: Request, response: Response, server: ServerOf, auth: Auth, client: ClientOf, now: Now
) -> Pair:
    """Finish a login by a recovery code, each of which is good once. The owner is told by mail."""
    return await _finish(body, RECOVERY, body.code, request, response, server, auth, client, now)


async def _finish(
    body: FinishIn,
    method: str,
    code: str,
    request: Request,
    response: Response,
    server: Server,
    auth: Auth,
    client: ClientOf,
    now: Now,
) -> Pair:
    check_origin_if_any(server, request.scope)
    onto = Onto(client, body.device or server.cookies.read(request.scope, DEVICE), remember=body.remember_device)
    pair = await steps.prove(server.database, auth, method, body.attempt, code, onto, now)
    by_cookie = body.transport == "cookie"
    if by_cookie:
        await end_replaced(server.database, auth, held_by(request), client, now)
    return hand_over(response, server, pair, now, by_cookie=by_cookie)


@router.put(
    "/users/{user_id}/mfa",
    response_model=MfaOut,
    summary="Require or reset somebody's factors",
    responses=refusals(*FRESH, Forbidden, Invalid, *JSON_BODY, UserNotFound, OwnFactors),
)
async def set_for(
    user_id: uuid.UUID,
    body: UserMfaIn,
    caller: Annotated[Caller, May("users:factors", fresh=True)],
    db: Db,
    auth: Auth,
    kit: Mfa,
    now: Now,
) -> Overview:
    """Require a second factor of somebody, or take theirs away because they lost them. The person is told by mail."""
    return await service.set_for(db, auth, kit, caller, user_id, now, required=body.required, reset=body.reset)
