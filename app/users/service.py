"""What can be done to accounts. Every change locks first, then reads the caller's session again, then acts."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.core.caller import Caller, confirm
from app.core.client import Client
from app.core.crypto import new_id
from app.core.errors import TokenInvalid
from app.core.paging import read_cursor, write_cursor
from app.core.permissions import Permission, Role
from app.core.personal import PERSONAL_DATA
from app.core.ports import Account
from app.mail import service as mail
from app.tickets import service as tickets
from app.users import holding, listing_repository, repository
from app.users.errors import EmailTaken, UsernameReserved, UsernameTaken, UserNotFound
from app.users.holding import check_reach, hold_with_admins
from app.users.models import KEPT_AFTER_LEAVING, User
from app.users.names import RESERVED, name_key
from app.users.repository import Filters
from app.users.sockets import ACCESS_ENDED, HOLDS

hold = holding.hold
get_schemes = repository.list_schemes
find_by_key = repository.find_by_key
find_candidate = repository.find_candidate
find_user = repository.find_user
list_by_ids = repository.list_by_ids
lock_user = repository.lock_user
has_users = repository.has_users
touch_unchanged = repository.touch_unchanged
drop_scheme_unless = repository.drop_scheme_unless
list_left_for_good = repository.list_left_for_good


@dataclass(frozen=True, slots=True)
class Page:
    """A page of accounts."""

    items: list[User]
    next_cursor: str | None
    total: int
    total_capped: bool


async def check_username_free(db: AsyncSession, username: str, now: datetime) -> None:
    """Refuse early what would be refused anyway, before a hash is spent on it.

    Raises:
        UsernameTaken: somebody has the name at this moment, or it is kept for somebody.
    """
    key = name_key(username)
    if await repository.has_username(db, key):
        raise UsernameTaken
    for holds in HOLDS.within(db):
        if await holds.holds_username(db, key, now):
            raise UsernameTaken


async def check_email_free(db: AsyncSession, email: str, now: datetime, user_id: uuid.UUID | None = None) -> None:
    """Refuse early an address that this account, or a new one, can't have.

    Raises:
        EmailTaken: somebody else has it at this moment, or it is kept for somebody.
    """
    key = name_key(email)
    found = await repository.find_by_key(db, key)
    if found is not None and found.id != user_id:
        raise EmailTaken
    for holds in HOLDS.within(db):
        if await holds.holds_email(db, key, user_id, now):
            raise EmailTaken


def check_reserved(username: str) -> None:
    """Names that people might take for ours are not for self-registration.

    Raises:
        UsernameReserved: this is one.
    """
    if name_key(username) in RESERVED:
        raise UsernameReserved


async def create_user(
    db: AsyncSession,
    *,
    username: str,
    email: str,
    password_hash: str,
    scheme: str,
    role: Role,
    now: datetime,
    email_verified_at: datetime | None = None,
    locale: str | None = None,
) -> User:
    """A new account, unless its name or address is taken.

    Raises:
        UsernameTaken, EmailTaken: somebody has it, or was faster; or it is kept for somebody.
    """
    values: dict[str, Any] = {
        "id": new_id(now),
        "username": username,
        "username_key": name_key(username),
        "email": email,
        "email_key": name_key(email),
        "password_hash": password_hash,
        "role": role,
        "epoch": 0,
        "created_at": now,
        "password_changed_at": now,
        "email_verified_at": email_verified_at,
        "locale": locale,
    }
    user = await repository.add_user(db, values)
    if user is None:
        raise UsernameTaken if await repository.has_username(db, values["username_key"]) else EmailTaken
    # Asked once more, behind the insert: it may have waited for the very change that gave the address up and keeps it.
    for holds in HOLDS.within(db):
        if await holds.holds_username(db, user.username_key, now):
            raise UsernameTaken
        if await holds.holds_email(db, user.email_key, user.id, now):
            raise EmailTaken
    await repository.add_scheme(db, scheme)
    return user


async def upgrade_hash(db: AsyncSession, user_id: uuid.UUID, verified: str, upgraded: str, scheme: str) -> None:
    """Store a better hash of the password just verified; the epoch stays, since nothing changed for the person."""
    await repository.replace_hash(db, user_id, verified, upgraded)
    await repository.add_scheme(db, scheme)


async def set_password_hash(db: AsyncSession, user: User, password_hash: str, scheme: str, now: datetime) -> None:
    """A new password; the row is locked. Links mailed before are void from here on."""
    await repository.update_user(db, user.id, password_hash=password_hash, password_changed_at=now, epoch=user.epoch + 1)
    await repository.add_scheme(db, scheme)
    await tickets.void(db, user.id, now)


async def clear_password(db: AsyncSession, user: User, now: datetime) -> None:
    """No password is right any more; the row is locked. Links mailed before are void from here on."""
    await repository.update_user(db, user.id, password_hash=None, password_changed_at=now, epoch=user.epoch + 1)
    await tickets.void(db, user.id, now)


async def outdate(db: AsyncSession, user: User) -> None:
    """What was begun for the account before is not to be finished; the row is locked."""
    await repository.update_user(db, user.id, epoch=user.epoch + 1)


async def note_verified(db: AsyncSession, user: User, now: datetime) -> bool:
    """The person proved to read mail at the account's address; the row is locked. False if that was known."""
    if user.email_verified:
        return False
    await repository.update_user(db, user.id, email_verified_at=now)
    return True


async def set_last_login(db: AsyncSession, user_id: uuid.UUID, moment: datetime | None) -> None:
    """When somebody signed in last; the row is held."""
    await repository.update_user(db, user_id, last_login_at=moment)


async def set_email(db: AsyncSession, user: User, email: str, now: datetime, *, proved: bool = True) -> None:
    """Another address, which the person has proved or not; the row is locked. Links mailed before are void from here on.

    Raises:
        EmailTaken: somebody else has it, or was faster; or it is kept for somebody.
    """
    key = name_key(email)
    values = {"email": email, "email_key": key, "email_verified_at": now if proved else None, "epoch": user.epoch + 1}
    if not await repository.set_unique(db, user.id, values):
        raise EmailTaken
    for holds in HOLDS.within(db):
        if await holds.holds_email(db, key, user.id, now):
            raise EmailTaken
    await tickets.void(db, user.id, now)


async def stay(db: AsyncSession, user: User) -> None:
    """Somebody who was about to leave does not; the row is locked."""
    await repository.update_user(db, user.id, leaving_at=None)


async def get_user(db: AsyncSession, user_id: uuid.UUID) -> User:
    """The account.

    Raises:
        UserNotFound: there is none.
    """
    user = await repository.find_user(db, user_id)
    if user is None:
        raise UserNotFound
    return user


async def find_names(db: AsyncSession, user_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID | None, str]:
    """The usernames of those of these accounts that are there."""
    return {user.id: user.username for user in await repository.list_by_ids(db, user_ids)}


async def get_by_name(db: AsyncSession, name: str) -> User:
    """The account by username or address, in any case.

    Raises:
        UserNotFound: there is none.
    """
    user = await repository.find_by_key(db, name_key(name))
    if user is None:
        raise UserNotFound
    return user


async def list_users(db: AsyncSession, key: bytes, filters: Filters, sort: str, cursor: str | None, limit: int) -> Page:
    """A page of accounts, and how many there are in all (counted to 10,000).

    Raises:
        CursorInvalid: the cursor is not one of this listing.
    """
    order, descending = sort.removeprefix("-"), sort.startswith("-")
    listing = f"users/{sort}/{filters!r}"
    after = _read_position(read_cursor(key, listing, cursor), order) if cursor else None
    users = await listing_repository.list_users(db, filters, order, descending=descending, after=after, limit=limit + 1)
    total = await listing_repository.count_users(db, filters)
    last = users[limit - 1] if len(users) > limit else None
    next_cursor = write_cursor(key, listing, _position(last, order)) if last else None
    return Page(users[:limit], next_cursor, min(total, listing_repository.COUNTED), total > listing_repository.COUNTED)


def _position(user: User, order: str) -> list[Any]:
    value = {"created_at": user.created_at.isoformat(), "username": user.username_key, "email": user.email_key}[order]
    return [value, str(user.id)]


def _read_position(position: list[Any], order: str) -> tuple[Any, uuid.UUID]:
    value, user_id = position
    return datetime.fromisoformat(value) if order == "created_at" else value, uuid.UUID(user_id)


async def set_role(db: AsyncSession, caller: Caller, user_id: uuid.UUID, role: Role, now: datetime) -> User:
    """Give a role; the person's sessions end at once, since their tokens name the old one.

    Raises:
        UserNotFound, OutOfReach, LastAdmin: see there.
    """
    held = await hold_with_admins(db, caller, user_id, now, Permission.USERS_ROLES)
    user, before = held.user, held.user.role
    await check_reach(db, caller, held.acting, Permission.USERS_ROLES, role, now, subject=user_id)
    if before == role:
        return user
    await held.keep_an_admin(db, caller, now)
    await repository.update_user(db, user.id, role=role, epoch=user.epoch + 1)
    await end_access(db, user.id, "role_changed", now)
    await _record(db, Fact.ROLE_CHANGED, caller, user, now, before=before, after=role)
    return await get_user(db, user.id)


async def set_active(db: AsyncSession, caller: Caller, user_id: uuid.UUID, now: datetime, *, active: bool) -> User:
    """Allow or forbid the account to be used; forbidding ends its sessions at once.

    Raises:
        UserNotFound, OutOfReach, LastAdmin: see there.
    """
    held = await hold_with_admins(db, caller, user_id, now, Permission.USERS_WRITE)
    user = held.user
    if user.active == active:
        return user
    if not active:
        await held.keep_an_admin(db, caller, now)
        await tickets.void(db, user.id, now)
        await end_access(db, user.id, "disabled", now)
    await repository.update_user(db, user.id, disabled_at=None if active else now, epoch=user.epoch + 1)
    await _record(db, Fact.STATUS_CHANGED, caller, user, now, before=not active, after=active)
    return await get_user(db, user.id)


async def delete_user(db: AsyncSession, caller: Caller, user_id: uuid.UUID, now: datetime) -> None:
    """Erase the account; its sessions end at once, their rows stay, without the person, until no token of theirs can live.

    Raises:
        UserNotFound, OutOfReach, LastAdmin: see there.
    """
    held = await hold_with_admins(db, caller, user_id, now, Permission.USERS_DELETE)
    await held.keep_an_admin(db, caller, now)
    await end_access(db, held.user.id, "deleted", now)
    await erase(db, held.user, now)
    await _record(db, Fact.USER_DELETED, caller, held.user, now)


async def change_profile(db: AsyncSession, caller: Caller, wanted: Mapping[str, str | None], now: datetime) -> User:
    """Change of one's own name, display name or locale what is named in `wanted`.

    Raises:
        UsernameReserved, UsernameTaken: see there.
    """
    user = await repository.lock_user(db, caller.me.id)
    await confirm(db, caller, now)
    if user is None:
        raise TokenInvalid
    return await change_profile_of(db, caller, user, wanted, now)


async def change_profile_of(
    db: AsyncSession, caller: Caller, user: User, wanted: Mapping[str, str | None], now: datetime
) -> User:
    """The same of an account that the caller holds.

    Raises:
        UsernameReserved, UsernameTaken: see there.
    """
    changes = {name: value for name, value in wanted.items() if getattr(user, name) != value}
    if not changes:
        return user
    told: dict[str, Any] = {f"{name}_before": getattr(user, name) for name in changes}
    told |= {f"{name}_after": value for name, value in changes.items()} | {"fields": sorted(changes)}
    username = changes.get("username")
    if username is not None:
        await _check_new_name(db, user, username, now)
        changes["username_key"] = name_key(username)
    if not await repository.set_unique(db, user.id, changes):
        raise UsernameTaken
    await _record(db, Fact.PROFILE_CHANGED, caller, user, now, **told)
    return await get_user(db, user.id)


async def _check_new_name(db: AsyncSession, user: User, username: str, now: datetime) -> None:
    if name_key(username) == user.username_key:
        return
    check_reserved(username)
    await check_username_free(db, username, now)


async def leave(db: AsyncSession, caller: Caller, now: datetime) -> datetime:
    """Give up one's own account: sessions end at once, and it is erased later, at the moment returned.

    Raises:
        LastAdmin: see there.
    """
    held = await hold_with_admins(db, caller, caller.me.id, now, None)
    await held.keep_an_admin(db, caller, now)
    user = held.user
    await tickets.void(db, user.id, now)
    await end_access(db, user.id, "left", now)
    await repository.update_user(db, user.id, leaving_at=now, epoch=user.epoch + 1)
    await _record(db, Fact.LEAVING_STARTED, caller, user, now)
    erased_at = now + KEPT_AFTER_LEAVING
    at = f"{erased_at:%Y-%m-%d %H:%M} UTC"
    await mail.enqueue(db, "leaving", user.email, now, locale=user.locale, username=user.username, at=at)
    return erased_at


async def come_back(db: AsyncSession, account: Account, client: Client, now: datetime) -> None:
    """Take the leaving of who signs in back, once; the row is held and was found usable."""
    if await repository.clear_leaving(db, account.id):
        await audit.record(db, Fact.LEAVING_CANCELLED, client, now, actor=account.id, subject=account.id)
        at = f"{now:%Y-%m-%d %H:%M} UTC"
        await mail.enqueue(db, "welcome-back", account.email, now, locale=account.locale, username=account.username, at=at)


async def erase_who_left(db: AsyncSession, user_id: uuid.UUID, client: Client, now: datetime) -> bool:
    """Erase an account whose owner left and did not come back in time; False where there is nothing (more) to do."""
    user = await repository.lock_user(db, user_id)
    if user is None or user.leaving_at is None or user.leaving_at > now - KEPT_AFTER_LEAVING:
        return False
    await end_access(db, user.id, "erased", now)
    await erase(db, user, now)
    await audit.record(db, Fact.USER_ERASED, client, now, subject=user.id)
    return True


async def erase(db: AsyncSession, user: User, now: datetime) -> None:
    """Remove the account and what names its owner, wherever it is; the row is held. Records written before keep no data."""
    person = user.person()
    for part in PERSONAL_DATA.within(db):
        await part.erase(db, person, now)


async def end_access(db: AsyncSession, user_id: uuid.UUID, reason: str, now: datetime) -> None:
    """End what the account has open, its invitations too; the row is locked. `reason` is what sessions record."""
    for end in ACCESS_ENDED.within(db):
        await end(db, user_id, reason, now)


async def _record(db: AsyncSession, fact: Fact, caller: Caller, user: User, now: datetime, **data: Any) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, subject=user.id, session=caller.session_id, **data)
