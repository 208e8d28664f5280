"""users: look at accounts and change them. What is done is in `accounts`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import transfer
from app.cli.running import with_server
from app.core.permissions import Role

if TYPE_CHECKING:
    from app.core.server import Server
    from app.users.models import User

cli = typer.Typer(help="Look at accounts and change them. NAME is a username or address.")
cli.command("import")(transfer.import_)
cli.command()(transfer.export)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Username or address")]


def read_password(prompt: str) -> str:
    """A password from the terminal, asked for twice; from standard input where there is no terminal."""
    if sys.stdin.isatty():
        answer: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=True)
        return answer
    return sys.stdin.readline().rstrip("\n")


@cli.command()
def create(
    username: Annotated[str, typer.Argument()],
    email: Annotated[str, typer.Argument()],
    role: Annotated[Role, typer.Option(help="What the account may do")] = Role.USER,
) -> None:
    """Make an account; the password is asked for (or read from standard input)."""
    from app.cli import accounts

    password = read_password("Password")
    _show(with_server(lambda server: accounts.create_account(server, username, email, password, role)))


@cli.command("list")
def list_(q: Annotated[str, typer.Option(help="Beginning of username or address")] = "") -> None:
    """All accounts, oldest first."""
    from app.cli import accounts

    async def act(server: "Server") -> None:
        async for user in accounts.list_accounts(server, q):
            _show(user)

    with_server(act)


@cli.command()
def show(name: Name) -> None:
    """One account."""
    from app.cli import accounts

    _show(with_server(lambda server: accounts.get_account(server, name)))


@cli.command("set-role")
def set_role(name: Name, role: Role) -> None:
    """Give a role; the person is signed out."""
    from app.cli import accounts

    _show(with_server(lambda server: accounts.set_role(server, name, role)))


@cli.command()
def disable(name: Name) -> None:
    """Forbid an account to be used; the person is signed out."""
    from app.cli import accounts

    _show(with_server(lambda server: accounts.set_active(server, name, active=False)))


@cli.command()
def enable(name: Name) -> None:
    """Allow an account to be used again."""
    from app.cli import accounts

    _show(with_server(lambda server: accounts.set_active(server, name, active=True)))


@cli.command()
def delete(name: Name) -> None:
    """Delete an account; the person is signed out."""
    from app.cli import accounts

    user = with_server(lambda server: accounts.delete_account(server, name))
    typer.echo(f"Deleted {user.username}.")


@cli.command("set-password")
def set_password(name: Name) -> None:
    """Set a password (asked for, or read from standard input); the person is signed out and told by mail."""
    from app.cli import accounts

    password = read_password("New password")
    user = with_server(lambda server: accounts.set_password(server, name, password))
    typer.echo(f"Set a new password for {user.username}.")


@cli.command("mfa-reset")
def mfa_reset(name: Name) -> None:
    """Take a person's second factors and recovery codes away; the person is signed out and told by mail."""
    from app.cli import accounts

    user = with_server(lambda server: accounts.reset_factors(server, name))
    typer.echo(f"Reset the second factors of {user.username}.")


def _show(user: "User") -> None:
    state = "active" if user.active else "disabled"
    typer.echo(f"{user.id}  {user.username:<32}  {user.role:<8}  {state:<8}  {user.email}")
