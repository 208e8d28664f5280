"""What Authkeep's answer means: somebody, nobody, or nothing that can be trusted."""

from dataclasses import dataclass
from uuid import UUID

import httpx2
from fastapi import HTTPException

ACTOR = "X-Auth-Actor"
LEVELS = ("aal1", "aal2", "aal2-phr")  # each is as good as those before it


@dataclass(frozen=True, slots=True)
class User:
    """The caller, as Authkeep knows the account now (or knew it up to `cache_seconds` ago)."""

    id: UUID
    username: str
    roles: frozenset[str]
    session_id: UUID
    impersonator: UUID | None = None  # who really acts: somebody of the staff, who is to see and to change nothing


def not_signed_in(challenge: str = 'Bearer error="invalid_token"') -> HTTPException:
    return HTTPException(401, "Sign in first.", {"WWW-Authenticate": challenge})


def not_proved(challenge: str) -> HTTPException:
    return HTTPException(401, "Prove better, or once more, who you are.", {"WWW-Authenticate": challenge})


def forbidden() -> HTTPException:
    return HTTPException(403, "This needs a role that you do not have.")


def not_themselves() -> HTTPException:
    return HTTPException(403, "Not while you act as somebody else.")


def unavailable() -> HTTPException:
    return HTTPException(503, "Nobody can be signed in right now. Try again.", {"Retry-After": "1"})


def user_of(headers: httpx2.Headers) -> User:
    """The identity in a 204.

    Raises:
        ValueError: a header is missing, is there twice, or can't be Authkeep's.
    """
    roles = frozenset(_only(headers, "X-Auth-Roles").split(","))
    if "" in roles:
        raise ValueError("an empty role")
    return User(
        id=_uuid(_only(headers, "X-Auth-User")),
        username=_only(headers, "X-Auth-Username"),
        roles=roles,
        session_id=_uuid(_only(headers, "X-Auth-Session")),
        impersonator=_uuid(_only(headers, ACTOR)) if ACTOR in headers else None,
    )


def check_assured(headers: httpx2.Headers, acr: str) -> None:
    """See that a 204 comes from a server that looked at what was asked for.

    Raises:
        ValueError: it did not say so; an older one would have said yes to anything.
    """
    if LEVELS.index(_only(headers, "X-Auth-Acr")) < LEVELS.index(acr):
        raise ValueError("less than was asked for")


def _only(headers: httpx2.Headers, name: str) -> str:
    values = headers.get_list(name)
    if len(values) != 1 or not values[0] or not values[0].isprintable():
        raise ValueError(f"{name}: wanted one value")
    return values[0]


def _uuid(text: str) -> UUID:
    found = UUID(text)
    if str(found) != text:
        raise ValueError("a UUID in another spelling")
    return found
