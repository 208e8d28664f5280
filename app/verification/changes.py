"""Changing an account's address: asked for with a fresh proof, confirmed at the new one, undone from the old one."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import sessions
from app.auth.deps import AuthKit
from app.auth.sockets import START_RESET
from app.core.caller import Caller, confirm
from app.core.client import Client
from app.core.crypto import new_id, random_fraction, random_id
from app.core.errors import TokenInvalid
from app.core.limits import RateLimits
from app.jobs import service as jobs
from app.mail import service as mail
from app.tickets import service as tickets
from app.tickets.service import TicketInvalid
from app.users import service as users
from app.users.errors import EmailTaken
from app.users.models import User
from app.users.names import name_key
from app.verification import repository
from app.verification.deps import VerificationKit
from app.verification.errors import EmailUnchanged
from app.verification.models import EmailChange
from app.verification.service import SPREAD, may_mail

CHANGE, UNDO = "email-change", "email-undo"  # purposes of tickets
MAIL_CHANGE, MAIL_CHANGED = "email-change", "email-changed"
UNDO_LIFE = timedelta(days=7)
MOST_DELAY = timedelta(days=3)  # until the worker gives a mail up
KEPT_UNCONFIRMED = timedelta(days=14)


async def ask_change(
    db: AsyncSession, limits: RateLimits, kit: VerificationKit, caller: Caller, new_email: str, now: datetime
) -> None:
    """Write down what was asked for, and have a link mailed; whether the address is taken is looked up by the worker.

    Raises:
        EmailUnchanged: it is the account's already.
        TokenInvalid: the caller's session ended meanwhile.
    """
    sends = await may_mail(limits, kit, new_email)
    user = await users.lock_user(db, caller.me.id)
    await confirm(db, caller, now)
    if user is None:
        raise TokenInvalid
    if name_key(new_email) == user.email_key:
        raise EmailUnchanged
    change_id = new_id(now)
    values = {"id": change_id, "user_id": user.id, "epoch": user.epoch, "old_email": user.email, "old_email_key": user.email_key}
    values |= {"new_email": new_email, "requested_at": now, "forget_at": now + KEPT_UNCONFIRMED}
    await repository.add_change(db, values)
    await audit.record(
        db, Fact.EMAIL_CHANGE_REQUESTED, caller.client, now, actor=user.id, subject=user.id, session=caller.session_id
    )
    if sends:
        await jobs.enqueue(db, MAIL_CHANGE, {"change": str(change_id)}, now, delay=SPREAD * random_fraction())


def is_waiting(change: EmailChange | None, user: User | None) -> bool:
    """Whether a change may still be confirmed: nothing happened to the account since it was asked for."""
    if change is None or change.confirmed_at is not None or user is None:
        return False
    return user.active and user.leaving_at is None and user.epoch == change.epoch


async def confirm_change(db: AsyncSession, kit: VerificationKit, token: str, client: Client, now: datetime) -> None:
    """Swap the address by the link that was mailed to the new one. The old one is told, and may undo it for 7 days.

    Raises:
        TicketInvalid: the link is not good (any more), or somebody else has the address by now.
    """
    ticket = await tickets.check(db, kit.change_key, token, CHANGE, now)
    user = await users.lock_user(db, ticket.subject_id)
    change = await repository.find_change(db, ticket.id)
    if user is None or change is None or not is_waiting(change, user):
        raise TicketInvalid
    await tickets.spend(db, ticket, name_key(change.new_email), now)
    user_id = user.id
    told: dict[str, Any] = {
        "before": user.email_verified,
        "after": True,
        "email_before": user.email,
        "email_after": change.new_email,
    }
    try:
        await users.set_email(db, user, change.new_email, now)
    except EmailTaken:
        raise TicketInvalid from None
    await repository.confirm_change(db, ticket.id, now, now + UNDO_LIFE + MOST_DELAY)
    await jobs.enqueue(db, MAIL_CHANGED, {"change": str(ticket.id), "ticket": str(random_id())}, now)
    await audit.record(db, Fact.EMAIL_CHANGED, client, now, actor=user_id, subject=user_id, **told)


async def undo_change(db: AsyncSession, auth: AuthKit, kit: VerificationKit, token: str, client: Client, now: datetime) -> None:
    """Give the account back to who reads mail at its old address, whatever was done to it since.

    The address is as before this change, every session ends, open invitations are withdrawn, the password is void until a
    reset, whose link is mailed at once. Changes that came after this one can't be undone in their turn.

    Raises:
        TicketInvalid: the link is not good (any more).
    """
    ticket = await tickets.check(db, kit.undo_key, token, UNDO, now)
    change = await repository.find_change(db, ticket.subject_id)
    user = await users.lock_user(db, change.user_id) if change else None
    if change is None or change.confirmed_at is None or user is None or not user.usable(now):
        raise TicketInvalid
    await tickets.spend(db, ticket, change.old_email_key, now)
    user_id, given_up, username, locale = user.id, user.email, user.username, user.locale
    told: dict[str, Any] = {"email_before": given_up, "email_after": change.old_email}
    for undone in await repository.undo_changes(db, user_id, change.confirmed_at, now):
        await tickets.void(db, undone, now)
    try:
        await users.set_email(db, user, change.old_email, now)
    except EmailTaken:  # which nobody can have while the address is kept for this
        raise TicketInvalid from None
    await _lock_out(db, auth, await users.get_user(db, user_id), client, now)
    if name_key(given_up) != change.old_email_key:
        at = f"{now:%Y-%m-%d %H:%M} UTC"
        await mail.enqueue(db, "email-change-undone", given_up, now, locale=locale, username=username, at=at)
    await audit.record(db, Fact.EMAIL_CHANGE_UNDONE, client, now, actor=user_id, subject=user_id, **told)


async def _lock_out(db: AsyncSession, auth: AuthKit, user: User, client: Client, now: datetime) -> None:
    if user.password_hash is None:  # nor does it get one by this
        await users.clear_password(db, user, now)
    else:
        await users.set_password_hash(db, user, auth.passwords.nobodys, auth.passwords.label, now)
    await users.stay(db, user)
    await users.end_access(db, user.id, "email_change_undone", now)
    await sessions.forget_devices(db, user.id)
    for start in START_RESET.within(db):
        await start(db, user, client, now)
