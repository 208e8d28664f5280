"""Who is calling, with what proofs; and how a route says who may call it.

Every route states one of `SignedIn`, `Assurance(…)`, `Fresh`, `Backed`, `Admin`, `FreshAdmin` or `PUBLIC`, every page one of
`PageCaller`, `FreshPage`, `BackedPage`, `MaybeCaller` or `PUBLIC`; a test finds the one that does not. Routes take a bearer
token or, from pages that may call, the session's cookie; pages take the cookie alone.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, NoReturn, Protocol
from urllib.parse import quote

from fastapi import Depends, Request, Security, params
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.assurance import AAL1, AAL2, LEVELS, reaches
from app.core.client import Client, client_of
from app.core.cookies import SESSION
from app.core.csrf import check_cookie_call
from app.core.deps import Now, ServerOf
from app.core.errors import Forbidden, ProofTooOld, ProofTooWeak, SignInNeeded, Unauthenticated
from app.core.permissions import Role
from app.core.ports import Account
from app.core.server import Server
from app.core.sockets import Socket

OPERATOR_AGENT = "command line"
FRESH = timedelta(minutes=10)
SIGN_IN, REAUTHENTICATE = "/account/sign-in", "/account/reauthenticate"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts. A value: it says what was true when the request was checked, not what is true later."""

    account: Account | None
    session_id: uuid.UUID | None
    token_id: str
    token_expires_at: datetime | None
    client: Client
    authenticated_at: datetime | None = None  # the last proof of who it is
    acr: str = AAL1  # how well that proof proved it
    cookie: str | None = field(default=None, repr=False)  # the cookie that the request came by, where it was no bearer token

    def is_fresh(self, now: datetime, max_age: timedelta = FRESH) -> bool:
        """Whether the last proof is young enough; if nothing is said, for what must not be done by a forgotten tab."""
        return self.authenticated_at is not None and now - self.authenticated_at <= max_age

    @property
    def user_id(self) -> uuid.UUID | None:
        """The account's id; None for the operator at the command line."""
        return self.account.id if self.account else None

    @property
    def me(self) -> Account:
        """The account of a caller known to have one (routes always do)."""
        if self.account is None:
            raise LookupError("the operator has no account")
        return self.account


def operator(now: datetime) -> Caller:
    """The person at the command line, who owns the machine."""
    return Caller(None, None, "", None, Client(address="", user_agent=OPERATOR_AGENT, request_id=f"cli-{now:%H%M%S%f}"))


class Credentials(Protocol):
    """How callers are found and found again. `auth` plugs it."""

    async def find(self, token: str | None, client: Client, now: datetime) -> Caller:
        """The caller a bearer token stands for, checked against the row now.

        Raises:
            Unauthenticated: none, or not good any more.
            Unavailable: it can't be known.
        """
        ...

    async def find_by_cookie(self, cookie: str, client: Client, now: datetime) -> Caller:
        """The caller whose browser holds this cookie, checked against the same row.

        Raises:
            Unauthenticated: it is not good (any more).
            Unavailable: it can't be known.
        """
        ...

    async def confirm(self, db: AsyncSession, caller: Caller, now: datetime) -> None:
        """Read the caller's own session again inside a writing transaction whose user row is locked.

        Raises:
            Unauthenticated: it ended since the request began.
        """
        ...

    async def has_second_factor(self, caller: Caller) -> bool:
        """Whether the caller's account has a factor that a login by password owes, asked of the database now."""
        ...

    async def falls_short(self, caller: Caller, now: datetime) -> bool:
        """Whether the caller's account must have a second factor, and a login as weak as this session would owe one now."""
        ...


class Denial(Protocol):
    """Records that a signed-in caller was refused. `audit` plugs it."""

    async def __call__(self, db: AsyncSession, caller: Caller, now: datetime) -> None:
        """Write it down in this transaction."""
        ...


CREDENTIALS: Socket[Credentials] = Socket("core.CREDENTIALS")
DENIED: Socket[Denial] = Socket("core.DENIED")

bearer = OAuth2PasswordBearer(
    tokenUrl="/auth/login",
    refreshUrl="/auth/refresh",
    scheme_name="Login",
    description="Sign in with username (or address) and password; the access token is then sent as a bearer token.",
    auto_error=False,
)


async def confirm(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """See `Credentials.confirm`; the operator has no session to lose."""
    if caller.session_id is not None:
        (credentials,) = CREDENTIALS.within(db)
        await credentials.confirm(db, caller, now)


async def signed_in(request: Request, server: ServerOf, now: Now, token: Annotated[str | None, Security(bearer)]) -> Caller:
    """A caller with a live session, whatever the role. A bearer token counts before a cookie."""
    if token is None and server.cookies.read(request.scope, SESSION) is not None:
        check_cookie_call(server, request.scope)
    return await presented(request, server, now, token)


async def presented(request: Request, server: ServerOf, now: Now, token: Annotated[str | None, Security(bearer)]) -> Caller:
    """As `signed_in`, wherever the request comes from: for those that somebody else's application must judge."""
    credentials = CREDENTIALS.one(server.parts)
    cookie = server.cookies.read(request.scope, SESSION) if token is None else None
    if cookie is not None:
        return await credentials.find_by_cookie(cookie, client_of(request), now)
    return await credentials.find(token, client_of(request), now)


async def fresh(server: ServerOf, now: Now, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """A caller who proved who they are within the last ten minutes, with a second factor if they have one.

    Refreshing a token is no proof.
    """
    missing = await missing_proof(server, caller, now)
    if missing is not None:
        raise missing
    return caller


async def missing_proof(server: Server, caller: Caller, now: datetime, *, first: bool = True) -> Unauthenticated | None:
    """What a caller lacks for what could do lasting harm. Without `first` the one factor of who has no other may be old.

    Only who did not give two factors of late is asked about: most routes, and most of these calls, cost no question.
    """
    young, seconds = caller.is_fresh(now), int(FRESH.total_seconds())
    if young and reaches(caller.acr, AAL2):
        return None
    if await CREDENTIALS.one(server.parts).has_second_factor(caller):
        return ProofTooWeak(AAL2, seconds)
    return ProofTooOld(seconds) if first and not young else None


async def backed(server: ServerOf, now: Now, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """A caller who gave their second factor within the last ten minutes, if they have one; their password comes with the call."""
    missing = await missing_proof(server, caller, now, first=False)
    if missing is not None:
        raise missing
    return caller


def check_assurance(caller: Caller, acr: str, max_age: timedelta | None, now: datetime) -> None:
    """See that the caller proved who they are at least so well, and within `max_age` if there is one.

    Raises:
        ProofTooWeak, ProofTooOld: they did not.
    """
    if reaches(caller.acr, acr) and (max_age is None or caller.is_fresh(now, max_age)):
        return
    seconds = int(max_age.total_seconds()) if max_age is not None else None
    raise ProofTooOld(seconds) if acr == AAL1 and seconds is not None else ProofTooWeak(acr, seconds)


def Assurance(acr: str, *, max_age: timedelta | None = None) -> params.Depends:  # noqa: N802 -- reads as the other rules do
    """`Annotated[Caller, Assurance("aal2", max_age=timedelta(minutes=5))]`: a caller who proved that well, that lately.

    Raises:
        ValueError: there is no such level.
    """
    if acr not in LEVELS:
        raise ValueError(f"acr: wanted one of {', '.join(LEVELS)}")

    async def assured(now: Now, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
        check_assurance(caller, acr, max_age, now)
        return caller

    rule: params.Depends = Depends(assured)
    return rule


async def page_caller(request: Request, server: ServerOf, now: Now) -> Caller:
    """Who looks at a page, by the session's cookie alone; anybody else is led to sign in."""
    caller = await maybe_caller(request, server, now)
    if caller is None:
        raise SignInNeeded(f"{SIGN_IN}?next={quote(request.scope['path'])}")
    return caller


async def fresh_page(request: Request, server: ServerOf, now: Now, caller: Annotated[Caller, Depends(page_caller)]) -> Caller:
    """Who looks at a page, and is `fresh`; anybody else is led to prove it."""
    if await missing_proof(server, caller, now) is not None:
        raise SignInNeeded(f"{REAUTHENTICATE}?next={quote(request.scope['path'])}")
    return caller


async def backed_page(request: Request, server: ServerOf, now: Now, caller: Annotated[Caller, Depends(page_caller)]) -> Caller:
    """Who looks at a page, and is `backed`; anybody else is led to prove it."""
    if await missing_proof(server, caller, now, first=False) is not None:
        raise SignInNeeded(f"{REAUTHENTICATE}?next={quote(request.scope['path'])}")
    return caller


async def maybe_caller(request: Request, server: ServerOf, now: Now) -> Caller | None:
    """Who looks at a page that is for anybody; None for somebody who is not signed in."""
    cookie = server.cookies.read(request.scope, SESSION)
    if cookie is None:
        return None
    try:
        return await CREDENTIALS.one(server.parts).find_by_cookie(cookie, client_of(request), now)
    except Unauthenticated:
        return None


async def admin(server: ServerOf, now: Now, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """A caller whose row says admin at this moment; the refusal of others is recorded (ASVS V16.3.2).

    Where admins must have a second factor (MFA), it must have had part in the session: one may be older than that rule, or
    opened on a device that was remembered.
    """
    if caller.me.role is not Role.ADMIN:
        await refuse(server, caller, now, "This needs the role admin.")
    if not reaches(caller.acr, AAL2) and await CREDENTIALS.one(server.parts).falls_short(caller, now):
        raise ProofTooWeak(AAL2, None)
    return caller


async def fresh_admin(server: ServerOf, now: Now, caller: Annotated[Caller, Depends(admin)]) -> Caller:
    """A caller who is both `admin` and `fresh`."""
    return await fresh(server, now, caller)


async def refuse(server: Server, caller: Caller, now: datetime, detail: str) -> NoReturn:
    """Record that this caller was refused, then refuse (ASVS V16.3.2).

    Raises:
        Forbidden: always.
    """
    async with server.database.write() as db:
        for record in DENIED.within(db):
            await record(db, caller, now)
    raise Forbidden(detail)


async def public() -> None:
    """Anybody, signed in or not."""


SignedIn = Annotated[Caller, Depends(signed_in)]
Presented = Annotated[Caller, Depends(presented)]
Fresh = Annotated[Caller, Depends(fresh)]
Backed = Annotated[Caller, Depends(backed)]
Admin = Annotated[Caller, Depends(admin)]
FreshAdmin = Annotated[Caller, Depends(fresh_admin)]
PageCaller = Annotated[Caller, Depends(page_caller)]
FreshPage = Annotated[Caller, Depends(fresh_page)]
BackedPage = Annotated[Caller, Depends(backed_page)]
MaybeCaller = Annotated[Caller | None, Depends(maybe_caller)]
PUBLIC = Depends(public)
ACCESS_RULES = (
    signed_in,
    presented,
    fresh,
    backed,
    admin,
    fresh_admin,
    page_caller,
    fresh_page,
    backed_page,
    maybe_caller,
    public,
)
