"""The login that this browser has begun: its attempt is in a cookie of its own, good with the cookie of its forms alone.

So an attempt that another browser began, or that a program got from the API, opens no page here, even where somebody planted it.
"""

from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from starlette.responses import Response

from app.account.face import Face
from app.auth import steps
from app.auth.errors import AttemptInvalid
from app.auth.steps import ATTEMPT_LIFE, ENROLMENT_REQUIRED, MFA_REQUIRED, Owed
from app.core.cookies import ATTEMPT
from app.core.crypto import equal
from app.core.csrf import browser_mark, cookies_of
from app.users import service as users


@dataclass(frozen=True, slots=True)
class Waiting:
    """A login that waits for a step: which one it owes, whose it is, which factors they have."""

    attempt: str
    owed: str
    username: str
    methods: frozenset[str]


def keep(request: Request, response: Response, owed: Owed) -> None:
    """Let the browser keep its attempt, as long as that lives."""
    value = f"{owed.attempt}.{browser_mark(request, owed.attempt)}"
    cookies_of(request).put(response, ATTEMPT, value, int(ATTEMPT_LIFE.total_seconds()))


def drop(request: Request, response: Response) -> None:
    """Take it away: it was spent."""
    cookies_of(request).drop(response, ATTEMPT)


def held(request: Request) -> str:
    """The attempt of this browser.

    Raises:
        AttemptInvalid: it has none, or one that another browser was given.
    """
    attempt, _, mark = (cookies_of(request).read(request.scope, ATTEMPT) or "").partition(".")
    right = browser_mark(request, attempt)
    if not attempt or right is None or not equal(mark.encode(), right.encode()):
        raise AttemptInvalid
    return attempt


async def look(face: Face, now: datetime) -> Waiting:
    """What this browser's login waits for. Spends and counts nothing.

    Raises:
        AttemptInvalid: it has begun none that is still good.
    """
    attempt = held(face.request)
    async with face.server.database.read() as db:
        for owed in (MFA_REQUIRED, ENROLMENT_REQUIRED):
            try:
                begun = await steps.find(db, attempt, owed, now)
            except AttemptInvalid:
                continue
            user = await users.find_user(db, begun.user_id)
            if user is not None and user.epoch == begun.epoch:
                return Waiting(attempt, owed, user.username, await steps.find_factors(db, user.id))
    raise AttemptInvalid
