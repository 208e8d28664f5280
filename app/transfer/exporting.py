"""All accounts as lines of our own form, which an import takes again; a page at a time, whatever their number."""

import csv
import io
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.export import FORMULA, LINES, TABLE
from app.audit.facts import Fact
from app.core.caller import operator
from app.core.server import Server
from app.mfa import carrying as apps
from app.mfa.deps import MfaKit
from app.passkeys import carrying as passkeys
from app.passkeys.deps import PasskeyKit
from app.users import many

PAGE = 1_000
KINDS = (TABLE, LINES)
PLAIN = (
    "id",
    "username",
    "email",
    "role",
    "email_verified_at",
    "created_at",
    "password_changed_at",
    "last_login_at",
    "disabled_at",
    "leaving_at",
    "display_name",
    "locale",
)
CREDENTIALS = ("password_hash", "totp", "passkeys")


async def export(server: Server, kind: str, *, credentials: bool) -> AsyncIterator[str]:
    """The whole file in pieces; that it was taken is recorded before the first.

    Raises:
        NoSecret: an authenticator's secret was sealed under another key.
    """
    now = server.clock()
    async with server.database.write() as db:
        who = operator(now).client
        await audit.record(db, Fact.USERS_EXPORTED, who, now, format=kind, credentials=credentials)
    columns = (*PLAIN, *CREDENTIALS) if credentials else PLAIN
    if kind == TABLE:
        yield _table([columns])
    last: uuid.UUID | None = None
    while True:
        async with server.database.read() as db:
            rows = await many.list_behind(db, last, PAGE)
            more = await _credentials(server, db, rows) if credentials else {}
        if not rows:
            return
        told = [{name: _plain(getattr(row, name)) for name in PLAIN} | more.get(row.id, {}) for row in rows]
        yield _table([_cells(each, columns) for each in told]) if kind == TABLE else "".join(map(_line, told))
        last = rows[-1].id


async def _credentials(server: Server, db: AsyncSession, rows: Sequence[Any]) -> dict[uuid.UUID, dict[str, Any]]:
    ids = [row.id for row in rows]
    secrets = await apps.list_secrets(db, server.kit(MfaKit), ids)
    keys = await passkeys.list_carried(db, server.kit(PasskeyKit), ids)
    return {
        row.id: {
            "password_hash": row.password_hash,
            "totp": apps.write_secret(secrets[row.id]) if row.id in secrets else None,
            "passkeys": keys.get(row.id),
        }
        for row in rows
    }


def _plain(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _line(told: dict[str, Any]) -> str:
    said = {name: value for name, value in told.items() if value is not None}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"


def _cells(told: dict[str, Any], columns: Sequence[str]) -> list[str]:
    found = (told.get(name) for name in columns)
    return [_inert("" if each is None else each if isinstance(each, str) else json.dumps(each)) for each in found]


def _inert(cell: str) -> str:
    """As in an export of the audit log; and a quote that stands there itself has one before it, so that it comes back."""
    return f"'{cell}" if cell.startswith((*FORMULA, "'")) else cell


def _table(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
