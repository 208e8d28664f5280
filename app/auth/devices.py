"""Logins from devices not seen before: the owner is told by mail, with a link that ends that session."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import repository
from app.auth.blocklist import note_ended
from app.auth.models import Session
from app.core.client import Client
from app.core.crypto import random_id
from app.core.deps import kit
from app.core.device_names import load_names
from app.core.ports import Account, Places
from app.database import Database
from app.jobs import service as jobs
from app.jobs.sockets import Work
from app.mail.service import MailKit, MailUnconfigured
from app.tickets import service as tickets
from app.users import service as users
from app.users.models import User
from app.users.names import name_key

KIND, PURPOSE, TEMPLATE = "new-device", "end-session", "new-device"
LINK_LIFE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class DeviceKit:
    """The links' key, where they lead, and what knows places."""

    key: bytes
    url: str
    places: Places | None

    def place_of(self, session: Session, locale: str | None = None) -> str | None:
        """About where the session was opened, in a language; None where that is not known or not configured."""
        return self.places.find(session.address, locale or "en") if self.places else None


Devices = Annotated[DeviceKit, kit(DeviceKit)]


async def tell_of_new_device(db: AsyncSession, account: Account, session_id: uuid.UUID, now: datetime) -> None:
    """Have the owner told that a session was opened on a device nobody has signed in on before."""
    payload = {"subject": str(session_id), "user": str(account.id), "to": account.email, "ticket": str(random_id())}
    await jobs.enqueue(db, KIND, payload, now)


class SendNewDevice:
    """The handler of such jobs: the mail goes to the address that the account had at that login."""

    def __init__(self, database: Database, kit: DeviceKit, mail_kit: MailKit) -> None:
        self._database = database
        self._kit = kit
        self._mail = mail_kit

    async def __call__(self, work: Work) -> None:
        """One try."""
        if self._mail.transport is None:
            raise MailUnconfigured
        name = await load_names()
        async with self._database.write() as db:
            found = await self._issue(db, work)
        if found is not None:
            user, session, token = found
            values = {
                "username": user.username,
                "at": f"{session.created_at:%Y-%m-%d %H:%M} UTC",
                "device": name(session.user_agent).in_language(user.locale or self._mail.default_locale),
                "address": session.address,
                "place": self._kit.place_of(session, user.locale) or "",
                "link": f"{self._kit.url}?token={token}",
                "days": str(LINK_LIFE.days),
            }
            await self._mail.deliver(work, TEMPLATE, work.payload["to"], values, locale=user.locale)

    async def _issue(self, db: AsyncSession, work: Work) -> tuple[User, Session, str] | None:
        user = await users.lock_user(db, uuid.UUID(work.payload["user"]))
        session = await repository.find_session(db, uuid.UUID(work.payload["subject"]))
        if user is None or session is None:
            return None
        ticket, address = uuid.UUID(work.payload["ticket"]), name_key(work.payload["to"])
        token = await tickets.issue(db, self._kit.key, ticket, PURPOSE, session.id, address, work.now, LINK_LIFE)
        return (user, session, token) if token else None


async def preview(db: AsyncSession, kit: DeviceKit, token: str, now: datetime) -> Session:
    """The session that a link would end. Spends nothing.

    Raises:
        TicketInvalid: the link is not good (any more).
    """
    ticket = await tickets.check(db, kit.key, token, PURPOSE, now)
    session = await repository.find_session(db, ticket.subject_id)
    if session is None:
        raise tickets.TicketInvalid
    return session


async def end_by_link(db: AsyncSession, kit: DeviceKit, token: str, client: Client, now: datetime) -> None:
    """End the session that its owner says is somebody else's; then no device is known any more, that one's neither.

    The address the mail went to need not be the account's any more: whoever took the account over may have changed it.

    Raises:
        TicketInvalid: the link is not good (any more).
    """
    session = await preview(db, kit, token, now)
    await users.lock_user(db, session.user_id)
    ticket = await tickets.check(db, kit.key, token, PURPOSE, now)
    await tickets.spend(db, ticket, ticket.address, now)
    note_ended(db, session.id)
    ended = await repository.end_session(db, session.id, session.user_id, "reported", now) is not None
    await repository.delete_devices(db, session.user_id)
    await audit.record(db, Fact.SESSION_REPORTED, client, now, subject=session.user_id, session=session.id, ended=ended)
