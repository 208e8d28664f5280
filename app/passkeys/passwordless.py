"""Accounts without a password (docs/adr/0018): who has passkeys enough can do without."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import sessions, steps
from app.core.caller import Caller
from app.mail import service as mail
from app.passkeys import repository
from app.passkeys.errors import PasskeysNeeded, PasswordNotFound
from app.users import service as users
from app.users.models import User

RECOVERY = "recovery"  # the factor that recovery codes are


async def remove_password(db: AsyncSession, caller: Caller, user: User, now: datetime) -> None:
    """No password opens the account any more; all sessions but the acting one end. The caller's row is held.

    Raises:
        PasswordNotFound: there is none.
        PasskeysNeeded: too little would be left to sign in by.
    """
    if user.password_hash is None:
        raise PasswordNotFound
    await check_ways_in(db, user)
    await users.clear_password(db, user, now)
    await sessions.end_sessions_of(db, user.id, "password_removed", now, but=caller.session_id)
    await sessions.forget_devices(db, user.id)
    who = {"actor": user.id, "subject": user.id, "session": caller.session_id}
    await audit.record(db, Fact.PASSWORD_REMOVED, caller.client, now, **who)
    at = f"{now:%Y-%m-%d %H:%M} UTC"
    await mail.enqueue(db, "password-removed", user.email, now, locale=user.locale, username=user.username, at=at)


async def check_ways_in(db: AsyncSession, user: User) -> None:
    """See that an account could do without a password: its row is held.

    Raises:
        PasskeysNeeded: it has neither two passkeys that can be the whole login, nor one and recovery codes.
    """
    verifying = await repository.count_verifying(db, user.id)
    if verifying < 2 and (not verifying or RECOVERY not in await steps.find_factors(db, user.id)):
        raise PasskeysNeeded
