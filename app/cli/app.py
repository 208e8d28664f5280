"""The commands, put together."""

import gc
import sys
from typing import NoReturn

import typer

from app.cli import audit, checks, serving, setup, users
from app.config import SettingsError
from app.core.errors import AppError
from app.infra.memory import THRESHOLDS, leave_lightly

cli = typer.Typer(
    name="authkeep",
    help="Authkeep: an authentication and user-management server.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cli.command()(setup.init)
cli.command()(serving.serve)
cli.command()(serving.worker)
cli.command()(setup.migrate)
cli.command()(checks.check)
cli.command("after-restore")(setup.after_restore)
cli.command()(checks.openapi)
cli.add_typer(users.cli, name="users")
cli.add_typer(audit.cli, name="audit")


def main() -> NoReturn:
    """Run a command; what goes wrong is one line, never a traceback."""
    gc.set_threshold(*THRESHOLDS)
    leave_lightly()
    try:
        status = cli(sys.argv[1:] or ["--help"], standalone_mode=False)
    except typer.TyperException as error:
        _fail(error.format_message(), 1)
    except typer.Abort:
        _fail("aborted", 1)
    except SettingsError as error:
        _fail(str(error), 2)
    except AppError as error:
        _fail("; ".join(fault.detail for fault in error.errors) or error.title, 1)
    except KeyboardInterrupt:
        _fail("interrupted", 1)
    except Exception as error:  # a database that is away, a disk that is full: the person wants one line
        _fail(f"{type(error).__name__}: {_first_line(error)}", 1)
    sys.exit(status or 0)


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [""])[0][:200]


def _fail(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"authkeep: {message}\n")
    sys.exit(status)
