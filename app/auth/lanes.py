"""GET /auth/me and /auth/verify, answered before routing by the same credentials as everything else."""

from datetime import datetime
from urllib.parse import parse_qsl

from fastapi.security.utils import get_authorization_scheme_param
from pydantic import TypeAdapter
from starlette.types import Scope

from app.core.caller import CREDENTIALS, Caller, refuse
from app.core.client import CLIENT
from app.core.fastlane import LANES, OUTER_LANES, Answer, Lane
from app.core.ports import Account
from app.core.server import Server

ME, VERIFY = "/auth/me", "/auth/verify"
VARY = (b"vary", b"Origin")
IDENTITY = {
    "X-Auth-User": "The account's id",
    "X-Auth-Username": "Its username",
    "X-Auth-Roles": "Its roles, with commas between them",
    "X-Auth-Session": "The session's id",
}
NAMES = [name.lower().encode() for name in IDENTITY]
ACCOUNT = TypeAdapter(Account)  # the fields of UserOut, which a test compares: half the time of going through the model


def install_lanes(server: Server) -> None:
    """Take GET /auth/me, and any method on /auth/verify and below it."""
    credentials, clock = CREDENTIALS.one(server.parts), server.clock

    async def me(scope: Scope) -> Answer:
        caller = await credentials.find(bearer_token(scope), scope[CLIENT], clock())
        body = ACCOUNT.dump_json(caller.me)
        return Answer(200, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))], body)

    async def verify(scope: Scope) -> Answer:
        now = clock()
        caller = await credentials.find(bearer_token(scope), scope[CLIENT], now)
        return await verified(server, caller, scope["query_string"], now)

    # A page of the same origin, and everything that is no page, sends no Origin with a GET: CORS has nothing to say of it
    # but Vary, which it adds to every answer. The pages of other origins go through CORS first.
    server.plug(OUTER_LANES, Lane(ME, me, _is_plain_get, always=(VARY,)))
    server.plug(OUTER_LANES, Lane(VERIFY, verify, below=True))
    server.plug(LANES, Lane(ME, me, _is_get))


def _is_get(scope: Scope) -> bool:
    method: str = scope["method"]
    return method == "GET"


def _is_plain_get(scope: Scope) -> bool:
    if scope["method"] != "GET":
        return False
    for name, _ in scope["headers"]:  # noqa: SIM110 -- any() over a generator takes four times as long
        if name == b"origin":
            return False
    return True


def bearer_token(scope: Scope) -> str | None:
    """The token as the OAuth2 scheme of the routes reads it: of the first Authorization header."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, token = get_authorization_scheme_param(value.decode("latin-1"))
            return token if scheme.lower() == "bearer" else None
    return None


async def verified(server: Server, caller: Caller, query: bytes, now: datetime) -> Answer:
    """Who it is, for the application behind the gateway.

    Of roles the caller must have every one that is named, not any: some gateways append the client's own query, which may
    then ask for more and never for less.

    Raises:
        Forbidden: a role is missing; recorded.
    """
    account = caller.me
    if query:
        named = [value for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if name == "role"]
        if any(value != account.role.value for value in named):
            await refuse(server, caller, now, "This needs a role that you do not have.")
    values = (account.id, account.username, account.role.value, caller.session_id)
    return Answer(204, [(name, str(value).encode()) for name, value in zip(NAMES, values, strict=True)])
