"""What the commands of `users` do, by the same services as the API."""

from collections.abc import AsyncIterator

from pydantic import BaseModel, ValidationError

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.deps import AuthKit
from app.core.caller import operator
from app.core.permissions import Role
from app.core.server import Server
from app.mfa import service as mfa
from app.mfa.deps import MfaKit
from app.passwords import service as passwords
from app.users import service as users
from app.users.models import User
from app.users.names import Email, Username
from app.users.repository import Filters

PAGE = 100


class BadInput(Exception):
    """An argument can't be used; the message says why."""


class AccountIn(BaseModel):
    """What a new account needs, by the rules of registration."""

    username: Username
    email: Email


async def create_account(server: Server, username: str, email: str, password: str, role: Role) -> User:
    """A new account by the rules of registration, but for reserved names."""
    try:
        account = AccountIn(username=username, email=email)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise BadInput(f"{first['loc'][0]}: {first['msg']}") from None
    kit, now = server.kit(AuthKit), server.clock()
    kit.check_new_password(password, "password", username=account.username, email=account.email)
    password_hash = kit.passwords.hash(password)
    async with server.database.write() as db:
        user = await users.create_user(
            db,
            username=account.username,
            email=account.email,
            password_hash=password_hash,
            scheme=kit.passwords.label,
            role=role,
            now=now,
        )
        await audit.record(db, Fact.USER_CREATED, operator(now).client, now, subject=user.id, role=role)
    return user


async def create_first_admin(server: Server, password: str) -> User | None:
    """The admin made, or None where there is somebody already."""
    async with server.database.read() as db:
        if await users.has_users(db):
            return None
    return await create_account(server, "admin", server.settings.ADMIN_EMAIL, password, Role.ADMIN)


async def list_accounts(server: Server, q: str) -> AsyncIterator[User]:
    """All accounts whose username or address begins so, oldest first; read a page at a time."""
    cursor = None
    while True:
        async with server.database.read() as db:
            page = await users.list_users(db, b"cli", Filters(q.lower() or None, None, None), "created_at", cursor, PAGE)
        for user in page.items:
            yield user
        cursor = page.next_cursor
        if cursor is None:
            return


async def get_account(server: Server, name: str) -> User:
    """One account."""
    async with server.database.read() as db:
        return await users.get_by_name(db, name)


async def set_role(server: Server, name: str, role: Role) -> User:
    """Give a role."""
    now = server.clock()
    async with server.database.write() as db:
        user = await users.get_by_name(db, name)
        return await users.set_role(db, operator(now), user.id, role, now)


async def set_active(server: Server, name: str, *, active: bool) -> User:
    """Enable or disable."""
    now = server.clock()
    async with server.database.write() as db:
        user = await users.get_by_name(db, name)
        return await users.set_active(db, operator(now), user.id, now, active=active)


async def delete_account(server: Server, name: str) -> User:
    """Delete; what it was is returned."""
    now = server.clock()
    async with server.database.write() as db:
        user = await users.get_by_name(db, name)
        await users.delete_user(db, operator(now), user.id, now)
        return user


async def set_password(server: Server, name: str, password: str) -> User:
    """Set a password."""
    user = await get_account(server, name)
    now = server.clock()
    await passwords.set_password(server.database, server.kit(AuthKit), operator(now), user.id, password, now)
    return user


async def reset_factors(server: Server, name: str) -> User:
    """Take every second factor away."""
    now = server.clock()
    async with server.database.write() as db:
        user = await users.get_by_name(db, name)
        kit, auth = server.kit(MfaKit), server.kit(AuthKit)
        await mfa.set_for(db, auth, kit, operator(now), user.id, now, required=None, reset=True)
        return user
