"""Who is calling, with what proofs; and the sockets for what finds callers and records that one was refused."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Scope

from app.core.acting import Acting
from app.core.assurance import AAL1
from app.core.client import Client
from app.core.ports import Account, LiveSession
from app.core.sockets import Socket

OPERATOR_AGENT = "command line"
FRESH = timedelta(minutes=10)


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

    @property
    def impersonator(self) -> uuid.UUID | None:
        """Who really acts, where it is somebody else than the account's owner."""
        return self.client.impersonator

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


def deputy(account: Account, work_id: uuid.UUID) -> Caller:
    """Who asked for later work, while it is done: without a session, which need not live so long.

    Whoever uses it reads that account in the very transaction, and sees that it may still do this. What it does is recorded under
    the work's id, in the place of a request's.
    """
    return Caller(account, None, "", None, Client(address="", user_agent="", request_id=work_id.hex))


class Credentials(Protocol):
    """How callers are found and found again. `auth` plugs it."""

    async def find(self, token: str | None, client: Client, now: datetime) -> Caller:
        """The caller a bearer token stands for, checked against the row now.

        Raises:
            Unauthenticated: none, or not good any more.
            Unavailable: it can't be known.
        """
        ...

    async def find_session(self, token: str | None, now: datetime) -> LiveSession:
        """The session of that caller, checked in the same way: for an answer that says no more than its row does.

        Raises:
            Unauthenticated, Unavailable: as `find`.
        """
        ...

    async def find_by_cookie(self, cookie: str, client: Client, now: datetime) -> Caller:
        """The caller whose browser holds this cookie, checked against the same row.

        Raises:
            Unauthenticated: it is not good (any more).
            Unavailable: it can't be known.
        """
        ...

    async def look_at_acting(self, caller: Caller) -> Acting:
        """What the pages say of somebody who acts as another.

        Raises:
            Unauthenticated: it ended since the request began.
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


class Door(Protocol):
    """Says whether a browser's session is where staff act from. The console plugs it."""

    def __call__(self, scope: Scope, caller: Caller, now: datetime) -> bool:
        """Whether it is open to this request, which keeps it open no longer than it is."""
        ...


CREDENTIALS: Socket[Credentials] = Socket("core.CREDENTIALS")
DENIED: Socket[Denial] = Socket("core.DENIED")
DOORS: Socket[Door] = Socket("core.DOORS")


async def confirm(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """See `Credentials.confirm`; the operator has no session to lose."""
    if caller.session_id is not None:
        (credentials,) = CREDENTIALS.within(db)
        await credentials.confirm(db, caller, now)
