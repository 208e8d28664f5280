"""/auth/: register, login, logout, refresh, me, sessions."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Request, Response, Security
from starlette.responses import JSONResponse

from app.auth import proofs, registration, service, sessions
from app.auth.cookies import drop_cookies, hand_over, held_by, held_to_end
from app.auth.deps import Auth
from app.auth.devices import Devices, end_by_link
from app.auth.errors import (
    LoginFailed,
    PasswordRejected,
    PasswordWrong,
    ProofWrong,
    RegistrationClosed,
    SessionNotFound,
    TooManyTries,
)
from app.auth.lanes import ACTOR, ASSURED, IDENTITY, verified
from app.auth.login_body import REQUEST_BODY, LoginBody
from app.auth.schemas import (
    EndSessionIn,
    LoginOut,
    LogoutIn,
    MeOut,
    OwedOut,
    ProofOut,
    ReauthenticateIn,
    RefreshIn,
    RegisterIn,
    RegistrationOut,
    SessionOut,
    TokensOut,
)
from app.auth.sessions import Held, Pair
from app.auth.steps import Owed
from app.core.assurance import LEVELS
from app.core.caller import PUBLIC, ActingToo, Presented, SignedIn, bearer
from app.core.client import ClientOf
from app.core.cookies import ACTING, DEVICE, REFRESH, REMEMBERED
from app.core.csrf import check_cookie_call, check_origin_if_any, is_form_of_another
from app.core.deps import Db, DbRead, Now, ServerOf, Transactions
from app.core.device_names import load_names
from app.core.errors import (
    CsrfRefused,
    Forbidden,
    Impersonated,
    Invalid,
    Overloaded,
    ProofTooOld,
    ProofTooWeak,
    TokenInvalid,
    TooManyRequests,
    Unauthenticated,
)
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.tickets.service import TicketInvalid
from app.users.errors import EmailTaken, UsernameTaken
from app.users.models import User
from app.users.schemas import UserOut

VERIFY_HEADERS = {
    **IDENTITY,
    ASSURED: "How well the caller proved who they are, where acr or max_age is asked for",
    ACTOR: "Who really acts, where it is not the account's owner: the id of somebody of the staff",
}
VERIFY_PARAMETERS = [
    {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "array", "items": items}}
    for name, text, items in (
        ("role", "Roles the caller must have, every one of them", {"type": "string"}),
        ("acr", "How well the caller must have proved who they are", {"type": "string", "enum": [*LEVELS]}),
        ("max_age", "How many seconds ago at most", {"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    )
]
router = APIRouter(prefix="/auth", tags=["auth"], dependencies=[JSON_ONLY])


@router.post(
    "/register",
    status_code=201,
    response_model=UserOut,
    summary="Register",
    dependencies=[PUBLIC, Limited("register")],
    responses={
        202: {"model": RegistrationOut, "description": "With EMAIL_VERIFICATION=required, whether or not the address is taken"},
        **refusals(RegistrationClosed, UsernameTaken, EmailTaken, *JSON_BODY, PasswordRejected, TooManyRequests, Overloaded),
    },
)
async def register(body: RegisterIn, database: Transactions, kit: Auth, client: ClientOf, now: Now) -> User | Response:
    """Make an account with the role `user`: at once, or once the mailed link or code proves the address."""
    user = await registration.register(database, kit, body.username, body.email, body.password, client, now)
    return user or JSONResponse(RegistrationOut().model_dump(), status_code=202)


@router.post(
    "/login",
    response_model=LoginOut | OwedOut,
    summary="Log in",
    dependencies=[PUBLIC, Limited("login")],
    responses=refusals(LoginFailed, CsrfRefused, *JSON_BODY, TooManyRequests, TooManyTries, Overloaded),
    openapi_extra=REQUEST_BODY,
)
async def login(
    body: LoginBody,
    request: Request,
    response: Response,
    database: Transactions,
    server: ServerOf,
    kit: Auth,
    client: ClientOf,
    now: Now,
) -> Pair | Owed:
    """Open a session by username or address, in any case, and password. One answer for every failure.

    Where a second factor is owed, the answer is what it can be given by, and an `attempt` to send along.
    """
    by_cookie = body.transport == "cookie"
    if by_cookie:
        check_origin_if_any(server, request.scope)
    device = body.device or server.cookies.read(request.scope, DEVICE)
    remembered = server.cookies.read(request.scope, REMEMBERED)
    pair = await service.log_in(database, kit, body.identifier, body.password, device, client, now, remembered=remembered)
    if isinstance(pair, Owed):
        return pair
    if by_cookie:
        await sessions.end_replaced(database, kit, held_by(request), client, now)
    if is_form_of_another(server, request.scope):
        return pair
    return hand_over(response, server, pair, now, by_cookie=by_cookie)


@router.post(
    "/logout",
    status_code=204,
    response_class=Response,
    summary="Log out",
    dependencies=[PUBLIC],
    responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused, *JSON_BODY),
)
async def logout(
    request: Request,
    response: Response,
    db: Db,
    server: ServerOf,
    kit: Auth,
    client: ClientOf,
    now: Now,
    access: Annotated[str | None, Security(bearer)],
    body: LogoutIn | None = None,
) -> None:
    """End the sessions of the access token, of `refresh_token` and of the browser's cookies. Their tokens are dead everywhere
    when this is answered.
    """
    held = held_to_end(request)
    if access is None and held != Held():
        check_cookie_call(server, request.scope)
    tokens = (body.refresh_token, *held.refresh) if body and body.refresh_token else held.refresh
    await sessions.log_out(db, kit, Held(access, tokens, held.cookie), client, now)
    drop_cookies(request, response)


@router.post(
    "/logout-all",
    status_code=204,
    response_class=Response,
    summary="Log out everywhere",
    responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused),
)
async def logout_all(request: Request, response: Response, caller: SignedIn, db: Db, now: Now) -> None:
    """End every session of the caller."""
    await sessions.log_out_everywhere(db, caller, now)
    drop_cookies(request, response)


@router.post(
    "/refresh",
    response_model=TokensOut,
    summary="Get a new pair",
    dependencies=[PUBLIC, Limited("refresh")],
    responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused, Impersonated, *JSON_BODY, TooManyRequests),
)
async def refresh(
    body: RefreshIn, request: Request, response: Response, db: Db, server: ServerOf, kit: Auth, client: ClientOf, now: Now
) -> Pair:
    """Spend a refresh token for a new pair. Using it a second time, but for a quick repeat, ends the session.

    With the transport `cookie` and no token in the body the browser's is spent, if the call comes from a page that may make it.
    """
    token = body.refresh_token
    if token is None:
        token = server.cookies.read(request.scope, REFRESH)
        if token is None:
            raise Unauthenticated
        check_cookie_call(server, request.scope)
        if server.cookies.read(request.scope, ACTING) is not None:  # it is not they who act
            raise Impersonated
    elif body.transport == "cookie":
        check_origin_if_any(server, request.scope)
    pair = await sessions.refresh(db, kit, token, client, now)
    return hand_over(response, server, pair, now, by_cookie=body.transport == "cookie")


@router.post(
    "/reauthenticate",
    response_model=ProofOut,
    summary="Prove it is still me",
    dependencies=[Limited("reauthenticate")],
    responses=refusals(
        PasswordWrong,
        ProofWrong,
        Unauthenticated,
        TokenInvalid,
        ProofTooWeak,
        CsrfRefused,
        *JSON_BODY,
        TooManyRequests,
        TooManyTries,
        Overloaded,
    ),
)
async def reauthenticate(
    body: ReauthenticateIn,
    response: Response,
    caller: SignedIn,
    database: Transactions,
    server: ServerOf,
    kit: Auth,
    now: Now,
) -> Pair:
    """Give the password once more, and a second proof where a second factor is enrolled, for calls that want a proof of the
    last ten minutes; or a passkey alone. The session stays the same one.
    """
    pair = await proofs.reauthenticate(database, kit, caller, body.given(), now)
    return hand_over(response, server, pair, now)


@router.get(
    "/me",
    response_model=MeOut,
    response_model_exclude_unset=True,
    summary="Who am I",
    responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused),
)
async def me(caller: ActingToo) -> MeOut:
    """The account of the token, as it is at this moment."""
    account = MeOut.model_validate(caller.me)
    return account.model_copy(update={"impersonated_by": caller.impersonator}) if caller.impersonator else account


@router.get(
    "/verify",
    status_code=204,
    response_class=Response,
    summary="May this request pass?",
    responses={
        204: {"headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in VERIFY_HEADERS.items()}},
        **refusals(Unauthenticated, TokenInvalid, ProofTooOld, Forbidden, Impersonated),
    },
    openapi_extra={"parameters": VERIFY_PARAMETERS},
)
async def verify(request: Request, caller: Presented, server: ServerOf, now: Now) -> Response:
    """For gateways (nginx `auth_request`, Traefik ForwardAuth, Caddy `forward_auth`, Envoy `ext_authz`): any method, this path
    and all below it; who the caller is comes back in headers.
    """
    answer = await verified(server, caller, request.scope["query_string"], now)
    return Response(status_code=answer.status, headers={name.decode(): value.decode() for name, value in answer.headers})


@router.get("/sessions", summary="My sessions", responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused))
async def list_sessions(caller: ActingToo, db: DbRead, devices: Devices, now: Now) -> list[SessionOut]:
    """Where the caller is signed in, newest first."""
    name = await load_names()
    found = await sessions.list_own(db, caller, now)
    return [
        SessionOut.of(each, caller.session_id, name(each.user_agent), devices.place_of(each, caller.me.locale)) for each in found
    ]


@router.delete(
    "/sessions",
    status_code=204,
    response_class=Response,
    summary="End my other sessions",
    responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused),
)
async def end_other_sessions(caller: SignedIn, db: Db, now: Now) -> None:
    """End every session of the caller but the one that asks."""
    await sessions.end_others(db, caller, now)


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    response_class=Response,
    summary="End one of my sessions",
    responses=refusals(Unauthenticated, TokenInvalid, CsrfRefused, SessionNotFound, Invalid),
)
async def end_session(session_id: uuid.UUID, caller: SignedIn, db: Db, now: Now) -> None:
    """End one of the caller's sessions; another person's is not found."""
    await sessions.end_own(db, caller, session_id, now)


@router.post(
    "/end-session",
    status_code=204,
    response_class=Response,
    summary="End a session by a mailed link",
    dependencies=[PUBLIC, Limited("end_session")],
    responses=refusals(TicketInvalid, *JSON_BODY, TooManyRequests),
)
async def end_reported_session(body: EndSessionIn, db: Db, devices: Devices, client: ClientOf, now: Now) -> None:
    """End the session that a mail about a new device told of: it was not the owner. No device is known any more then."""
    await end_by_link(db, devices, body.token, client, now)
