"""Where higher packages take part in registering, in logging in step by step, and in starting a reset."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.assurance import AAL2
from app.core.client import Client
from app.core.ports import Account
from app.core.sockets import Socket
from app.users.models import User


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who wants an account, with the password hashed."""

    username: str
    email: str
    password_hash: str
    scheme: str
    locale: str | None


class Registered(Protocol):
    """Hears that somebody registered, in the same transaction."""

    async def __call__(self, db: AsyncSession, user: User, client: Client, now: datetime, /) -> None:
        """The account was made."""
        ...


class Pending(Protocol):
    """Keeps registrations until the address is proved; where one is plugged, registering makes no account."""

    async def __call__(self, db: AsyncSession, applicant: Applicant, client: Client, now: datetime, /) -> None:
        """Write it down, whether or not the address is taken.

        Raises:
            UsernameTaken: somebody has the name, or asked for it before.
        """
        ...


class StartReset(Protocol):
    """Has a reset link mailed to the account's address, in the same transaction."""

    async def __call__(self, db: AsyncSession, user: User, client: Client, now: datetime, /) -> None:
        """The account's row is locked."""
        ...


@dataclass(frozen=True, slots=True)
class Factor:
    """A kind of second factor: how auth finds out who has it, all kinds in one statement, and takes it from somebody.

    Attributes:
        name: what `methods` of an answer lists.
        owes: whether having it makes a login owe a second step.
        ids: the ids of what an account has of it, by the parameter `user_id`.
        remove: takes all of it from an account whose row is held.
    """

    name: str
    owes: bool
    ids: Select[uuid.UUID]
    remove: Callable[[AsyncSession, uuid.UUID], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The factors of an account: their names; those that make a login owe a step; a digest that changes as those do."""

    names: frozenset[str]
    owing: frozenset[str]
    mark: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody who gave a first proof and would be let in: how they proved it, what they have enrolled.

    `remembered` is what their browser holds of an earlier second step.
    """

    account: Account
    amr: str
    acr: str
    enrolled: Enrolled
    remembered: str | None


@dataclass(frozen=True, slots=True)
class Debt:
    """What is still owed before a session opens: the answer's status, and by which methods it can be given."""

    status: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grace:
    """Nothing is owed until then: a session that is opened now ends there."""

    until: datetime


class LoginStep(Protocol):
    """A rule that whoever is let in has to pass, in the transaction that would open the session."""

    async def owes(self, db: AsyncSession, entry: Entry, now: datetime, /) -> Debt | Grace | None:
        """What this one still owes, or will; the account's row is held."""
        ...

    async def requires(self, db: AsyncSession, account: Account, now: datetime, /) -> bool:
        """Whether this account must not be without a factor; its row is held."""
        ...


@dataclass(frozen=True, slots=True)
class Proved:
    """A second proof that was right.

    Attributes:
        amr: its value for the session (RFC 8176 where that has one).
        factor: which one it was; None if that can't be lost.
        kind: of `factor`.
        acr: the level it reaches beside a password.
        alone: whether it reaches that level whatever the first proof was.
    """

    amr: str
    kind: str
    factor: uuid.UUID | None = None
    acr: str = AAL2
    alone: bool = False


class SecondProof(Protocol):
    """Checks one kind of second proof."""

    @property
    def name(self) -> str:
        """Its method, as in `methods`."""
        ...

    async def check(self, db: AsyncSession, user_id: uuid.UUID, bound_to: uuid.UUID, value: Any, now: datetime) -> Proved | None:
        """Check and spend what was given; None for a wrong one. The account's row is held, the try was charged before.

        `bound_to` is the attempt that is to be finished, or the session that is to be proved anew. What is spent stays spent
        only if the transaction is committed.
        """
        ...


FACTORS: Socket[Factor] = Socket("auth.FACTORS")
LOGIN_STEPS: Socket[LoginStep] = Socket("auth.LOGIN_STEPS")
SECOND_PROOFS: Socket[SecondProof] = Socket("auth.SECOND_PROOFS")
REGISTERED: Socket[Registered] = Socket("auth.REGISTERED")
PENDING: Socket[Pending] = Socket("auth.PENDING")
START_RESET: Socket[StartReset] = Socket("auth.START_RESET")
