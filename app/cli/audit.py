"""audit: verify the record, and what verifying it takes."""

import json
import operator
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.bars import show
from app.cli.running import with_server
from app.config import load_settings

if TYPE_CHECKING:
    from app.audit.verifying import Report
    from app.core.server import Server

cli = typer.Typer(help="The audit log: verify it, and what that takes.")
Heads = Annotated[
    list[Path] | None,
    typer.Option(
        "--heads", exists=True, dir_okay=False, help="File with signed heads, such as HEAD_SINKS keeps; may be given again"
    ),
]
Keys = Annotated[list[str] | None, typer.Option("--key", help="Public key that heads may be signed by; may be given again")]
Export = Annotated[
    Path | None,
    typer.Option("--export", exists=True, dir_okay=False, help="Verify this export (JSON Lines) instead of the database"),
]
CSV_HEAD = "id,position,"


@cli.command()
def verify(export: Export = None, heads: Heads = None, key: Keys = None) -> None:
    """See whether a row was changed, removed, put in or moved, or the end cut off: exit 0 if all is as it was, else 1."""
    from app.audit.verifying import NotVerified

    if export is not None and not key:
        raise typer.BadParameter("an export is verified against a --key", param_hint="--key")
    try:
        report = _verify_export(export, heads or [], key or []) if export else _verify_database(heads or [], key or [])
    except NotVerified as problem:
        typer.echo(f"NOT VERIFIED: {problem}.", err=True)
        raise typer.Exit(1) from None
    for line in told(report, has_files=bool(heads) or (export is None and bool(head_files()))):
        typer.echo(line)


@cli.command("key")
def show_key() -> None:
    """Print the public key that heads are signed by; keep it where you verify."""
    from app.audit.chain import AuditKeys
    from app.core.crypto import b64encode

    typer.echo(b64encode(AuditKeys(load_settings().audit_secret).public))


def head_files() -> list[Path]:
    """Files that HEAD_SINKS keeps heads in."""
    return [Path(sink.removeprefix("file:")) for sink in load_settings().HEAD_SINKS if sink.startswith("file:")]


def told(report: "Report", *, has_files: bool) -> Iterator[str]:
    """What was found, in lines; the last says it all."""
    for restored in report.lost:
        when = f"{restored.at:%Y-%m-%d %H:%M:%S} UTC"
        yield f"Restored from a backup on {when}: rows behind position {restored.position} were lost then."
    if report.first > 1:
        yield f"Begins at position {report.first}: what was before was removed by retention, behind a signed cut."
    if report.taken_in:
        yield f"{report.taken_in} rows are from before the log was chained."
    if report.not_ours:
        yield f"{report.not_ours} seals were made under another key: for them the chain and the signed heads speak."
    if report.waiting:
        yield f"{report.waiting} rows wait for their seal."
    if not has_files:
        yield "No head from outside the database was given (--heads, HEAD_SINKS): a cut-off end would not show."
    newest = report.newest
    until = (
        f"; newest signed head: position {newest.position}, {newest.at:%Y-%m-%d %H:%M:%S} UTC" if newest else "; no signed head"
    )
    yield f"Verified {report.rows} rows, up to position {report.last}{until}."


def _lines(paths: list[Path]) -> list[tuple[str, list[str]]]:
    return [(str(path), path.read_text(encoding="utf-8", errors="replace").splitlines()) for path in paths]


def _trusted(keys: list[str]) -> frozenset[bytes]:
    from app.core.crypto import b64decode

    found = [b64decode(key) for key in keys]
    if any(key is None or len(key) != 32 for key in found):
        raise typer.BadParameter("not a public key as `python -m app audit key` prints it", param_hint="--key")
    return frozenset(key for key in found if key)


def _progress(done: int, of: int) -> None:
    show(done, of, f"{done:,} rows")


def _verify_database(heads: list[Path], keys: list[str]) -> "Report":
    from app.audit.chain import AuditKeys
    from app.audit.verifying import Trust, verify_database

    async def act(server: "Server") -> "Report":
        ours = server.kit(AuditKeys)
        trust: Trust = Trust(frozenset({ours.public}) | _trusted([*server.settings.AUDIT_TRUSTED_KEYS, *keys]), ours)
        kept = [path for path in head_files() if path.exists()]
        report = await verify_database(server.database, trust, _lines([*kept, *heads]), server.clock, _progress)
        _check_kept(report, server.clock())
        return report

    return with_server(act)


def _check_kept(report: "Report", now: datetime) -> None:
    """See that each file of HEAD_SINKS has heads, if there were rows for long enough: one that was emptied would say nothing."""
    from app.audit.chain import read_head
    from app.audit.verifying import YOUNG, NotVerified

    if report.oldest is None or report.oldest > now - YOUNG:
        return
    for path in head_files():
        if not path.exists():
            raise NotVerified(f"{path}: the file of HEAD_SINKS is not there; each server writes it when it starts")
        if not any(read_head(line) for _, lines in _lines([path]) for line in lines):
            raise NotVerified(f"{path}: the file of HEAD_SINKS holds no head, though the chain has rows")


def _verify_export(export: Path, heads: list[Path], keys: list[str]) -> "Report":
    from app.audit.verifying import Trust, verify_rows

    with export.open(encoding="utf-8") as lines:
        return verify_rows(_rows(lines), Trust(_trusted(keys), None), _lines(heads))


class ExportedRow:
    """A line of an export as the row it was."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._mapping = values
        self.__dict__.update(values)


def _rows(lines: Iterator[str]) -> Iterator[ExportedRow]:
    from app.audit.chain import COLUMNS
    from app.audit.verifying import NotVerified

    for number, line in enumerate(lines, 1):
        if number == 1 and line.startswith(CSV_HEAD):
            raise NotVerified("this is the CSV for spreadsheets, which holds no seals; take the log along as JSON Lines")
        try:
            told = json.loads(line)
            values = {name: told[name] for name in COLUMNS}
            values["at"] = datetime.fromisoformat(values["at"])
            for name in ("actor_id", "subject_id", "impersonator_id", "session_id"):
                values[name] = uuid.UUID(values[name]) if values[name] else None
            for name in ("client_salt", "personal_salt", "client_digest", "personal_digest", "seal", "mark"):
                values[name] = bytes.fromhex(values[name]) if values[name] else None
            values |= {"id": operator.index(values["id"]), "position": operator.index(values["position"])}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise NotVerified(f"line {number} of the export is no whole row: it was changed, or the export was cut off") from None
        yield ExportedRow(values)
