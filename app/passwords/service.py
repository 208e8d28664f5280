"""Forgetting, resetting, changing passwords. Each ends every session that the old password may have opened."""

import uuid
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import proofs, sessions
from app.auth import service as auth
from app.auth.deps import AuthKit
from app.auth.errors import PasswordWrong
from app.auth.sessions import Pair
from app.auth.utils import Verdict
from app.core.caller import Caller, confirm
from app.core.client import Client
from app.core.crypto import keyed_digest, random_fraction, random_id
from app.core.errors import TokenInvalid
from app.core.limits import RateLimits
from app.database import Database
from app.jobs import service as jobs
from app.jobs.sockets import Work
from app.mail import service as mail
from app.mail.service import MailKit, MailUnconfigured
from app.passwords.deps import ResetKit
from app.tickets import service as tickets
from app.tickets.models import Ticket
from app.users import service as users
from app.users.errors import UserNotFound
from app.users.models import User
from app.users.names import name_key

PURPOSE = "password-reset"
KIND = "password-reset"
WELCOME, WELCOME_LIFE = "account-made", timedelta(days=7)  # of an account made by staff: its owner does not wait for the mail
SPREAD = timedelta(seconds=2)  # the worker starts somewhere within: its work tells nobody whether there was any


async def request_reset(db: AsyncSession, limits: RateLimits, kit: ResetKit, email: str, client: Client, now: datetime) -> None:
    """Write down that a reset was asked for. Whether there is such an account is looked up later, by the worker.

    A fourth request in an hour for the same address is dropped, account or not.
    """
    if await limits.allows("forgot_password_account", keyed_digest(kit.lane_key, email.lower()).hex()):
        await _enqueue(db, email, client, now)


async def start_reset(db: AsyncSession, user: User, client: Client, now: datetime) -> None:
    """Part of auth.START_RESET: a link that nobody asked for, so nobody's limit counts it."""
    await _enqueue(db, user.email, client, now)


async def send_unasked(db: AsyncSession, user: User, request_id: str, now: datetime) -> None:
    """A link that staff have mailed. Where those sit is not in the person's record, which is the person's to read."""
    await _enqueue(db, user.email, Client("", "", request_id), now)


async def welcome(db: AsyncSession, user: User, request_id: str, now: datetime) -> None:
    """A link to choose the first password of an account that staff made."""
    await _enqueue(db, user.email, Client("", "", request_id), now, WELCOME)


async def _enqueue(db: AsyncSession, email: str, client: Client, now: datetime, template: str = PURPOSE) -> None:
    payload = {"email": email, "ticket": str(random_id()), "address": client.address, "request": client.request_id}
    payload |= {"agent": client.user_agent, "template": template}
    await jobs.enqueue(db, KIND, payload, now, delay=SPREAD * random_fraction())


class SendReset:
    """The handler of reset jobs: looks the address up, issues the ticket, sends the link. One link, however often tried."""

    def __init__(self, database: Database, kit: ResetKit, mail_kit: MailKit) -> None:
        self._database = database
        self._kit = kit
        self._mail = mail_kit

    async def __call__(self, work: Work) -> None:
        """One try."""
        if self._mail.transport is None:
            raise MailUnconfigured
        async with self._database.write() as db:
            found = await self._issue(db, work)
        if found is not None:
            user, token = found
            values = {"username": user.username, "link": f"{self._kit.url}?token={token}"}
            values |= {"minutes": str(int(self._kit.life.total_seconds() // 60)), "days": str(WELCOME_LIFE.days)}
            await self._mail.deliver(work, _template_of(work), user.email, values, locale=user.locale)

    async def _issue(self, db: AsyncSession, work: Work) -> tuple[User, str] | None:
        found = await users.find_by_key(db, name_key(work.payload["email"]))
        user = await users.lock_user(db, found.id) if found else None
        if user is None or not user.usable(work.now) or user.email_key != name_key(work.payload["email"]):
            return None
        ticket_id = uuid.UUID(work.payload["ticket"])
        is_first = await tickets.find(db, ticket_id) is None
        life = WELCOME_LIFE if _template_of(work) == WELCOME else self._kit.life
        token = await tickets.issue(db, self._kit.key, ticket_id, PURPOSE, user.id, user.email_key, work.now, life)
        if token is None:
            return None
        if is_first:
            client = Client(work.payload["address"], work.payload["agent"], work.payload["request"])
            await audit.record(db, Fact.RESET_REQUESTED, client, work.now, subject=user.id)
        return user, token


def _template_of(work: Work) -> str:
    # A job that an older version wrote names none.
    template: str = work.payload.get("template", PURPOSE)
    return template


async def reset_password(
    database: Database, kit: AuthKit, reset: ResetKit, token: str, new_password: str, client: Client, now: datetime
) -> None:
    """Set a new password by a mailed link, which proves the address too; signs nobody in.

    Raises:
        TicketInvalid: the link is not good (any more).
        PasswordRejected: the password breaks a rule; the link is not spent.
        Overloaded: see there.
    """
    with kit.pool.place() as run:
        async with database.read() as db:
            ticket = await tickets.check(db, reset.key, token, PURPOSE, now)
            user = await _owner(db, ticket, now)
        kit.check_new_password(new_password, "new_password", username=user.username, email=user.email)
        password_hash: str = await run(kit.passwords.hash, new_password)
    async with database.write() as db:
        locked = await users.lock_user(db, ticket.subject_id)
        if locked is None or not locked.usable(now):
            raise tickets.TicketInvalid
        await tickets.spend(db, ticket, locked.email_key, now)
        if await users.note_verified(db, locked, now):
            await audit.record(db, Fact.EMAIL_VERIFIED, client, now, actor=locked.id, subject=locked.id)
        await _replace(db, kit, locked, password_hash, now, reason="password_reset")
        await auth.lift_stop(db, kit, locked)
        await audit.record(db, Fact.PASSWORD_RESET, client, now, subject=locked.id)


async def _owner(db: AsyncSession, ticket: Ticket, now: datetime) -> User:
    user = await users.find_user(db, ticket.subject_id)
    if user is None or not user.usable(now) or user.email_key != ticket.address:
        raise tickets.TicketInvalid
    return user


async def change_password(
    database: Database, kit: AuthKit, caller: Caller, current: str, new_password: str, now: datetime
) -> Pair:
    """Set a new password by the current one: every session before it ends, and a new one opens.

    Raises:
        PasswordRejected, PasswordWrong, TooManyTries, Overloaded: see there.
        TokenInvalid: the caller's session ended meanwhile.
    """
    me = caller.me
    kit.check_new_password(new_password, "new_password", username=me.username, email=me.email)
    lane = auth.proof_lane_of(kit, me.id)
    with kit.pool.place() as run:
        async with database.write() as db:
            await auth.charge(db, lane, now)
            before = await users.find_user(db, me.id)
            schemes = await users.get_schemes(db)
        if before is None:
            raise TokenInvalid
        check = partial(kit.passwords.check, current, before.password_hash, schemes, may_upgrade=False)
        verdict: Verdict = await run(check)
        password_hash: str = await run(kit.passwords.hash, new_password) if verdict.right else ""
    async with database.write() as db:
        user = await users.lock_user(db, me.id)
        await confirm(db, caller, now)
        if user is None or user.epoch != before.epoch:
            raise TokenInvalid
        if not verdict.right:
            await _record(db, Fact.PASSWORD_CHANGE_FAILED, caller, now)
            raise PasswordWrong
        sessions.note_token(db, caller)
        await _replace(db, kit, user, password_hash, now, reason="password_changed")
        await auth.lift_stop(db, kit, user)
        await _record(db, Fact.PASSWORD_CHANGED, caller, now)
        return await proofs.reopen(db, kit, user.account(), caller, now)


async def set_password(
    database: Database, kit: AuthKit, caller: Caller, user_id: uuid.UUID, new_password: str, now: datetime
) -> None:
    """Set a password as the operator.

    Raises:
        UserNotFound, PasswordRejected: see there.
    """
    async with database.read() as db:
        user = await users.get_user(db, user_id)
    kit.check_new_password(new_password, "new_password", username=user.username, email=user.email)
    password_hash = kit.passwords.hash(new_password)
    async with database.write() as db:
        locked = await users.lock_user(db, user_id)
        if locked is None:
            raise UserNotFound
        await _replace(db, kit, locked, password_hash, now, reason="password_set")
        await auth.lift_stop(db, kit, locked)
        await audit.record(db, Fact.PASSWORD_SET, caller.client, now, subject=user_id)


async def _replace(db: AsyncSession, kit: AuthKit, user: User, password_hash: str, now: datetime, *, reason: str) -> None:
    """The new hash, and the end of all that the old password opened; the row is locked."""
    await users.set_password_hash(db, user, password_hash, kit.passwords.label, now)
    await sessions.end_sessions_of(db, user.id, reason, now)
    await sessions.forget_devices(db, user.id)
    await mail.enqueue(
        db, "password-changed", user.email, now, locale=user.locale, username=user.username, at=f"{now:%Y-%m-%d %H:%M} UTC"
    )


async def _record(db: AsyncSession, fact: Fact, caller: Caller, now: datetime) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, subject=caller.user_id, session=caller.session_id)
