"""How a route says who may call it; who that is, with what proofs, is a `Caller` (identity.py).

Every route states one of `SignedIn`, `Assurance(…)`, `Fresh`, `Backed`, `May(…)` or `PUBLIC`, every page
one of `PageCaller`, `FreshPage`, `BackedPage`, `PageMay(…)`, `MaybeCaller` or `PUBLIC`; a test finds the one that does not.
Routes take a bearer token or, from pages that may call, the session's cookie; pages take the cookie alone.
Who acts as somebody else is refused by all of these but the ones for anybody; what they may see says `ActingToo` or `ActingPage`.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, NoReturn
from urllib.parse import quote

from fastapi import Depends, Request, Security, params
from fastapi.security import OAuth2PasswordBearer
from starlette.types import Scope

from app.core.acting import ACTING, ACTING_ENDED
from app.core.assurance import AAL1, AAL2, LEVELS, reaches
from app.core.client import CLIENT, client_of
from app.core.csrf import check_cookie_call
from app.core.deps import moment_in, server_in
from app.core.errors import (
    Forbidden,
    Impersonated,
    ProofTooOld,
    ProofTooWeak,
    SignInNeeded,
    TokenInvalid,
    Unauthenticated,
)
from app.core.identity import CREDENTIALS, DENIED, DOORS, FRESH, OPERATOR_AGENT, Caller, confirm, deputy, operator
from app.core.permissions import Permission, holds
from app.core.server import Server

# Who takes a rule mostly needs these beside it, and finds them here too.
__all__ = ["CREDENTIALS", "DENIED", "FRESH", "OPERATOR_AGENT", "Caller", "confirm", "deputy", "operator"]
ASK_AGAIN_SECONDS = 5.0
SIGN_IN, REAUTHENTICATE = "/account/sign-in", "/account/reauthenticate"
bearer = OAuth2PasswordBearer(
    tokenUrl="/auth/login",
    refreshUrl="/auth/refresh",
    scheme_name="Login",
    description="Sign in with username (or address) and password; the access token is then sent as a bearer token.",
    auto_error=False,
)


async def signed_in(request: Request, token: Annotated[str | None, Security(bearer)]) -> Caller:
    """A caller with a live session of their own, whatever the role. A bearer token counts before a cookie."""
    return await _themselves(request, await acting_too(request, token))


async def acting_too(request: Request, token: Annotated[str | None, Security(bearer)]) -> Caller:
    """As `signed_in`, and whoever acts as somebody else: for the little that they may see."""
    server = server_in(request)
    if token is None and server.cookies.holding(request.scope) is not None:
        check_cookie_call(server, request.scope)
    return await presented(request, token)


async def _themselves(request: Request, caller: Caller) -> Caller:
    if caller.impersonator is not None:
        await deny(server_in(request), caller, moment_in(request), Impersonated())
    return caller


async def presented(request: Request, token: Annotated[str | None, Security(bearer)]) -> Caller:
    """As `signed_in`, wherever the request comes from: for those that somebody else's application must judge."""
    server, now = server_in(request), moment_in(request)
    found = await find_by_cookie(server, request.scope, now) if token is None else None
    return found or await CREDENTIALS.one(server.parts).find(token, client_of(request), now)


async def find_by_cookie(server: Server, scope: Scope, now: datetime) -> Caller | None:
    """Whose session the browser holds; None for one that holds none.

    Raises:
        Unauthenticated: the cookie is not good, or in the place of the other kind.
        Unavailable: it can't be known.
    """
    held = server.cookies.holding(scope)
    if held is None:
        return None
    cookie, acting = held
    caller = await CREDENTIALS.one(server.parts).find_by_cookie(cookie, scope[CLIENT], now)
    if (caller.impersonator is not None) is not acting:
        raise TokenInvalid
    return caller


async def fresh(request: Request, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """A caller who proved who they are within the last ten minutes, with a second factor if they have one.

    Refreshing a token is no proof.
    """
    return await see_fresh(server_in(request), caller, moment_in(request))


async def see_fresh(server: Server, caller: Caller, now: datetime) -> Caller:
    """The caller again.

    Raises:
        ProofTooWeak, ProofTooOld: they are not `fresh`.
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


async def backed(request: Request, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """A caller who gave their second factor within the last ten minutes, if they have one; their password comes with the call."""
    missing = await missing_proof(server_in(request), caller, moment_in(request), first=False)
    if missing is not None:
        raise missing
    return caller


def check_assurance(caller: Caller, acr: str, max_age: timedelta | None, now: datetime) -> None:
    """See that the caller proved who they are at least so well, and within `max_age` if there is one.

    Raises:
        ProofTooWeak, ProofTooOld: they did not.
        Impersonated: somebody else acts, who never did.
    """
    if caller.impersonator is not None:
        raise Impersonated
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

    async def assured(request: Request, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
        check_assurance(caller, acr, max_age, moment_in(request))
        return caller

    rule: params.Depends = Depends(assured)
    return rule


def holds_still(server: Server, caller: Caller, permission: Permission) -> Callable[[], Awaitable[None]]:
    """For an answer that takes long: asks again, every five seconds at most, whether the caller may still have it.

    What it returns raises:
        Unauthenticated: the session ended, or the role no longer holds the permission.
    """
    asked_at = time.monotonic()

    async def ask() -> None:
        nonlocal asked_at
        if time.monotonic() - asked_at < ASK_AGAIN_SECONDS:
            return
        live = await server.sessions.find_live(caller.session_id, server.clock()) if caller.session_id else None
        if live is None or not holds(live.account.role, permission):
            raise Unauthenticated
        asked_at = time.monotonic()

    return ask


async def page_caller(request: Request) -> Caller:
    """Who looks at a page, by their own session's cookie alone; anybody else is led to sign in."""
    return await _themselves(request, await acting_page(request))


async def acting_page(request: Request) -> Caller:
    """As `page_caller`, and whoever acts as somebody else."""
    caller = await maybe_caller(request)
    if caller is None:
        raise SignInNeeded(f"{SIGN_IN}?next={quote(request.scope['path'])}")
    return caller


async def fresh_page(request: Request, caller: Annotated[Caller, Depends(page_caller)]) -> Caller:
    """Who looks at a page, and is `fresh`; anybody else is led to prove it."""
    if await missing_proof(server_in(request), caller, moment_in(request)) is not None:
        raise SignInNeeded(f"{REAUTHENTICATE}?next={quote(request.scope['path'])}")
    return caller


async def backed_page(request: Request, caller: Annotated[Caller, Depends(page_caller)]) -> Caller:
    """Who looks at a page, and is `backed`; anybody else is led to prove it."""
    if await missing_proof(server_in(request), caller, moment_in(request), first=False) is not None:
        raise SignInNeeded(f"{REAUTHENTICATE}?next={quote(request.scope['path'])}")
    return caller


async def maybe_caller(request: Request) -> Caller | None:
    """Who looks at a page that is for anybody; None for somebody who is not signed in.

    Whoever acted as somebody else until now is told so, before they go on as themselves.
    """
    server = server_in(request)
    try:
        caller = await find_by_cookie(server, request.scope, moment_in(request))
        if caller is not None and caller.impersonator is not None:
            request.scope[ACTING] = await CREDENTIALS.one(server.parts).look_at_acting(caller)
    except Unauthenticated:
        _, acting = server.cookies.holding(request.scope) or ("", False)
        if acting:
            raise SignInNeeded(ACTING_ENDED) from None
        return None
    return caller


async def _strong_enough(server: Server, caller: Caller, now: datetime) -> Caller:
    if not reaches(caller.acr, AAL2) and await CREDENTIALS.one(server.parts).falls_short(caller, now):
        raise ProofTooWeak(AAL2, None)
    return caller


@dataclass(frozen=True, slots=True)
class Permitted:
    """A caller whose role holds a permission at this moment; the refusal of others is recorded (ASVS V16.3.2).

    Where staff must have a second factor (MFA), it must have had part in the session: one may be older than that rule, or opened
    on a device that was remembered.

    By cookie only pages of ours may ask: a flaw in an application of CORS_ORIGINS is none in the administration of people. And
    only a browser that is in the console, or whose owner has just proved who they are: what its door keeps out stays out here.
    """

    permission: Permission
    fresh: bool = False

    async def __call__(self, request: Request, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
        """The rule of `May`."""
        server, now = server_in(request), moment_in(request)
        if caller.cookie is None:
            return await self.check(server, caller, now)
        check_cookie_call(server, request.scope, ours=True)
        await self.check(server, caller, now)
        if not all(is_open(request.scope, caller, now) for is_open in DOORS.of(server.parts)):
            await see_fresh(server, caller, now)
        return caller

    async def check(self, server: Server, caller: Caller, now: datetime) -> Caller:
        """The caller again.

        Raises:
            Forbidden: the role does not hold it.
            ProofTooWeak: it does, but the session had no second factor where staff must have one.
            ProofTooOld: a fresh proof is asked for, too.
        """
        if not holds(caller.me.role, self.permission):
            await refuse(server, caller, now, f"This needs the permission {self.permission}.")
        await _strong_enough(server, caller, now)
        return await see_fresh(server, caller, now) if self.fresh else caller


@dataclass(frozen=True, slots=True)
class PermittedPage:
    """As `Permitted`, for who looks at a page; anybody who is not signed in is led to do so."""

    permission: Permission

    async def __call__(self, request: Request, caller: Annotated[Caller, Depends(page_caller)]) -> Caller:
        """The rule of `PageMay`."""
        return await Permitted(self.permission).check(server_in(request), caller, moment_in(request))


def May(permission: str, *, fresh: bool = False) -> params.Depends:  # noqa: N802 -- reads as the other rules do
    """`Annotated[Caller, May("users:read")]`; with `fresh`, a caller who is `Fresh` too.

    Raises:
        ValueError: there is no such permission.
    """
    rule: params.Depends = Depends(Permitted(Permission(permission), fresh))
    return rule


def PageMay(permission: str) -> params.Depends:  # noqa: N802 -- as above
    """`May` for a page.

    Raises:
        ValueError: there is no such permission.
    """
    rule: params.Depends = Depends(PermittedPage(Permission(permission)))
    return rule


async def refuse(server: Server, caller: Caller, now: datetime, detail: str) -> NoReturn:
    """Record that this caller was refused, then refuse (ASVS V16.3.2).

    Raises:
        Forbidden: always.
    """
    await deny(server, caller, now, Forbidden(detail))


async def deny(server: Server, caller: Caller, now: datetime, refusal: Forbidden) -> NoReturn:
    """As `refuse`, in other words."""
    async with server.database.write() as db:
        for record in DENIED.within(db):
            await record(db, caller, now)
    raise refusal


async def public() -> None:
    """Anybody, signed in or not."""


SignedIn = Annotated[Caller, Depends(signed_in)]
ActingToo = Annotated[Caller, Depends(acting_too)]
Presented = Annotated[Caller, Depends(presented)]
Fresh = Annotated[Caller, Depends(fresh)]
Backed = Annotated[Caller, Depends(backed)]
PageCaller = Annotated[Caller, Depends(page_caller)]
ActingPage = Annotated[Caller, Depends(acting_page)]
FreshPage = Annotated[Caller, Depends(fresh_page)]
BackedPage = Annotated[Caller, Depends(backed_page)]
MaybeCaller = Annotated[Caller | None, Depends(maybe_caller)]
PUBLIC = Depends(public)
ACCESS_RULES = (
    signed_in,
    acting_too,
    presented,
    fresh,
    backed,
    page_caller,
    acting_page,
    fresh_page,
    backed_page,
    maybe_caller,
    public,
)
