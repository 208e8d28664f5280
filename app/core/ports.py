"""Ports: what features need of the outside world. Each has its adapters in `app/infra`, chosen by `app/main.py`."""

import uuid
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Protocol

from app.core.assurance import AAL1
from app.core.latency import Steps
from app.core.permissions import Role


@dataclass(frozen=True, slots=True)
class Account:
    """The account as its row says at this moment."""

    id: uuid.UUID
    username: str
    email: str
    role: Role
    email_verified: bool
    created_at: datetime
    display_name: str | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that is alive at this moment, and whose it is.

    What a row says is parsed once, as long as it says the same: `made` is for what else is made of that and nothing but that.
    """

    id: uuid.UUID
    used_at: datetime
    account: Account
    authenticated_at: datetime  # the last proof of who it is
    cookie_digest: bytes | None = None  # of the browser's secret, where a browser holds it by cookie
    acr: str = AAL1  # how well that proof proved it
    impersonator_id: uuid.UUID | None = None  # who acts as the account in it, and is not the account's owner
    made: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


class SessionChecks(Protocol):
    """Asks the primary, at each call, whether a session is alive (DESIGN section 3). Never answers from memory.

    A question never joins a statement that was already sent: its snapshot may be older than somebody's answer.
    """

    batches: Steps  # how many questions shared each statement

    def find_live(self, session_id: uuid.UUID, now: datetime) -> Awaitable[LiveSession | None]:
        """The session if its row, and its user's, say it is alive. Asked when this is called, not when the answer is awaited.

        Raises:
            Unavailable: no answer within a second.
        """
        ...

    async def ping(self) -> None:
        """Return if the primary answers.

        Raises:
            Unavailable: it does not, within a second.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Rotation:
    """Somebody spends a generation of a session."""

    session_id: uuid.UUID
    user_id: uuid.UUID
    generation: int
    client: bytes
    now: datetime


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What tokens say of a session."""

    id: uuid.UUID
    generation: int
    rotated_at: datetime
    authenticated_at: datetime
    expires_at: datetime
    amr: str
    acr: str = AAL1
    impersonator_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Rotated:
    """A session with its next generation, committed, and whose it is."""

    session: SessionFacts
    account: Account


class Rotations(Protocol):
    """Spends generations of sessions, many in one commit: what refresh does when nothing is out of the ordinary."""

    batches: Steps  # how many shared each commit

    async def rotate(self, rotation: Rotation) -> Rotated | None:
        """The session with its next generation, for the one who spends this one; None if that needs a closer look.

        None is no refusal: the row may be held by somebody, or the generation be spent.

        Raises:
            Unavailable: no answer within a second. The generation may be spent.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Refusals(Protocol):
    """A store that can only refuse: keys that live for a while. Losing them all must do no harm."""

    unanswered: int  # how often it did not answer, and was left alone for a while

    @property
    def batches(self) -> Steps:
        """How many questions shared each round trip."""
        ...

    @property
    def healthy(self) -> bool:
        """False while it does not answer."""
        ...

    async def put(self, keys: Mapping[str, int]) -> None:
        """Keep each key for so many seconds, best effort: does not raise, takes at most 250 ms."""
        ...

    def holds_any(self, keys: Sequence[str]) -> Awaitable[bool]:
        """Whether one of the keys is there; False when it can't be known within 250 ms.

        Asked when this is called, not when the answer is awaited.
        """
        ...

    async def ping(self) -> bool:
        """Whether it answers now."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Places(Protocol):
    """About where addresses are: for people who look their sessions over, and for nothing else."""

    def find(self, address: str, locale: str) -> str | None:
        """City and country, or country alone, in this language where it is known; None where nothing is."""
        ...


class MailTransport(Protocol):
    """Hands one mail over. Only the job worker calls it."""

    async def send(self, message: EmailMessage) -> None:
        """Return once the other side has taken responsibility.

        Raises:
            OSError, TimeoutError or the adapter's own error: it has not, try again later.
        """
        ...


class OutboundRefused(Exception):
    """The address is not one of the public internet: it is not called."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back: the status, and how the body begins."""

    status: int
    body: str


class Outbound(Protocol):
    """HTTP to addresses that somebody typed."""

    async def check(self, url: str) -> None:
        """Look whether it may be called, and call nothing. A later call looks again: a name may lead elsewhere by then.

        Raises:
            OutboundRefused: it leads to an address that is not public.
            ConnectionError, TimeoutError: its name does not resolve, or not in time.
        """
        ...

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        """One request. Redirects are answers like any other.

        Raises:
            OutboundRefused: it leads to an address that is not public.
            ConnectionError, TimeoutError: no whole answer within ten seconds.
        """
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...
