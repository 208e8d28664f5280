"""users: what an operator does to accounts, by the same services as the API."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.deps import AuthKit
from app.cli.running import with_server
from app.core.caller import Caller, operator
from app.core.permissions import Role
from app.core.server import Server
from app.passwords import service as passwords
from app.users import service as users
from app.users.models import User
from app.users.names import Email, Username
from app.users.repository import Filters

cli = typer.Typer(help="Look at accounts and change them. NAME is a username or address.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Username or address")]
PAGE = 100


class BadInput(Exception):
    """An argument can't be used; the message says why."""


class AccountIn(BaseModel):
    """What a new account needs, by the rules of registration."""

    username: Username
    email: Email


def read_password(prompt: str) -> str:
    """A password from the terminal, asked for twice; from standard input where there is no terminal."""
    if sys.stdin.isatty():
        answer: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=True)
        return answer
    return sys.stdin.readline().rstrip("\n")


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


@cli.command()
def create(
    username: Annotated[str, typer.Argument()],
    email: Annotated[str, typer.Argument()],
    role: Annotated[Role, typer.Option(help="What the account may do")] = Role.USER,
) -> None:
    """Make an account; the password is asked for (or read from standard input)."""
    password = read_password("Password")

    async def act(server: Server) -> User:
        return await create_account(server, username, email, password, role)

    _show(with_server(act))


@cli.command("list")
def list_(q: Annotated[str, typer.Option(help="Beginning of username or address")] = "") -> None:
    """All accounts, oldest first."""

    async def act(server: Server) -> None:
        cursor = None
        while True:
            async with server.database.read() as db:
                page = await users.list_users(db, b"cli", Filters(q.lower() or None, None, None), "created_at", cursor, PAGE)
            for user in page.items:
                _show(user)
            cursor = page.next_cursor
            if cursor is None:
                return

    with_server(act)


@cli.command()
def show(name: Name) -> None:
    """One account."""

    async def act(server: Server) -> User:
        async with server.database.read() as db:
            return await users.get_by_name(db, name)

    _show(with_server(act))


@cli.command("set-role")
def set_role(name: Name, role: Role) -> None:
    """Give a role; the person is signed out."""
    _change(name, lambda db, caller, user, server: users.set_role(db, caller, user.id, role, server.clock()))


@cli.command()
def disable(name: Name) -> None:
    """Forbid an account to be used; the person is signed out."""
    _change(name, lambda db, caller, user, server: users.set_active(db, caller, user.id, server.clock(), active=False))


@cli.command()
def enable(name: Name) -> None:
    """Allow an account to be used again."""
    _change(name, lambda db, caller, user, server: users.set_active(db, caller, user.id, server.clock(), active=True))


@cli.command()
def delete(name: Name) -> None:
    """Delete an account; the person is signed out."""

    async def act(server: Server) -> User:
        async with server.database.write() as db:
            user = await users.get_by_name(db, name)
            await users.delete_user(db, operator(server.clock()), user.id, server.clock())
            return user

    typer.echo(f"Deleted {with_server(act).username}.")


@cli.command("set-password")
def set_password(name: Name) -> None:
    """Set a password (asked for, or read from standard input); the person is signed out and told by mail."""
    password = read_password("New password")

    async def act(server: Server) -> User:
        async with server.database.read() as db:
            user = await users.get_by_name(db, name)
        now = server.clock()
        await passwords.set_password(server.database, server.kit(AuthKit), operator(now), user.id, password, now)
        return user

    typer.echo(f"Set a new password for {with_server(act).username}.")


Change = Callable[[AsyncSession, Caller, User, Server], Awaitable[User]]


def _change(name: str, change: Change) -> None:
    async def act(server: Server) -> User:
        async with server.database.write() as db:
            user = await users.get_by_name(db, name)
            return await change(db, operator(server.clock()), user, server)

    _show(with_server(act))


def _show(user: User) -> None:
    state = "active" if user.active else "disabled"
    typer.echo(f"{user.id}  {user.username:<32}  {user.role:<8}  {state:<8}  {user.email}")
