"""users import and users export: files of people in and out. What is done is in `app/transfer`."""

import csv
import errno
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.bars import show
from app.cli.running import with_server

if TYPE_CHECKING:
    from app.core.server import Server
    from app.transfer.forms import Context
    from app.transfer.rules import Rules
    from app.transfer.service import Conflict, Counts, Importing

SHOWN = 20  # conflicts on the terminal


class Names(StrEnum):
    """What becomes of usernames that are not allowed here."""

    KEEP = "keep"
    DERIVE = "derive"


class Kind(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"


class Telling:
    """Rows that were not taken: the first ones on the terminal, all of them in a file."""

    def __init__(self, report: Any) -> None:
        self._rows = csv.writer(report) if report else None
        self._told = 0
        if self._rows:
            self._rows.writerow(("line", "what", "why"))

    def tell(self, conflict: "Conflict") -> None:
        """One more."""
        self._told += 1
        if self._rows:
            self._rows.writerow((conflict.line, conflict.what, conflict.why))
        if self._told <= SHOWN:
            typer.echo(f"line {conflict.line}: {conflict.what}: {conflict.why}", err=True)
        elif self._told == SHOWN + 1 and not self._rows:
            typer.echo("… and more: --report FILE has them all", err=True)


Form = Annotated[str, typer.Option("--from", metavar="FORM", help="What system it is from; see docs/importing.md")]
HashConfig = Annotated[
    Path | None, typer.Option("--hash-config", exists=True, help="Firebase's hash parameters, as its console shows them")
]


def import_(
    path: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="CSV or JSON, by its ending")],
    form: Form = "authkeep",
    usernames: Annotated[Names, typer.Option(help="Refuse a username that is not allowed here, or derive one")] = Names.KEEP,
    report: Annotated[Path | None, typer.Option(help="Write rows that are not taken to this file (CSV)")] = None,
    hash_config: HashConfig = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing")] = False,
    trusted: Annotated[bool, typer.Option("--trusted", help="Take roles above user, and reserved names")] = False,
    drop: Annotated[
        bool, typer.Option("--drop-unusable", help="Take people without a hash or factor that can't be carried over")
    ] = False,
) -> None:
    """Bring people in from a file. Who is there already stays as they are; the same file twice changes nothing."""
    from app.transfer.errors import BadFile
    from app.transfer.forms import FORMS
    from app.transfer.rules import Rules
    from app.transfer.service import Importing, Plan

    if form not in FORMS:
        raise typer.BadParameter(f"one of {', '.join(FORMS)}", param_hint="--from")
    rules = Rules(derive=usernames is Names.DERIVE or not FORMS[form].has_names, trusted=trusted, drop=drop)
    config = hash_config.read_text(encoding="utf-8", errors="replace") if hash_config else None
    try:
        with ExitStack() as files:
            source, size = files.enter_context(path.open("rb")), path.stat().st_size
            telling = Telling(files.enter_context(_open_report(report)) if report else None)

            async def act(server: "Server") -> "Counts":
                allowed = replace(rules, most_bcrypt=max(rules.most_bcrypt, server.settings.BCRYPT_ROUNDS))
                plan = Plan(form, path.suffix.lower(), _context(server, allowed, config), dry_run)
                importing = Importing(server, plan, telling.tell)
                progress = partial(_progress, source, size, importing)
                return await importing.run(FORMS[form].read(plan.kind, source), progress)

            counts = with_server(act)
    except BadFile as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    typer.echo(told(counts, dry_run=dry_run))
    if counts.refused:
        raise typer.Exit(1)


def told(counts: "Counts", *, dry_run: bool) -> str:
    """What became of the rows, in a line."""
    bare = f" Without a password: {counts.bare}." if counts.bare else ""
    if dry_run:
        would = f"{counts.added} would be added, {counts.there} are there already, {counts.refused} would be refused"
        return f"Dry run: {would}.{bare}"
    nothing = " Nothing was changed." if not counts.added else ""
    return f"Added {counts.added}; {counts.there} were there already, {counts.refused} refused.{bare}{nothing}"


def _context(server: "Server", rules: "Rules", config: str | None) -> "Context":
    from app.transfer.forms import Context
    from app.transfer.hashes import read_hash_config

    return Context(rules, server.clock(), read_hash_config(config) if config is not None else None)


def _progress(source: Any, size: int, importing: "Importing") -> None:
    show(source.tell() if size else 0, size, f"{importing.counts.rows:,} rows")


def export(
    output: Annotated[Path | None, typer.Option(help="A new file, readable by its owner alone; else standard output")] = None,
    kind: Annotated[Kind, typer.Option("--format", help="What to write")] = Kind.JSONL,
    *,
    with_credentials: Annotated[
        bool, typer.Option("--with-credentials", help="Password hashes, authenticators' secrets, passkeys too: keep it safe")
    ] = False,
) -> None:
    """Write all accounts out, as an import takes them."""

    async def act(server: "Server") -> None:
        from app.transfer.exporting import export as pieces

        if output is None:
            if isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8", newline="")  # whatever the terminal speaks: an import reads UTF-8
            await _write(pieces(server, kind.value, credentials=with_credentials), sys.stdout)
            return
        with _whole(output) as to:
            await _write(pieces(server, kind.value, credentials=with_credentials), to)

    with_server(act)


async def _write(pieces: AsyncIterator[str], to: Any) -> None:
    async for piece in pieces:
        to.write(piece)


def _open_report(path: Path) -> Any:
    # A run that was cut off is run again by the same command, so the file may be there.
    flags = os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_WRONLY
    return os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="")


@contextmanager
def _whole(path: Path) -> Iterator[Any]:
    """A new file that is there once all of it is, readable by its owner alone."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink()
        raise
