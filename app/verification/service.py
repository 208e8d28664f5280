"""Proving an address by a mailed link or code: of an account, or of a registration that waits for it."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.sockets import REGISTERED, Applicant
from app.core.client import Client
from app.core.crypto import keyed_digest, new_id, random_fraction, random_id
from app.core.limits import RateLimits
from app.core.permissions import Role
from app.jobs import service as jobs
from app.tickets import service as tickets
from app.tickets.models import Ticket
from app.tickets.service import TicketInvalid
from app.users import service as users
from app.users.errors import EmailTaken, UsernameTaken
from app.users.models import User
from app.users.names import name_key
from app.verification import repository
from app.verification.deps import VerificationKit
from app.verification.models import PendingRegistration

PURPOSE = "email-verification"
MAIL, MAIL_AGAIN = "verify-email", "verify-email-again"
RESERVED_FOR = timedelta(hours=24)
SPREAD = timedelta(seconds=2)  # as at forgot-password: when the worker works tells nobody whether there was any


class PendingRegistrations:
    """Part of auth.PENDING, where addresses must be proved first."""

    def __init__(self, limits: RateLimits, kit: VerificationKit) -> None:
        self._limits = limits
        self._kit = kit

    async def __call__(self, db: AsyncSession, applicant: Applicant, client: Client, now: datetime) -> None:
        """Keep the registration and have its mail sent: the same rows, whether or not the address is taken."""
        await users.check_username_free(db, applicant.username, now)
        pending_id = new_id(now)
        values: dict[str, Any] = {
            "id": pending_id,
            "username": applicant.username,
            "username_key": name_key(applicant.username),
            "email": applicant.email,
            "email_key": name_key(applicant.email),
            "password_hash": applicant.password_hash,
            "scheme": applicant.scheme,
            "locale": applicant.locale,
            "created_at": now,
            "reserved_until": now + RESERVED_FOR,
        }
        if not await repository.add_pending(db, values, now):
            raise UsernameTaken
        await audit.record(db, Fact.REGISTRATION_STARTED, client, now)
        if await may_mail(self._limits, self._kit, applicant.email):
            payload = {"subject": str(pending_id), "ticket": str(random_id())}
            await jobs.enqueue(db, MAIL, payload, now, delay=SPREAD * random_fraction())


async def ask_registered(db: AsyncSession, user: User, _client: Client, now: datetime) -> None:
    """Part of auth.REGISTERED: a new account whose address nobody has proved is asked to."""
    if not user.email_verified:
        await jobs.enqueue(db, MAIL, {"subject": str(user.id), "ticket": str(random_id())}, now)


async def may_mail(limits: RateLimits, kit: VerificationKit, email: str) -> bool:
    """Whether one more mail that a stranger can cause may go to an address, known or not."""
    return await limits.allows("resend_account", keyed_digest(kit.lane_key, name_key(email)).hex())


async def ask_again(db: AsyncSession, limits: RateLimits, kit: VerificationKit, email: str, now: datetime) -> None:
    """Write down that the mail was asked for once more. What there is to send is looked up later, by the worker."""
    if await may_mail(limits, kit, email):
        payload = {"email": email, "ticket": str(random_id())}
        await jobs.enqueue(db, MAIL_AGAIN, payload, now, delay=SPREAD * random_fraction())


async def preview(db: AsyncSession, kit: VerificationKit, token: str, now: datetime) -> str:
    """The username that a link is about, for whoever may not have asked for it. Spends nothing.

    Raises:
        TicketInvalid: the link is not good (any more).
    """
    return await _username(db, await tickets.check(db, kit.key, token, PURPOSE, now), now)


async def preview_code(db: AsyncSession, kit: VerificationKit, email: str, code: str, now: datetime) -> str:
    """The username that a code is about. Spends nothing, but counts as a guess if it is wrong.

    Raises:
        TicketInvalid: the code is not good; the guess is kept.
    """
    return await _username(db, await tickets.find_by_code(db, kit.key, PURPOSE, name_key(email), code, now), now)


async def _username(db: AsyncSession, ticket: Ticket, now: datetime) -> str:
    pending = await repository.find_pending(db, ticket.subject_id, now)
    found = pending or await users.find_user(db, ticket.subject_id)
    if found is None or found.email_key != ticket.address:
        raise TicketInvalid
    return found.username


async def verify_by_link(db: AsyncSession, kit: VerificationKit, token: str, client: Client, now: datetime) -> str:
    """Prove an address by the mailed link; makes the account where that waited for it. Its username.

    Raises:
        TicketInvalid: the link is not good (any more), or somebody else has the address or name by now.
    """
    return await _spend(db, await tickets.check(db, kit.key, token, PURPOSE, now), client, now)


async def verify_by_code(db: AsyncSession, kit: VerificationKit, email: str, code: str, client: Client, now: datetime) -> str:
    """The same by the mailed code.

    Raises:
        TicketInvalid: the code is not good, or one of too many; the guess is kept.
    """
    return await _spend(db, await tickets.find_by_code(db, kit.key, PURPOSE, name_key(email), code, now), client, now)


async def _spend(db: AsyncSession, ticket: Ticket, client: Client, now: datetime) -> str:
    pending = await repository.take_pending(db, ticket.subject_id, now)
    if pending is not None:
        await tickets.spend(db, ticket, pending.email_key, now)
        return (await _make_account(db, pending, client, now)).username
    user = await users.lock_user(db, ticket.subject_id)
    if user is None or not user.active:
        raise TicketInvalid
    await tickets.spend(db, ticket, user.email_key, now)
    if await users.note_verified(db, user, now):
        await audit.record(db, Fact.EMAIL_VERIFIED, client, now, actor=user.id, subject=user.id)
    return user.username


async def _make_account(db: AsyncSession, pending: PendingRegistration, client: Client, now: datetime) -> User:
    try:
        user = await users.create_user(
            db,
            username=pending.username,
            email=pending.email,
            password_hash=pending.password_hash,
            scheme=pending.scheme,
            role=Role.USER,
            now=now,
            email_verified_at=now,
            locale=pending.locale,
        )
    except (UsernameTaken, EmailTaken):
        raise TicketInvalid from None
    await audit.record(db, Fact.USER_REGISTERED, client, now, actor=user.id, subject=user.id)
    await audit.record(db, Fact.EMAIL_VERIFIED, client, now, actor=user.id, subject=user.id)
    for hear in REGISTERED.within(db):
        await hear(db, user, client, now)
    return user


class KeptNames:
    """Part of users.HOLDS: usernames of registrations that wait, and addresses that their owners may take back."""

    async def holds_username(self, db: AsyncSession, key: str, now: datetime) -> bool:
        """For 24 hours, whatever becomes of the registration."""
        return await repository.holds_username(db, key, now)

    async def holds_email(self, db: AsyncSession, key: str, user_id: uuid.UUID | None, now: datetime) -> bool:
        """As long as a change of address can be undone; not from the account that gave it up."""
        holder = await repository.find_holder(db, key, now)
        return holder is not None and holder != user_id

    async def held_among(
        self, db: AsyncSession, username_keys: Sequence[str], email_keys: Sequence[str], now: datetime
    ) -> set[str]:
        """Both of many at once."""
        return await repository.list_held(db, username_keys, email_keys, now)


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Daily: forget registrations nobody finished, and changes that can't be undone any more."""
    await repository.delete_old(db, now)
