"""What staff change of an account: name, display name, language, address; and that they vouch for the address."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.core.caller import Caller
from app.core.crypto import new_id, random_id
from app.core.permissions import Permission
from app.jobs import service as jobs
from app.users import service as users
from app.users.models import User
from app.users.names import name_key
from app.verification import repository
from app.verification.changes import MAIL_CHANGED, MOST_DELAY, UNDO_LIFE
from app.verification.service import ask_registered


async def edit(db: AsyncSession, caller: Caller, user_id: uuid.UUID, wanted: Mapping[str, str | None], now: datetime) -> User:
    """Change what is named in `wanted`; all of it or nothing.

    Another address counts at once, as one that nobody has proved. The old one is told, and may take the account back for seven
    days, whoever of the staff did it (docs/security.md).

    Raises:
        UserNotFound, OutOfReach: see there.
        UsernameReserved, UsernameTaken, EmailTaken: see there.
    """
    user = await users.hold(db, caller, user_id, now, Permission.USERS_WRITE)
    profile = {name: value for name, value in wanted.items() if name != "email"}
    if profile:
        user = await users.change_profile_of(db, caller, user, profile, now)
    email = wanted.get("email")
    if email is not None and name_key(email) != user.email_key:
        await _change_address(db, caller, user, email, now)
    return await users.get_user(db, user_id)


async def _change_address(db: AsyncSession, caller: Caller, user: User, email: str, now: datetime) -> None:
    change_id, user_id = new_id(now), user.id
    told: dict[str, Any] = {"before": user.email_verified, "after": False, "email_before": user.email, "email_after": email}
    values = {"id": change_id, "user_id": user_id, "epoch": user.epoch, "old_email": user.email, "old_email_key": user.email_key}
    values |= {"new_email": email, "requested_at": now, "confirmed_at": now, "forget_at": now + UNDO_LIFE + MOST_DELAY}
    await users.set_email(db, user, email, now, proved=False)
    await repository.add_change(db, values)
    await jobs.enqueue(db, MAIL_CHANGED, {"change": str(change_id), "ticket": str(random_id())}, now)
    await ask_registered(db, await users.get_user(db, user_id), caller.client, now)
    await _record(db, Fact.EMAIL_CHANGED, caller, user_id, now, **told)


async def vouch(db: AsyncSession, caller: Caller, user_id: uuid.UUID, now: datetime) -> User:
    """Have the account's address count as proved, as it is at this moment.

    Raises:
        UserNotFound, OutOfReach: see there.
    """
    user = await users.hold(db, caller, user_id, now, Permission.USERS_WRITE)
    if await users.note_verified(db, user, now):
        await _record(db, Fact.EMAIL_VERIFIED, caller, user_id, now, before=False, after=True)
    return await users.get_user(db, user_id)


async def _record(db: AsyncSession, fact: Fact, caller: Caller, user_id: uuid.UUID, now: datetime, **data: Any) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, subject=user_id, session=caller.session_id, **data)
