"""/auth/login/passkey: signing in, or going on with a login that was begun; and a fresh proof."""

from fastapi import APIRouter, Request, Response

from app.auth import steps
from app.auth.cookies import hand_over, held_by
from app.auth.deps import Auth
from app.auth.errors import AttemptInvalid, ProofWrong, TooManyTries
from app.auth.schemas import LoginOut, OwedOut
from app.auth.sessions import Pair, end_replaced
from app.auth.steps import Onto, Owed
from app.core.caller import PUBLIC, SignedIn
from app.core.client import ClientOf
from app.core.cookies import DEVICE
from app.core.csrf import check_origin_if_any
from app.core.deps import Db, Now, ServerOf, Transactions
from app.core.errors import CsrfRefused, TokenInvalid, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.passkeys import logins
from app.passkeys.deps import Passkeys, asking_browser, remember_browser
from app.passkeys.errors import PasskeyNotFound, PasskeyRefused
from app.passkeys.schemas import NOBODY_NAMED, LoginByPasskeyIn, LoginOptionsIn, LoginOptionsOut, OptionsOut
from app.passkeys.service import KIND

router = APIRouter(prefix="/auth", tags=["passkeys"], dependencies=[JSON_ONLY])


@router.post(
    "/login/passkey/options",
    summary="Begin to sign in by passkey",
    dependencies=[PUBLIC, Limited("passkey_options")],
    responses=refusals(AttemptInvalid, PasskeyNotFound, *JSON_BODY, TooManyRequests),
)
async def start_login(
    request: Request, response: Response, db: Db, kit: Passkeys, now: Now, body: LoginOptionsIn = NOBODY_NAMED
) -> LoginOptionsOut:
    """What to hand to `navigator.credentials.get()`, within five minutes. An unknown name gets the same answer as a known one."""
    if body.attempt is not None:
        return LoginOptionsOut(public_key=await logins.start_step(db, kit, body.attempt, now), request=None)
    secret = remember_browser(request, response)
    return LoginOptionsOut(public_key=await logins.start_login(db, kit, body.username, secret, now), request=secret)


@router.post(
    "/login/passkey",
    response_model=LoginOut | OwedOut,
    summary="Sign in by passkey",
    dependencies=[PUBLIC, Limited("login")],
    responses=refusals(PasskeyRefused, AttemptInvalid, ProofWrong, CsrfRefused, *JSON_BODY, TooManyRequests, TooManyTries),
)
async def sign_in_by_passkey(
    body: LoginByPasskeyIn,
    request: Request,
    response: Response,
    database: Transactions,
    server: ServerOf,
    auth: Auth,
    kit: Passkeys,
    client: ClientOf,
    now: Now,
) -> Pair | Owed:
    """Open a session: by passkey alone, which must then ask for a PIN or a finger; or, with `attempt`, by passkey as the second
    proof of a login that was begun.
    """
    check_origin_if_any(server, request.scope)
    device = body.device or server.cookies.read(request.scope, DEVICE)
    pair: Pair | Owed
    if body.attempt is not None:
        onto = Onto(client, device, remember=body.remember_device)
        pair = await steps.prove(database, auth, KIND, body.attempt, body.credential, onto, now)
    else:
        secrets = (body.request, asking_browser(request))
        pair = await logins.sign_in(database, auth, kit, body.credential, secrets, device, client, now)
    if isinstance(pair, Owed):
        return pair
    by_cookie = body.transport == "cookie"
    if by_cookie:
        await end_replaced(database, auth, held_by(request), client, now)
    return hand_over(response, server, pair, now, by_cookie=by_cookie)


@router.post(
    "/reauthenticate/passkey/options",
    summary="Begin to prove it is still me by passkey",
    dependencies=[Limited("passkey_options")],
    responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused, PasskeyNotFound, TooManyRequests),
)
async def start_proof(caller: SignedIn, db: Db, kit: Passkeys, now: Now) -> OptionsOut:
    """What to hand to `navigator.credentials.get()`; the credential goes into POST /auth/reauthenticate."""
    return OptionsOut(public_key=await logins.start_proof(db, kit, caller, now))
