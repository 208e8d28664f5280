"""Inviting people and taking invitations back, accepting one. An invitation is worth as much as who made it."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.deps import AuthKit
from app.auth.errors import RegistrationClosed
from app.auth.sockets import REGISTERED
from app.core.caller import Caller
from app.core.client import Client
from app.core.crypto import new_id, random_id
from app.core.errors import Unavailable
from app.core.paging import cut_page, read_place
from app.core.permissions import Permission, Role, covers, holds
from app.database import Database
from app.invitations import repository
from app.invitations.deps import InvitationKit
from app.invitations.errors import InvitationNotFound
from app.invitations.models import Invitation
from app.jobs import service as jobs
from app.jobs.sockets import Work
from app.mail.service import MailKit, MailUnconfigured
from app.tickets import service as tickets
from app.tickets.service import TicketInvalid
from app.users import service as users
from app.users.errors import EmailTaken
from app.users.holding import check_reach, hold_self
from app.users.models import User
from app.users.names import name_key

PURPOSE = KIND = "invitation"
LISTING = "invitations"
KEPT_AFTER_EXPIRY = timedelta(days=30)
RACES = 3


@dataclass(frozen=True, slots=True)
class Page:
    """A page of open invitations."""

    items: list[Invitation]
    next_cursor: str | None


async def invite(db: AsyncSession, kit: InvitationKit, caller: Caller, email: str, role: Role, now: datetime) -> Invitation:
    """Leave for an address to make an account; one that was open for it is withdrawn.

    Raises:
        RegistrationClosed: nobody could accept it.
        OutOfReach: the role, or that of an invitation open for the address, holds more than the caller's.
        EmailTaken: somebody has the address, which staff may know.
    """
    _check_open(kit)
    acting = await hold_self(db, caller, now)
    await check_reach(db, caller, acting, Permission.USERS_WRITE, role, now)
    await users.check_email_free(db, email, now)
    invitation = await _add(db, kit, caller, acting, email, role, now)
    await jobs.enqueue(db, KIND, {"subject": str(invitation.id), "ticket": str(random_id())}, now)
    await _record(db, Fact.USER_INVITED, caller, now, invitation=str(invitation.id), role=role)
    return invitation


async def _add(
    db: AsyncSession, kit: InvitationKit, caller: Caller, acting: Role, email: str, role: Role, now: datetime
) -> Invitation:
    values = {"id": new_id(now), "email": email, "email_key": name_key(email), "role": role, "invited_by": caller.me.id}
    values |= {"created_at": now, "expires_at": now + kit.life}
    for _ in range(RACES):  # somebody else may invite the same address at this moment
        for older in await repository.lock_open_for(db, name_key(email)):
            await check_reach(db, caller, acting, Permission.USERS_WRITE, Role(older.role), now)
            await repository.withdraw(db, older.id, now)
            await tickets.void(db, older.id, now)
            await _record(db, Fact.INVITATION_WITHDRAWN, caller, now, invitation=str(older.id))
        if (added := await repository.add_invitation(db, values)) is not None:
            return added
    raise Unavailable


async def list_invitations(db: AsyncSession, kit: InvitationKit, cursor: str | None, limit: int) -> Page:
    """A page of those that are open, newest first; they may have run out.

    Raises:
        CursorInvalid: the cursor is not one of this listing.
    """
    found = await repository.list_open(db, read_place(kit.cursor_key, LISTING, cursor), limit + 1)
    return Page(*cut_page(kit.cursor_key, LISTING, found, limit))


async def withdraw(db: AsyncSession, caller: Caller, invitation_id: uuid.UUID, now: datetime) -> None:
    """Take an invitation back; its link is dead at once.

    Raises:
        InvitationNotFound: none is open.
        OutOfReach: its role holds more than the caller's.
    """
    acting = await hold_self(db, caller, now)
    found = await repository.find_invitation(db, invitation_id)
    if found is not None:
        await check_reach(db, caller, acting, Permission.USERS_WRITE, Role(found.role), now)
    if not await repository.withdraw(db, invitation_id, now):
        raise InvitationNotFound
    await tickets.void(db, invitation_id, now)
    await _record(db, Fact.INVITATION_WITHDRAWN, caller, now, invitation=str(invitation_id))


async def _record(db: AsyncSession, fact: Fact, caller: Caller, now: datetime, **data: Any) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, session=caller.session_id, **data)


async def withdraw_all_of(db: AsyncSession, user_id: uuid.UUID, _reason: str, now: datetime) -> None:
    """Part of users.ACCESS_ENDED: who is disabled, deleted or has another role invites nobody any more."""
    for invitation_id in await repository.withdraw_of(db, user_id, now):
        await tickets.void(db, invitation_id, now)


async def preview(db: AsyncSession, kit: InvitationKit, token: str, now: datetime) -> Invitation:
    """What a link offers. Spends nothing.

    Raises:
        RegistrationClosed: whatever the link.
        TicketInvalid: the link is not good (any more).
    """
    _check_open(kit)
    ticket = await tickets.check(db, kit.key, token, PURPOSE, now)
    found = await repository.find_invitation(db, ticket.subject_id)
    if found is None or found.accepted_at or found.withdrawn_at or found.expires_at <= now:
        raise TicketInvalid
    return found


def _check_open(kit: InvitationKit) -> None:
    if not kit.open:
        raise RegistrationClosed


async def accept(
    database: Database,
    auth: AuthKit,
    kit: InvitationKit,
    token: str,
    username: str,
    password: str,
    client: Client,
    now: datetime,
    *,
    locale: str | None = None,
) -> User:
    """The invited account, its address proved, if REGISTRATION is `invite` or `open`. What breaks a rule spends nothing.

    Raises:
        RegistrationClosed: it is neither.
        TicketInvalid: the link is not good (any more), or somebody has the address by now.
        UsernameReserved, PasswordRejected, UsernameTaken, Overloaded: see there.
    """
    users.check_reserved(username)
    with auth.pool.place() as run:
        async with database.read() as db:
            invitation = await preview(db, kit, token, now)
            auth.check_new_password(password, "password", username=username, email=invitation.email)
            await users.check_username_free(db, username, now)
        password_hash = await run(auth.passwords.hash, password)
    async with database.write() as db:
        await _spend(db, kit, token, invitation, now)
        try:
            user = await users.create_user(
                db,
                username=username,
                email=invitation.email,
                password_hash=password_hash,
                scheme=auth.passwords.label,
                role=Role(invitation.role),
                now=now,
                email_verified_at=now,
                locale=locale,
            )
        except EmailTaken:
            raise TicketInvalid from None
        await repository.note_account(db, invitation.id, user.id)
        which, role = str(invitation.id), invitation.role
        await audit.record(db, Fact.INVITATION_ACCEPTED, client, now, actor=user.id, subject=user.id, invitation=which, role=role)
        for hear in REGISTERED.within(db):
            await hear(db, user, client, now)
        return user


async def _spend(db: AsyncSession, kit: InvitationKit, token: str, invitation: Invitation, now: datetime) -> None:
    # The inviter's row first, as those do who end an inviter's access: so either they come first, or the account is there.
    inviter = await users.lock_user(db, invitation.invited_by) if invitation.invited_by else None
    if inviter is None or not inviter.active or not _may_give(Role(inviter.role), Role(invitation.role)):
        raise TicketInvalid
    ticket = await tickets.check(db, kit.key, token, PURPOSE, now)
    if not await repository.accept_invitation(db, invitation.id, now):
        raise TicketInvalid
    await tickets.spend(db, ticket, invitation.email_key, now)


def _may_give(inviter: Role, role: Role) -> bool:
    return holds(inviter, Permission.USERS_WRITE) and covers(inviter, role)


class SendInvitation:
    """The handler of invitation jobs. One link, however often tried."""

    def __init__(self, database: Database, kit: InvitationKit, mail: MailKit) -> None:
        self._database = database
        self._kit = kit
        self._mail = mail

    async def __call__(self, work: Work) -> None:
        """One try; nothing if it was accepted or withdrawn meanwhile."""
        if self._mail.transport is None:
            raise MailUnconfigured
        async with self._database.write() as db:
            found = await repository.lock_invitation(db, uuid.UUID(work.payload["subject"]))
            if found is None or found.accepted_at or found.withdrawn_at or found.expires_at <= work.now:
                return
            ticket_id, life = uuid.UUID(work.payload["ticket"]), found.expires_at - work.now
            token = await tickets.issue(db, self._kit.key, ticket_id, PURPOSE, found.id, found.email_key, work.now, life)
        if token is not None:
            values = {"link": f"{self._kit.url}?token={token}", "days": str(max(1, round(life / timedelta(days=1))))}
            await self._mail.deliver(work, KIND, found.email, values)


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Daily: forget what has long run out."""
    await repository.delete_old(db, now - KEPT_AFTER_EXPIRY)
