"""Acting as somebody else: a session of theirs that is alive only while the one it was opened from is (docs/adr/0020)."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.blocklist import note_ended
from app.auth.deps import AuthKit
from app.auth.models import Session
from app.auth.sessions import Pair, facts_of
from app.core.caller import Caller
from app.core.cookies import new_session_cookie
from app.core.crypto import digest, new_id
from app.core.errors import Impersonated, TokenInvalid
from app.core.permissions import Permission, Role, is_above
from app.impersonation import repository
from app.impersonation.errors import AccountClosed, NotBelow
from app.mail import service as mail
from app.users.holding import hold_with_admins
from app.users.models import User

LIFE = timedelta(minutes=30)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # when the person proved in this session who they are
NO_ACR = "none"
EQUAL = "outranked"


@dataclass(frozen=True, slots=True)
class ImpersonationKit:
    """Whether people are told by mail that somebody acted as them."""

    tells: bool


async def start(
    db: AsyncSession,
    auth: AuthKit,
    kit: ImpersonationKit,
    caller: Caller,
    user_id: uuid.UUID,
    reason: str,
    now: datetime,
    *,
    browser: bool = False,
) -> Pair:
    """A session in which the caller acts as the person; what the caller had open of that kind ends.

    Both accounts are held: who is disabled, gets another role or ends the parent meanwhile comes before or after, never between.

    Raises:
        UserNotFound, OutOfReach: see there.
        NotBelow: the person's role is the caller's, and no lower one.
        AccountClosed: nobody can use the account.
        Impersonated: the caller acts as somebody already.
        TokenInvalid: the caller's session ended meanwhile.
    """
    if caller.impersonator is not None:
        raise Impersonated
    held = await hold_with_admins(db, caller, user_id, now, Permission.USERS_IMPERSONATE)
    person = held.user
    parent = await repository.find_parent(db, caller.session_id, now) if caller.session_id else None
    if parent is None:
        raise TokenInvalid
    if not is_above(held.acting, Role(person.role)):
        await _record(db, Fact.ACCESS_DENIED, caller, person.id, parent.id, now, reason=EQUAL)
        raise NotBelow
    if not person.active or person.leaving_at is not None:
        raise AccountClosed
    for ended_id, owner_id in await repository.end_opened_from(db, parent.id, now):
        note_ended(db, ended_id)
        await _record(db, Fact.IMPERSONATION_ENDED, caller, owner_id, ended_id, now, reason="replaced")
    cookie, session_id = None, new_id(now)
    if browser:
        cookie = new_session_cookie(session_id)
    session = _session(session_id, person, caller, parent, cookie, now)
    await repository.add_session(db, session)
    until = f"{session.expires_at:%Y-%m-%d %H:%M} UTC"
    told = {"stated_reason": reason, "parent": str(parent.id), "until": until}
    await _record(db, Fact.IMPERSONATION_STARTED, caller, person.id, session_id, now, **told)
    if kit.tells:
        at = f"{now:%Y-%m-%d %H:%M} UTC"
        values = {"username": person.username, "at": at, "until": until}
        await mail.enqueue(db, "impersonated", person.email, now, locale=person.locale, **values)
    access = auth.tokens.write_access(person.account(), facts_of(session), now)
    life = int((session.expires_at - now).total_seconds())
    # By cookie the browser keeps it as long as the parent: were it gone before, the browser would go on as its owner unasked.
    kept_until = parent.expires_at if browser else session.expires_at
    return Pair(access, None, life, session_id, kept_until, cookie=cookie)


def _session(session_id: uuid.UUID, person: User, caller: Caller, parent: Session, cookie: str | None, now: datetime) -> Session:
    """Of the person, who proved nothing in it; where it comes from is the staff's, and in the record alone."""
    return Session(
        id=session_id,
        user_id=person.id,
        generation=0,
        rotated_at=now,
        created_at=now,
        used_at=now,
        authenticated_at=NEVER,
        expires_at=min(now + LIFE, parent.expires_at),
        address="",
        user_agent="",
        amr="",
        acr=NO_ACR,
        cookie_digest=digest(cookie) if cookie else None,
        impersonator_id=caller.me.id,
        parent_id=parent.id,
    )


async def _record(
    db: AsyncSession, fact: Fact, caller: Caller, subject: uuid.UUID, session: uuid.UUID, now: datetime, **data: str
) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, subject=subject, session=session, **data)
