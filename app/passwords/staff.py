"""What staff do about passwords: make an account with one or without, have a link to choose one mailed."""

import uuid
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.deps import AuthKit
from app.auth.sockets import REGISTERED
from app.core.caller import Caller
from app.core.permissions import Permission, Role
from app.database import Database
from app.passwords import service
from app.users import service as users
from app.users.errors import AccountClosed
from app.users.holding import check_reach, hold_self
from app.users.models import User


async def create_account(
    database: Database,
    auth: AuthKit,
    caller: Caller,
    username: str,
    email: str,
    role: Role,
    password: str | None,
    now: datetime,
    *,
    locale: str | None = None,
) -> User:
    """A new account, its address not proved. Without a password nobody knows one: a link to choose it is mailed.

    Raises:
        PasswordRejected, Overloaded: see there.
        OutOfReach: the role holds more than the caller's.
        UsernameTaken, EmailTaken: see there.
    """
    password_hash = auth.passwords.nobodys
    if password is not None:
        auth.check_new_password(password, "password", username=username, email=email)
        with auth.pool.place() as run:
            password_hash = await run(auth.passwords.hash, password)
    async with database.write() as db:
        acting = await hold_self(db, caller, now)
        await check_reach(db, caller, acting, Permission.USERS_WRITE, role, now)
        user = await users.create_user(
            db,
            username=username,
            email=email,
            password_hash=password_hash,
            scheme=auth.passwords.label,
            role=role,
            now=now,
            locale=locale,
        )
        await _record(db, Fact.USER_CREATED, caller, user.id, now, role=role)
        if password is None:
            await service.welcome(db, user, caller.client.request_id, now)
            return user
        for hear in REGISTERED.within(db):
            await hear(db, user, caller.client, now)
        return user


async def send_reset(db: AsyncSession, caller: Caller, user_id: uuid.UUID, now: datetime) -> None:
    """Have a reset link mailed to a person; nothing changes before it is used.

    Raises:
        UserNotFound, OutOfReach: see there.
        AccountClosed: no link would be good.
    """
    user = await users.hold(db, caller, user_id, now, Permission.USERS_WRITE)
    if not user.usable(now):
        raise AccountClosed
    await service.send_unasked(db, user, caller.client.request_id, now)
    await _record(db, Fact.RESET_SENT, caller, user.id, now)


async def _record(db: AsyncSession, fact: Fact, caller: Caller, user_id: uuid.UUID, now: datetime, **data: str) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, subject=user_id, session=caller.session_id, **data)
