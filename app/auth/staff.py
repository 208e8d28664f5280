"""What staff see and end of somebody's sessions, and of the waits that failed tries brought on."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import repository, steps
from app.auth.blocklist import note_ended
from app.auth.deps import AuthKit
from app.auth.errors import SessionNotFound
from app.auth.models import LoginFailure, Session
from app.auth.service import STOP_AT, STOP_KEPT, account_lane_of, failure_lanes_of, lift_stop
from app.core.caller import Caller
from app.core.permissions import Permission
from app.users import service as users
from app.users.models import User

BY_STAFF = "ended_by_staff"
ACCOUNT, SECOND_FACTOR = "account", "second_factor"
KINDS = ("username", "email", ACCOUNT, "proof")  # in the order of `failure_lanes_of`
MOST_STOPS = 100


@dataclass(frozen=True, slots=True)
class Lockout:
    """Failed tries in a row of one kind. `until` is when the next may be made, None where it may be made now."""

    kind: str
    failures: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Stop:
    """An account with which strangers get nowhere, since when, and until when if nobody tries again."""

    user: User
    stopped_at: datetime
    until: datetime


async def list_sessions(db: AsyncSession, user_id: uuid.UUID, now: datetime) -> list[Session]:
    """A person's sessions that are alive, newest first.

    Raises:
        UserNotFound: see there.
    """
    await users.get_user(db, user_id)
    return await repository.list_alive(db, user_id, now)


async def end_sessions(db: AsyncSession, caller: Caller, user_id: uuid.UUID, now: datetime) -> None:
    """End all of a person's sessions; no browser is remembered any more.

    Raises:
        UserNotFound, OutOfReach: see there.
    """
    user = await users.hold(db, caller, user_id, now, Permission.USERS_WRITE)
    ended = await repository.end_sessions_of(db, user.id, BY_STAFF, now)
    for session_id in ended:
        note_ended(db, session_id)
    await repository.delete_remembered(db, user.id)
    if ended:
        await _record(db, Fact.SESSION_ENDED, caller, user.id, now, reason=BY_STAFF, sessions=len(ended))


async def end_session(db: AsyncSession, caller: Caller, user_id: uuid.UUID, session_id: uuid.UUID, now: datetime) -> None:
    """End one of a person's sessions.

    Raises:
        UserNotFound, OutOfReach: see there.
        SessionNotFound: it is none of theirs, or has ended.
    """
    user = await users.hold(db, caller, user_id, now, Permission.USERS_WRITE)
    if not await repository.end_session(db, session_id, user.id, BY_STAFF, now):
        raise SessionNotFound
    note_ended(db, session_id)
    await _record(db, Fact.SESSION_ENDED, caller, user.id, now, reason=BY_STAFF, ended=str(session_id))


async def list_lockouts(db: AsyncSession, kit: AuthKit, user_id: uuid.UUID, now: datetime) -> list[Lockout]:
    """What failed of late for a person's name, address, account and second proofs, and what has to wait for it.

    Raises:
        UserNotFound: see there.
    """
    return await _lockouts(db, kit, await users.get_user(db, user_id), now)


async def _lockouts(db: AsyncSession, kit: AuthKit, user: User, now: datetime) -> list[Lockout]:
    lanes = failure_lanes_of(kit, user.id, user.username_key, user.email_key)
    rows = {bytes(row.key): row for row in await repository.list_failures(db, lanes) if row.forget_at > now}
    found = [_lockout(kind, rows[lane], now) for kind, lane in zip(KINDS, lanes, strict=True) if lane in rows]
    tries, again_at = await steps.count_tries(db, kit, user.id)
    if again_at is not None and again_at > now and tries:
        found.append(Lockout(SECOND_FACTOR, tries, again_at if tries >= steps.TRIES_OF_ACCOUNT else None))
    return found


def _lockout(kind: str, row: LoginFailure, now: datetime) -> Lockout:
    if kind == ACCOUNT:
        return Lockout(kind, row.failures, row.forget_at if row.failures >= STOP_AT else None)
    return Lockout(kind, row.failures, row.next_at if row.next_at > now else None)


async def lift_lockouts(db: AsyncSession, kit: AuthKit, caller: Caller, user_id: uuid.UUID, now: datetime) -> None:
    """Forget a person's failed tries: the next may be made at once.

    Raises:
        UserNotFound, OutOfReach: see there.
    """
    user = await users.hold(db, caller, user_id, now, Permission.USERS_WRITE)
    found = await _lockouts(db, kit, user, now)
    await lift_stop(db, kit, user)
    await steps.clear_tries(db, kit, user.id)
    if found:
        await _record(db, Fact.LOCKOUTS_LIFTED, caller, user.id, now, kinds=[each.kind for each in found])


async def list_stops(db: AsyncSession, kit: AuthKit, now: datetime) -> list[Stop]:
    """The accounts that are stopped now, the newest hundred, as the audit log names them."""
    told = await audit.list_subjects(db, Fact.LOGIN_STOPPED, now - STOP_KEPT - timedelta(days=1), MOST_STOPS)
    lanes = {account_lane_of(kit, user_id): user_id for user_id in told}
    rows = await repository.list_failures(db, tuple(lanes))
    stopped = {lanes[bytes(row.key)]: row for row in rows if row.forget_at > now and row.failures >= STOP_AT}
    people = {user.id: user for user in await users.list_by_ids(db, stopped)}
    return [Stop(people[each], told[each], stopped[each].forget_at) for each in told if each in people]


async def _record(db: AsyncSession, fact: Fact, caller: Caller, user_id: uuid.UUID, now: datetime, **data: object) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, subject=user_id, session=caller.session_id, **data)
