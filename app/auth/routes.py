"""/auth/: register, login, logout, refresh, me, sessions."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Cookie, Request, Response, Security
from starlette.responses import JSONResponse

from app.auth import registration, service, sessions
from app.auth.cookies import set_device_cookie
from app.auth.deps import Auth
from app.auth.errors import LoginFailed, PasswordRejected, RegistrationClosed, SessionNotFound, TooManyTries
from app.auth.lanes import IDENTITY, verified
from app.auth.login_body import REQUEST_BODY, LoginBody
from app.auth.schemas import LoginOut, LogoutIn, RefreshIn, RegisterIn, RegistrationOut, SessionOut, TokensOut
from app.auth.sessions import Pair
from app.core.caller import PUBLIC, SignedIn, bearer
from app.core.client import ClientOf
from app.core.deps import Db, DbRead, Now, ServerOf, Transactions
from app.core.errors import Forbidden, Invalid, Overloaded, TokenInvalid, TooManyRequests, Unauthenticated
from app.core.limits import Limited
from app.core.ports import Account
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.users.errors import EmailTaken, UsernameTaken
from app.users.models import User
from app.users.schemas import UserOut

ROLE_PARAMETER = {
    "name": "role",
    "in": "query",
    "required": False,
    "description": "Roles the caller must have, every one of them",
    "schema": {"type": "array", "items": {"type": "string"}},
}
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
    response_model=LoginOut,
    summary="Log in",
    dependencies=[PUBLIC, Limited("login")],
    responses=refusals(LoginFailed, *JSON_BODY, TooManyRequests, TooManyTries, Overloaded),
    openapi_extra=REQUEST_BODY,
)
async def login(
    body: LoginBody,
    response: Response,
    database: Transactions,
    server: ServerOf,
    kit: Auth,
    client: ClientOf,
    now: Now,
    plain: Annotated[str | None, Cookie(alias="authkeep-device", include_in_schema=False)] = None,
    secure: Annotated[str | None, Cookie(alias="__Host-authkeep-device", include_in_schema=False)] = None,
) -> Pair:
    """Open a session by username or address, in any case, and password. One answer for every failure."""
    cookie = secure if server.settings.is_https else plain
    pair = await service.log_in(database, kit, body.identifier, body.password, body.device or cookie, client, now)
    if pair.device is not None:
        set_device_cookie(response, server, pair.device)
    return pair


@router.post(
    "/logout",
    status_code=204,
    response_class=Response,
    summary="Log out",
    dependencies=[PUBLIC],
    responses=refusals(Unauthenticated, TokenInvalid, *JSON_BODY),
)
async def logout(
    db: Db,
    kit: Auth,
    client: ClientOf,
    now: Now,
    access: Annotated[str | None, Security(bearer)],
    body: LogoutIn | None = None,
) -> None:
    """End the session of the access token, or of `refresh_token`. Its tokens are dead everywhere when this is answered."""
    await sessions.log_out(db, kit, access, body.refresh_token if body else None, client, now)


@router.post(
    "/logout-all",
    status_code=204,
    response_class=Response,
    summary="Log out everywhere",
    responses=refusals(Unauthenticated, TokenInvalid),
)
async def logout_all(caller: SignedIn, db: Db, now: Now) -> None:
    """End every session of the caller."""
    await sessions.log_out_everywhere(db, caller, now)


@router.post(
    "/refresh",
    response_model=TokensOut,
    summary="Get a new pair",
    dependencies=[PUBLIC, Limited("refresh")],
    responses=refusals(TokenInvalid, *JSON_BODY, TooManyRequests),
)
async def refresh(body: RefreshIn, db: Db, kit: Auth, client: ClientOf, now: Now) -> Pair:
    """Spend a refresh token for a new pair. Using it a second time, but for a quick repeat, ends the session."""
    return await sessions.refresh(db, kit, body.refresh_token, client, now)


@router.get("/me", response_model=UserOut, summary="Who am I", responses=refusals(Unauthenticated, TokenInvalid))
async def me(caller: SignedIn) -> Account:
    """The account of the token, as it is at this moment."""
    return caller.me


@router.get(
    "/verify",
    status_code=204,
    response_class=Response,
    summary="May this request pass?",
    responses={
        204: {"headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in IDENTITY.items()}},
        **refusals(Unauthenticated, TokenInvalid, Forbidden),
    },
    openapi_extra={"parameters": [ROLE_PARAMETER]},
)
async def verify(request: Request, caller: SignedIn, server: ServerOf, now: Now) -> Response:
    """For gateways (nginx `auth_request`, Traefik ForwardAuth, Caddy `forward_auth`, Envoy `ext_authz`): any method, this path
    and all below it; who the caller is comes back in headers.
    """
    answer = await verified(server, caller, request.scope["query_string"], now)
    return Response(status_code=answer.status, headers={name.decode(): value.decode() for name, value in answer.headers})


@router.get("/sessions", summary="My sessions", responses=refusals(Unauthenticated, TokenInvalid))
async def list_sessions(caller: SignedIn, db: DbRead, now: Now) -> list[SessionOut]:
    """Where the caller is signed in, newest first."""
    return [SessionOut.of(session, caller.session_id) for session in await sessions.list_own(db, caller, now)]


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    response_class=Response,
    summary="End one of my sessions",
    responses=refusals(Unauthenticated, TokenInvalid, SessionNotFound, Invalid),
)
async def end_session(session_id: uuid.UUID, caller: SignedIn, db: Db, now: Now) -> None:
    """End one of the caller's sessions; another person's is not found."""
    await sessions.end_own(db, caller, session_id, now)
