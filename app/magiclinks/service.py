"""Asking for a sign-in link, mailing it, signing in by it."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import service as auth
from app.auth import sessions
from app.auth.deps import AuthKit
from app.auth.sessions import Pair
from app.auth.steps import How, Owed
from app.core.client import Client
from app.core.crypto import digest, equal, keyed_digest, random_fraction, random_id
from app.core.limits import RateLimits
from app.database import Database
from app.jobs import service as jobs
from app.jobs.sockets import Work
from app.magiclinks.deps import MagicKit
from app.magiclinks.errors import OtherBrowser
from app.mail import service as mail
from app.mail.service import MailKit, MailUnconfigured
from app.tickets import service as tickets
from app.tickets.models import Ticket
from app.tickets.service import TicketInvalid
from app.users import service as users
from app.users.models import User
from app.users.names import name_key

KIND, PURPOSE, TEMPLATE = "magic-link", "magic-link", "magic-link"
SPREAD = timedelta(seconds=2)  # as at forgot-password: when the worker works tells nobody whether there was any
Proof = str | tuple[str, str]  # the token of a link; or the address and the code, as typed


async def ask(
    db: AsyncSession, limits: RateLimits, kit: MagicKit, email: str, secret: str, client: Client, now: datetime
) -> None:
    """Write down that the browser with this secret asked for a link. Whether there is such an account is looked up later, by
    the worker. A fourth request in an hour for the same address is dropped, account or not.
    """
    if await limits.allows("magic_link_account", keyed_digest(kit.lane_key, name_key(email)).hex()):
        payload = {"email": email, "ticket": str(random_id()), "browser": digest(secret).hex()}
        payload |= {"address": client.address, "agent": client.user_agent, "request": client.request_id}
        await jobs.enqueue(db, KIND, payload, now, delay=SPREAD * random_fraction())


class SendMagicLink:
    """The handler of such jobs: looks the address up, issues the ticket, sends link and code. One, however often tried."""

    def __init__(self, database: Database, kit: MagicKit, mail: MailKit) -> None:
        self._database = database
        self._kit = kit
        self._mail = mail

    async def __call__(self, work: Work) -> None:
        """One try."""
        if self._mail.transport is None:
            raise MailUnconfigured
        async with self._database.write() as db:
            found = await self._issue(db, work)
        if found is not None:
            user, values = found
            await self._mail.deliver(work, TEMPLATE, user.email, values, locale=user.locale)

    async def _issue(self, db: AsyncSession, work: Work) -> tuple[User, dict[str, str]] | None:
        key = name_key(work.payload["email"])
        found = await users.find_by_key(db, key)
        user = await users.lock_user(db, found.id) if found else None
        if user is None or not user.usable(work.now) or user.email_key != key:
            return None
        ticket_id, kit = uuid.UUID(work.payload["ticket"]), self._kit
        is_first = await tickets.find(db, ticket_id) is None
        browser = bytes.fromhex(work.payload["browser"])
        token = await tickets.issue(db, kit.key, ticket_id, PURPOSE, user.id, key, work.now, kit.life, binding=browser)
        ticket = await tickets.find(db, ticket_id)
        if token is None or ticket is None:
            return None
        if is_first:
            client = Client(work.payload["address"], work.payload["agent"], work.payload["request"])
            await audit.record(db, Fact.MAGIC_LINK_REQUESTED, client, work.now, subject=user.id)
        return user, {
            "username": user.username,
            "link": f"{kit.url}?token={token}",
            "code": tickets.code_of(kit.key, ticket),
            "minutes": str(int(kit.life.total_seconds() // 60)),
        }


async def preview(
    db: AsyncSession, kit: MagicKit, proof: Proof, secrets: tuple[str | None, ...], now: datetime
) -> tuple[str, bool]:
    """Whom a link or code would sign in, and whether in the browser that asked. Spends nothing; a wrong code is a guess.

    Raises:
        TicketInvalid: it is not good (any more).
    """
    ticket = await _find(db, kit, proof, now)
    user = await users.find_user(db, ticket.subject_id)
    if user is None or not user.usable(now):
        raise TicketInvalid
    return user.username, _is_own(ticket, secrets)


async def sign_in(
    db: AsyncSession,
    kit: AuthKit,
    magic: MagicKit,
    proof: Proof,
    secrets: tuple[str | None, ...],
    device: str | None,
    client: Client,
    now: datetime,
    *,
    confirmed: bool,
    browser: bool = False,
    remembered: str | None = None,
) -> Pair | Owed:
    """A session for whoever reads mail at the account's address, in the browser with one of these secrets, or `confirmed`.

    Or what they still owe: the link is spent, and no second factor. Failed logins neither hinder it nor are forgotten by it.
    Where nobody had proved the address before, the password is void (see `_void_password`), but on a device that was signed in
    on with it.

    Raises:
        TicketInvalid: the link or code is not good (any more); a wrong code's guess is kept.
        OtherBrowser: another browser asked; nothing is spent.
    """
    ticket = await _find(db, magic, proof, now)
    if not confirmed and not _is_own(ticket, secrets):
        raise OtherBrowser
    user = await users.lock_user(db, ticket.subject_id)
    if user is None or not user.usable(now):
        raise TicketInvalid
    await tickets.spend(db, ticket, user.email_key, now)
    if await users.note_verified(db, user, now):
        await audit.record(db, Fact.EMAIL_VERIFIED, client, now, actor=user.id, subject=user.id)
        if not await auth.is_known(db, user.id, device, now):
            user = await _void_password(db, kit, user, client, now)
    return await auth.let_in(db, kit, user, device, client, now, how=How("mail"), browser=browser, remembered=remembered)


async def _void_password(db: AsyncSession, kit: AuthKit, user: User, client: Client, now: datetime) -> User:
    """Shut out who set the password: they never proved the address, so they may have made the account for somebody else to
    come into. The person is told, and may set a new one by a reset.
    """
    await users.set_password_hash(db, user, kit.passwords.nobodys, kit.passwords.label, now)
    await sessions.end_sessions_of(db, user.id, "address_proved", now)
    await sessions.forget_devices(db, user.id)
    await audit.record(db, Fact.PASSWORD_VOIDED, client, now, subject=user.id)
    at = f"{now:%Y-%m-%d %H:%M} UTC"
    await mail.enqueue(db, "password-voided", user.email, now, locale=user.locale, username=user.username, at=at)
    return await users.get_user(db, user.id)


async def _find(db: AsyncSession, kit: MagicKit, proof: Proof, now: datetime) -> Ticket:
    if isinstance(proof, str):
        return await tickets.check(db, kit.key, proof, PURPOSE, now)
    email, code = proof
    found = await tickets.find_by_code(db, kit.key, PURPOSE, name_key(email), code, now)
    whole = await tickets.find(db, found.id)
    if whole is None:
        raise TicketInvalid
    return whole


def _is_own(ticket: Ticket, secrets: tuple[str | None, ...]) -> bool:
    return any(ticket.binding is not None and equal(ticket.binding, digest(each)) for each in secrets if each)
