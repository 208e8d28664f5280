"""GET /auth/me, /auth/verify, login and refresh, answered before routing by the same services as by their routes."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from fastapi.security.utils import get_authorization_scheme_param
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from app.auth import service
from app.auth.cookies import hand_over
from app.auth.deps import AuthKit
from app.auth.login_body import read_login
from app.auth.schemas import LoginOut, OwedOut, RefreshIn, TokensOut
from app.auth.sessions import refresh_plainly
from app.auth.steps import Owed
from app.core.assurance import AAL1, LEVELS, level_of
from app.core.caller import CREDENTIALS, Caller, check_assurance, deny, find_by_cookie, refuse
from app.core.client import CLIENT
from app.core.cookies import DEVICE, REMEMBERED
from app.core.csrf import is_form_of_another
from app.core.edge import Headers
from app.core.errors import Forbidden, Impersonated, Unavailable, UnsupportedMediaType
from app.core.fastlane import LANES, OUTER_LANES, Answer, Lane
from app.core.limits import count_once
from app.core.permissions import is_staff
from app.core.ports import Account, LiveSession, Rotations
from app.core.server import Server

ME, VERIFY, LOGIN, REFRESH = "/auth/me", "/auth/verify", "/auth/login", "/auth/refresh"
FOR_ENVOY = "/auth/verify/envoy/"  # its ext_authz takes 200 for a yes, and no other 2xx
BODY_SECONDS, MOST_BODY, REFUSAL_SECONDS = 0.25, 8192, 3.0
VARY = (b"vary", b"Origin")
SECONDS = re.compile("[0-9]{1,9}", re.ASCII)
IDENTITY = {
    "X-Auth-User": "The account's id",
    "X-Auth-Username": "Its username",
    "X-Auth-Roles": "Its roles, with commas between them",
    "X-Auth-Session": "The session's id",
}
ASSURED = "X-Auth-Acr"  # said where acr or max_age was asked for
ACTOR = "X-Auth-Actor"  # said where somebody acts as another
NAMES = [name.lower().encode() for name in IDENTITY]
ACCOUNT = TypeAdapter(Account)  # the fields of UserOut, which a test compares: half the time of going through the model


def install_lanes(server: Server) -> None:
    """Take GET /auth/me, any method on /auth/verify and below it, login, and refresh where rotations can share a commit."""
    credentials, clock = CREDENTIALS.one(server.parts), server.clock

    async def me(scope: Scope, _receive: Receive) -> Answer | None:
        token = bearer_token(scope)
        if token is None and server.cookies.holding(scope) is not None:
            return None  # the route asks where a cookie's call comes from
        live = await credentials.find_session(token, clock())
        if live.impersonator_id is not None:
            return None  # the route says by whom
        body = live.made.get(ME)
        if body is None:
            body = live.made[ME] = ACCOUNT.dump_json(live.account)
        return _json(body)

    async def verify(scope: Scope, _receive: Receive) -> Answer:
        now, token = clock(), bearer_token(scope)
        query: bytes = scope["query_string"]
        if token is not None and not query:
            answer = Answer(204, _identity(await credentials.find_session(token, now)))
        else:
            caller = await find_by_cookie(server, scope, now) if token is None else None
            if caller is None:
                caller = await credentials.find(token, scope[CLIENT], now)
            verifying = verified(server, caller, query, now)
            answer = await (_in_time(verifying) if query else verifying)
        if f"{scope['path']}/".startswith(FOR_ENVOY):
            answer.status = 200
            answer.headers = [*answer.headers, (b"content-length", b"0")]
        return answer

    # A page of the same origin, and everything that is no page, sends no Origin with a GET: CORS has nothing to say of it
    # but Vary, which it adds to every answer. The pages of other origins go through CORS first.
    server.plug(OUTER_LANES, Lane(ME, me, _is_plain_get, always=(VARY,)))
    server.plug(OUTER_LANES, Lane(VERIFY, verify, _is_no_page_or_preflight, below=True, always=(VARY,)))
    server.plug(LANES, Lane(ME, me, _is_get))
    server.plug(LANES, Lane(VERIFY, verify, below=True))
    server.plug(LANES, Lane(LOGIN, _login_lane(server), _is_post, reads=True))
    if server.rotations is not None:
        refresh = _refresh_lane(server, server.rotations)
        server.plug(OUTER_LANES, Lane(REFRESH, refresh, _is_plain_json, reads=True, always=(VARY,)))


async def _in_time(verifying: Coroutine[Any, Any, Answer]) -> Answer:
    # A refusal is recorded through the pool, and in front of `Guard` there is no other deadline. As there, a task that waits
    # for a stuck database may not end when it is cancelled.
    task = asyncio.ensure_future(verifying)
    await asyncio.wait({task}, timeout=REFUSAL_SECONDS)
    if task.done():
        return task.result()
    lingering.add(task)
    task.add_done_callback(_lingered)
    task.cancel()
    raise Unavailable


lingering: set[asyncio.Task[Answer]] = set()


def _lingered(task: asyncio.Task[Answer]) -> None:
    lingering.discard(task)
    if not task.cancelled():
        task.exception()


def _refresh_lane(server: Server, rotations: Rotations) -> Callable[[Scope, Receive], Awaitable[Answer | None]]:
    async def refresh(scope: Scope, receive: Receive) -> Answer | None:
        body = await _small_body(receive)
        if body is None:
            return None
        try:
            asked = RefreshIn.model_validate_json(body)
        except ValidationError:
            return None  # the route says what is wrong
        if asked.refresh_token is None or asked.transport == "cookie":
            return None
        await count_once(server, scope, "refresh")
        kit = server.kit(AuthKit)
        pair = await refresh_plainly(rotations, kit, asked.refresh_token, scope[CLIENT], server.clock())
        return _json(TokensOut.model_validate(pair, from_attributes=True).model_dump_json().encode()) if pair else None

    return refresh


def _login_lane(server: Server) -> Callable[[Scope, Receive], Awaitable[Response | None]]:
    async def login(scope: Scope, receive: Receive) -> Response | None:
        request = Request(scope, receive)
        try:
            asked = await read_login(request)
        except (RequestValidationError, UnsupportedMediaType):
            return None  # the route says what is wrong
        if asked.transport == "cookie":
            return None
        await count_once(server, scope, "login")
        device, now = asked.device or server.cookies.read(scope, DEVICE), server.clock()
        kit = server.kit(AuthKit)
        remembered = server.cookies.read(scope, REMEMBERED)
        pair = await service.log_in(
            server.database, kit, asked.identifier, asked.password, device, scope[CLIENT], now, remembered=remembered
        )
        if isinstance(pair, Owed):
            owed = OwedOut.model_validate(pair, from_attributes=True).model_dump_json()
            return Response(owed, media_type="application/json")
        body = LoginOut.model_validate(pair, from_attributes=True).model_dump_json()
        response = Response(body, media_type="application/json")
        if not is_form_of_another(server, scope):  # it would make this browser a known device of somebody else's account
            hand_over(response, server, pair, now)
        return response

    return login


async def _small_body(receive: Receive) -> bytes | None:
    """A body that came with its head, as a client's library sends it; None for any other, which is read under the deadline."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            message = await receive()
    except TimeoutError:
        return None
    body: bytes = message.get("body", b"")
    return None if message["type"] != "http.request" or message.get("more_body") or len(body) > MOST_BODY else body


def _json(body: bytes) -> Answer:
    return Answer(200, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))], body)


def _is_post(scope: Scope) -> bool:
    method: str = scope["method"]
    return method == "POST"


def _is_get(scope: Scope) -> bool:
    method: str = scope["method"]
    return method == "GET"


def _is_plain_get(scope: Scope) -> bool:
    return scope["method"] == "GET" and not _has_origin(scope)


def _is_no_page_or_preflight(scope: Scope) -> bool:
    # A preflight, which CORS would answer with 200, must pass no gateway.
    return scope["method"] == "OPTIONS" or not _has_origin(scope)


def _has_origin(scope: Scope) -> bool:
    for name, _ in scope["headers"]:  # noqa: SIM110 -- any() over a generator takes four times as long
        if name == b"origin":
            return True
    return False


def bearer_token(scope: Scope) -> str | None:
    """The token as the OAuth2 scheme of the routes reads it: of the first Authorization header."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            said: str = value.decode("latin-1")
            if said.startswith("Bearer "):  # as nearly everybody writes it
                return said[7:].strip()
            scheme, token = get_authorization_scheme_param(said)
            return token if scheme.lower() == "bearer" else None
    return None


def _is_plain_json(scope: Scope) -> bool:
    return scope["method"] == "POST" and (b"content-type", b"application/json") in scope["headers"] and not _has_origin(scope)


async def verified(server: Server, caller: Caller, query: bytes, now: datetime) -> Answer:
    """Who it is, for the application behind the gateway.

    The caller must have every role that is named, not any, and reach every `acr` and `max_age`: some gateways append the
    client's own query, which may then ask for more and never for less.

    Raises:
        Forbidden: a role is missing, which is recorded; or `acr` or `max_age` is none.
        Impersonated: somebody acts as the account, and what is asked for is a role of staff or a proof; it is recorded.
        ProofTooWeak, ProofTooOld: the proof of who it is does not do.
    """
    account = caller.me
    more: Headers = []
    if query:
        asked = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        if any(value != account.role.value for value in _named(asked, "role")):
            await refuse(server, caller, now, "This needs a role that you do not have.")
        if caller.impersonator is not None and _wants_themselves(asked, account):
            await deny(server, caller, now, Impersonated(headers={ACTOR: str(caller.impersonator)}))
        more = _assured(caller, _named(asked, "acr"), _named(asked, "max_age"), now)
    return Answer(204, [*_headers(account, caller.session_id, caller.impersonator), *more])


def _identity(live: LiveSession) -> Headers:
    headers: Headers | None = live.made.get(VERIFY)
    if headers is None:
        headers = live.made[VERIFY] = _headers(live.account, live.id, live.impersonator_id)
    return headers


def _headers(account: Account, session_id: uuid.UUID | None, impersonator: uuid.UUID | None) -> Headers:
    values = (account.id, account.username, account.role.value, session_id)
    headers = [(name, str(value).encode()) for name, value in zip(NAMES, values, strict=True)]
    return headers if impersonator is None else [*headers, (ACTOR.lower().encode(), str(impersonator).encode())]


def _wants_themselves(asked: list[tuple[str, str]], account: Account) -> bool:
    names = {name for name, _ in asked}
    return not names.isdisjoint(("acr", "max_age")) or ("role" in names and is_staff(account.role))


def _named(asked: list[tuple[str, str]], wanted: str) -> list[str]:
    return [value for name, value in asked if name == wanted]


def _assured(caller: Caller, levels: list[str], ages: list[str], now: datetime) -> Headers:
    """What tells whoever asked that this server knows of assurance; an older one would have said yes to anything."""
    if not (set(levels) <= set(LEVELS) and all(map(SECONDS.fullmatch, ages))):
        raise Forbidden("There is no such assurance to ask for.")
    if not levels and not ages:
        return []
    max_age = timedelta(seconds=min(map(int, ages))) if ages else None
    check_assurance(caller, max(levels, key=LEVELS.index, default=AAL1), max_age, now)
    return [(ASSURED.lower().encode(), LEVELS[level_of(caller.acr)].encode())]
