"""init, migrate, after-restore: making a place to run in, and making it true again."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from app.cli.running import with_server
from app.config import load_settings

ENV = """# Made by `python -m app init`. Every setting is described in .env.example. Keep this file to yourself.
ENVIRONMENT=development
SECRET_KEY={secret}
PASSWORD_RESET_TOKEN_SECRET={reset_secret}
"""


def init() -> None:
    """Write a .env with fresh secrets, unless there is one."""
    path = Path(".env")
    if write_env(path):
        typer.echo(f"Wrote {path} with fresh secrets, for development.")
    else:
        typer.echo(f"{path} is there already; nothing was changed.")


def write_env(path: Path) -> bool:
    """Make the file, readable by its owner alone; False if it was there (also if it came into being meanwhile)."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(ENV.format(secret=secrets.token_urlsafe(48), reset_secret=secrets.token_urlsafe(48)))
    return True


def migrate() -> None:
    """Bring the database to the newest revision."""
    from app.infra.migrations import upgrade

    upgrade(load_settings().database_url)
    typer.echo("The database is at the newest revision.")


def after_restore(
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask")] = False,  # noqa: FBT002 -- typer's way of a flag
) -> None:
    """After restoring a backup: end every session, void every link, so that nothing revoked since comes back."""
    from app.cli.restoring import make_true

    if not yes:
        typer.confirm("This signs everybody out and voids every mailed link. Go on?", abort=True)
    ended, voided = with_server(make_true)
    typer.echo(f"Ended {ended} sessions and voided {voided} links.")
    typer.echo(
        "Look over what else the backup brought back: accounts deleted or disabled since, roles and passwords changed since."
    )


def set_up() -> None:
    """What `make run` needs before it serves: a .env, the tables, and on an empty database a first admin."""
    from app.cli.accounts import create_first_admin
    from app.infra.migrations import upgrade

    if write_env(Path(".env")):
        typer.echo("Wrote .env with fresh secrets, for development.")
    settings = load_settings()
    upgrade(settings.database_url)
    password = fresh_password()
    admin = with_server(lambda server: create_first_admin(server, password))
    if admin is not None:
        typer.echo(f"Made the first admin:  {admin.username} ({settings.ADMIN_EMAIL})  password: {password}")
        typer.echo("This password is not shown again; `python -m app users set-password admin` sets another.")


def fresh_password() -> str:
    """About 107 random bits that pass every policy and can be typed."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(6)) for _ in range(4))
