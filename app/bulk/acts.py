"""What a bulk action can do to one account: the same that staff do to it by hand, by the same services."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import sessions, steps
from app.auth.deps import AuthKit
from app.core.caller import Caller
from app.core.permissions import Permission, Role
from app.mfa import policy
from app.mfa import service as mfa
from app.mfa.deps import MfaKit
from app.passwords import staff as passwords
from app.users import service as users
from app.users.models import User
from app.verification import staff as verification


class Action(StrEnum):
    """What is to be done."""

    DISABLE = "disable"
    ENABLE = "enable"
    LOG_OUT = "log_out"
    SEND_RESET = "send_reset"
    VERIFY_EMAIL = "verify_email"
    REQUIRE_FACTOR = "require_factor"
    RELEASE_FACTOR = "release_factor"
    SET_ROLE = "set_role"
    DELETE = "delete"


NEEDS = {
    Action.DISABLE: Permission.USERS_WRITE,
    Action.ENABLE: Permission.USERS_WRITE,
    Action.LOG_OUT: Permission.USERS_WRITE,
    Action.SEND_RESET: Permission.USERS_WRITE,
    Action.VERIFY_EMAIL: Permission.USERS_WRITE,
    Action.REQUIRE_FACTOR: Permission.USERS_FACTORS,
    Action.RELEASE_FACTOR: Permission.USERS_FACTORS,
    Action.SET_ROLE: Permission.USERS_ROLES,
    Action.DELETE: Permission.USERS_DELETE,
}
UNCHANGED = "unchanged"
NOT_USABLE = "not_usable"


@dataclass(frozen=True, slots=True)
class Acts:
    """The acts, with what they need."""

    auth: AuthKit
    mfa: MfaKit

    async def do(self, db: AsyncSession, caller: Caller, user: User, action: Action, role: Role | None, now: datetime) -> str:
        """Do it to an account that is held; why there was nothing to do, or nothing for "done".

        Raises:
            AppError: the service refuses it.
        """
        match action:
            case Action.DISABLE | Action.ENABLE:
                return await _set_active(db, caller, user, now, active=action is Action.ENABLE)
            case Action.LOG_OUT:
                return await _log_out(db, caller, user, now)
            case Action.SEND_RESET:
                return await _send_reset(db, caller, user, now)
            case Action.VERIFY_EMAIL:
                return await _verify(db, caller, user, now)
            case Action.REQUIRE_FACTOR | Action.RELEASE_FACTOR:
                return await self._require(db, caller, user, now, required=action is Action.REQUIRE_FACTOR)
            case Action.SET_ROLE:
                return await _set_role(db, caller, user, role, now)
            case Action.DELETE:
                await users.delete_user(db, caller, user.id, now)
                return ""

    async def _require(self, db: AsyncSession, caller: Caller, user: User, now: datetime, *, required: bool) -> str:
        if await policy.is_required_by_admin(db, user.id) == required:
            return UNCHANGED
        await mfa.set_for(db, self.auth, self.mfa, caller, user.id, now, required=required, reset=False)
        return ""


async def _set_active(db: AsyncSession, caller: Caller, user: User, now: datetime, *, active: bool) -> str:
    if user.active == active:
        return UNCHANGED
    await users.set_active(db, caller, user.id, now, active=active)
    return ""


async def _set_role(db: AsyncSession, caller: Caller, user: User, role: Role | None, now: datetime) -> str:
    if role is None or user.role == role:
        return UNCHANGED
    await users.set_role(db, caller, user.id, role, now)
    return ""


async def _log_out(db: AsyncSession, caller: Caller, user: User, now: datetime) -> str:
    await sessions.end_sessions_of(db, user.id, "ended_by_staff", now)
    await steps.forget_remembered(db, user.id)
    await _record(db, Fact.SESSION_ENDED, caller, user.id, now, reason="ended_by_staff")
    return ""


async def _send_reset(db: AsyncSession, caller: Caller, user: User, now: datetime) -> str:
    if not user.usable(now):
        return NOT_USABLE
    await passwords.send_reset(db, caller, user.id, now)
    return ""


async def _verify(db: AsyncSession, caller: Caller, user: User, now: datetime) -> str:
    if user.email_verified:
        return UNCHANGED
    await verification.vouch(db, caller, user.id, now)
    return ""


async def _record(db: AsyncSession, fact: Fact, caller: Caller, user_id: uuid.UUID, now: datetime, **data: str) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, subject=user_id, session=caller.session_id, **data)
