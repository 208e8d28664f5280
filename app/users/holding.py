"""Holding another's account to change it: who acts is read again behind the lock, and must hold all that the other does."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.core.caller import Caller, confirm
from app.core.errors import Forbidden, TokenInvalid
from app.core.permissions import ROLES, Permission, Role, covers, holds
from app.users import repository
from app.users.errors import LastAdmin, UserNotFound
from app.users.models import User

OUTRANKED, LAST_ADMIN = "outranked", "last_admin"


class OutOfReach(Forbidden):
    """Whoever acts lacks what this takes, or the other holds more; the record of it is kept."""

    keeps = True


@dataclass(frozen=True, slots=True)
class Held:
    """An account, held, with every active admin; and the role, at this moment, of who acts."""

    user: User
    admins: frozenset[uuid.UUID]
    acting: Role

    async def keep_an_admin(self, db: AsyncSession, caller: Caller, now: datetime) -> None:
        """Refuse to lose the last one. It comes before any change: a refusal is kept.

        Raises:
            LastAdmin: this account is it; recorded.
        """
        if self.admins == {self.user.id}:
            await note_denied(db, caller, LAST_ADMIN, now, subject=self.user.id)
            raise LastAdmin


async def hold_with_admins(
    db: AsyncSession, caller: Caller, user_id: uuid.UUID, now: datetime, permission: Permission | None
) -> Held:
    """An account for somebody who may do this to it; without a permission, for its owner. It comes before any change.

    Raises:
        UserNotFound: there is none.
        TokenInvalid: the caller's session ended meanwhile.
        OutOfReach: see `check_reach`.
    """
    wanted = {user_id} | ({caller.user_id} if caller.user_id else set())
    rows = await repository.lock_users_and_admins(db, wanted)
    await confirm(db, caller, now)
    if user_id not in rows:
        raise UserNotFound
    acting = role_of(caller, rows.get(caller.user_id) if caller.user_id else None)
    if permission is not None:
        await check_reach(db, caller, acting, permission, ROLES.get(rows[user_id].role), now, subject=user_id)
    admins = {user.id for user in rows.values() if user.role == Role.ADMIN and user.active and not user.leaving_at}
    return Held(rows[user_id], frozenset(admins), acting)


async def hold(
    db: AsyncSession, caller: Caller, user_id: uuid.UUID, now: datetime, permission: Permission = Permission.USERS_WRITE
) -> User:
    """As `hold_with_admins`, the account alone.

    Raises:
        UserNotFound, TokenInvalid, OutOfReach: see there.
    """
    return (await hold_with_admins(db, caller, user_id, now, permission)).user


async def hold_self(db: AsyncSession, caller: Caller, now: datetime) -> Role:
    """The role, at this moment, of who acts, whose row is held from here on.

    Raises:
        TokenInvalid: the caller's session ended meanwhile.
    """
    row = await repository.lock_user(db, caller.user_id) if caller.user_id else None
    await confirm(db, caller, now)
    return role_of(caller, row)


def role_of(caller: Caller, row: User | None) -> Role:
    """What the row of who acts says now; the operator may do everything.

    Raises:
        TokenInvalid: the row is gone.
    """
    if caller.user_id is None:
        return Role.ADMIN
    if row is None:
        raise TokenInvalid
    return Role(row.role)


async def check_reach(
    db: AsyncSession,
    caller: Caller,
    acting: Role,
    permission: Permission,
    other: Role | None,
    now: datetime,
    *,
    subject: uuid.UUID | None = None,
) -> None:
    """See that who acts holds a permission, and all that another role holds. It comes before any change: a refusal is kept.

    A role of a newer version, None, holds what nobody here can tell.

    Raises:
        OutOfReach: they don't; recorded.
    """
    if holds(acting, permission) and other is not None and covers(acting, other):
        return
    reason = OUTRANKED if holds(acting, permission) else "permission"
    await note_denied(db, caller, reason, now, subject=subject)
    raise OutOfReach(
        "This account or role holds more than yours." if reason == OUTRANKED else f"This needs the permission {permission}."
    )


async def note_denied(db: AsyncSession, caller: Caller, reason: str, now: datetime, *, subject: uuid.UUID | None) -> None:
    """Record that somebody was refused (ASVS V16.3.2)."""
    named = {"actor": caller.user_id, "subject": subject, "session": caller.session_id}
    await audit.record(db, Fact.ACCESS_DENIED, caller.client, now, **named, reason=reason)
