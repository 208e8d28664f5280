"""Who is calling, with what proofs; and how a route says who may call it.

Every route states one of `SignedIn`, `Admin` or `PUBLIC`; a test finds the route that does not.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NoReturn, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.client import Client, client_of
from app.core.deps import Now, ServerOf
from app.core.errors import Forbidden
from app.core.permissions import Role
from app.core.ports import Account
from app.core.server import Server
from app.core.sockets import Socket

OPERATOR_AGENT = "command line"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts. A value: it says what was true when the request was checked, not what is true later."""

    account: Account | None
    session_id: uuid.UUID | None
    token_id: str
    token_expires_at: datetime | None
    client: Client

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

    async def confirm(self, db: AsyncSession, caller: Caller, now: datetime) -> None:
        """Read the caller's own session again inside a writing transaction whose user row is locked.

        Raises:
            Unauthenticated: it ended since the request began.
        """
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
    """A caller with a live session, whatever the role."""
    return await CREDENTIALS.one(server.parts).find(token, client_of(request), now)


async def admin(server: ServerOf, now: Now, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """A caller whose row says admin at this moment; the refusal of others is recorded (ASVS V16.3.2)."""
    if caller.me.role is not Role.ADMIN:
        await refuse(server, caller, now, "This needs the role admin.")
    return caller


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
Admin = Annotated[Caller, Depends(admin)]
PUBLIC = Depends(public)
ACCESS_RULES = (signed_in, admin, public)
