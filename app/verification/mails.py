"""The worker's part: looks up at sending who there is to write to, issues the ticket, sends the link."""

import uuid
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import keyed_digest
from app.database import Database
from app.jobs import service as jobs
from app.jobs.sockets import Handler, Work
from app.mail.service import MailKit, MailUnconfigured
from app.tickets import service as tickets
from app.users import service as users
from app.users.models import User
from app.users.names import name_key
from app.verification import changes, repository, service
from app.verification.deps import VerificationKit
from app.verification.models import EmailChange, PendingRegistration

TAKEN = "address-taken"
MOST_AGAIN = 3  # registrations of one address that are written to again
Letter = tuple[str, str, dict[str, str], str | None]  # template, address, values, language  # template, address, values
KINDS = (service.MAIL, service.MAIL_AGAIN, changes.MAIL_CHANGE, changes.MAIL_CHANGED)


class Letters:
    """The handlers of this feature's jobs. One link for one job, however often it is tried."""

    def __init__(self, database: Database, kit: VerificationKit, mail: MailKit) -> None:
        self._database = database
        self._kit = kit
        self._mail = mail

    def handlers(self) -> list[Handler]:
        """One for each kind."""
        works = (self.send_verification, self.send_again, self.send_change, self.send_changed)
        return [Handler(kind, work) for kind, work in zip(KINDS, works, strict=True)]

    async def send_verification(self, work: Work) -> None:
        """Link and code for an account or a registration that waits; for a taken address, word to its owner."""
        self._check_transport()
        subject_id, ticket_id = uuid.UUID(work.payload["subject"]), uuid.UUID(work.payload["ticket"])
        async with self._database.write() as db:
            pending = await repository.lock_pending(db, subject_id, work.now)
            letter = None
            if pending is not None:
                letter = await self._to_owner(db, pending.email, None, work) or await self._to_prove(db, pending, ticket_id, work)
            else:
                user = await users.lock_user(db, subject_id)
                if user is not None and user.active and not user.email_verified:
                    letter = await self._to_prove(db, user, ticket_id, work)
        await self._send(work, letter)

    async def send_again(self, work: Work) -> None:
        """One job for each that waits for this address to be proved."""
        async with self._database.write() as db:
            key = name_key(work.payload["email"])
            user = await users.find_by_key(db, key)
            waiting: list[uuid.UUID] = [user.id] if user and not user.email_verified else []
            if user is None:
                waiting = [each.id for each in await repository.list_pending(db, key, work.now, MOST_AGAIN)]
            for subject_id in waiting:
                # The same ids at each try, so that a job done twice makes no second link.
                ticket = keyed_digest(self._kit.lane_key, work.payload["ticket"], subject_id.bytes)[:16]
                payload = {"subject": str(subject_id), "ticket": str(uuid.UUID(bytes=ticket))}
                await jobs.enqueue(db, service.MAIL, payload, work.now)

    async def send_change(self, work: Work) -> None:
        """The link to the new address; if somebody has that, word to them."""
        self._check_transport()
        async with self._database.write() as db:
            found = await repository.find_change(db, uuid.UUID(work.payload["change"]))
            user = await users.lock_user(db, found.user_id) if found else None
            change = await repository.find_change(db, found.id) if found else None  # once more, under the lock
            letter = None
            if change is not None and user is not None and changes.is_waiting(change, user):
                letter = await self._to_owner(db, change.new_email, user.id, work) or await self._to_confirm(
                    db, change, user, work
                )
        await self._send(work, letter)

    async def send_changed(self, work: Work) -> None:
        """Word to the old address, with the link that undoes it."""
        self._check_transport()
        ticket_id, letter = uuid.UUID(work.payload["ticket"]), None
        async with self._database.write() as db:
            found = await repository.find_change(db, uuid.UUID(work.payload["change"]))
            user = await users.lock_user(db, found.user_id) if found else None
            change = await repository.find_change(db, found.id) if found else None
            if change is not None and user is not None and change.confirmed_at and not change.undone_at:
                address, key = change.old_email_key, self._kit.undo_key
                token = await tickets.issue(db, key, ticket_id, changes.UNDO, change.id, address, work.now, changes.UNDO_LIFE)
                values = {"username": user.username, "at": f"{change.confirmed_at:%Y-%m-%d %H:%M} UTC"}
                values |= {"link": f"{self._kit.undo_url}?token={token}", "days": str(changes.UNDO_LIFE.days)}
                letter = (changes.MAIL_CHANGED, change.old_email, values, user.locale) if token else None
        await self._send(work, letter)

    async def _to_owner(self, db: AsyncSession, email: str, asking: uuid.UUID | None, work: Work) -> Letter | None:
        """What the owner of a taken address is told; None if it is free, or the asking account's own."""
        key = name_key(email)
        owner = await users.find_by_key(db, key)
        if owner is None and (holder := await repository.find_holder(db, key, work.now)):
            owner = await users.find_user(db, holder)
        return (TAKEN, email, {"username": owner.username}, owner.locale) if owner and owner.id != asking else None

    async def _to_prove(
        self, db: AsyncSession, subject: User | PendingRegistration, ticket_id: uuid.UUID, work: Work
    ) -> Letter | None:
        life, key = self._kit.life, self._kit.key
        if isinstance(subject, PendingRegistration):
            life = min(life, subject.reserved_until - work.now)
        token = await tickets.issue(db, key, ticket_id, service.PURPOSE, subject.id, subject.email_key, work.now, life)
        ticket = await tickets.find(db, ticket_id)
        if token is None or ticket is None:
            return None
        values = {"username": subject.username, "link": f"{self._kit.url}?token={token}", "hours": _hours(life)}
        return service.MAIL, subject.email, values | {"code": tickets.code_of(key, ticket)}, subject.locale

    async def _to_confirm(self, db: AsyncSession, change: EmailChange, user: User, work: Work) -> Letter | None:
        key, life = self._kit.change_key, self._kit.change_life
        address = name_key(change.new_email)
        token = await tickets.issue(db, key, change.id, changes.CHANGE, user.id, address, work.now, life)
        values = {"username": user.username, "link": f"{self._kit.change_url}?token={token}", "hours": _hours(life)}
        return (changes.MAIL_CHANGE, change.new_email, values, user.locale) if token else None

    async def _send(self, work: Work, letter: Letter | None) -> None:
        if letter is not None:
            template, to, values, locale = letter
            await self._mail.deliver(work, template, to, values, locale=locale)

    def _check_transport(self) -> None:
        if self._mail.transport is None:
            raise MailUnconfigured


def _hours(life: timedelta) -> str:
    return str(max(1, round(life.total_seconds() / 3600)))
