"""A file brought in by a server of the test, in the test's own process."""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import bcrypt

from app.core.server import Server
from app.transfer.exporting import export
from app.transfer.forms import FORMS, Context
from app.transfer.hashes import FirebaseHashes
from app.transfer.rules import Rules
from app.transfer.service import Conflict, Counts, Importing, Plan
from tests.mail.postman import rows_of
from tests.support.api import PASSWORD

CHEAP = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@dataclass
class Brought:
    """What came of a run."""

    counts: Counts
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.counts.added, self.counts.there, self.counts.refused

    @property
    def refused(self) -> list[tuple[int, str]]:
        return [(each.line, each.what) for each in self.conflicts]


async def bring(
    server: Server,
    content: bytes | str | Iterable[dict[str, Any]],
    *,
    form: str = "authkeep",
    kind: str = ".jsonl",
    dry_run: bool = False,
    firebase: FirebaseHashes | None = None,
    **rules: bool,
) -> Brought:
    """Bring these people in."""
    if not isinstance(content, bytes | str):
        content = "".join(json.dumps(each) + "\n" for each in content)
    raw = content.encode() if isinstance(content, str) else content
    allowed = Rules(**{"derive": not FORMS[form].has_names, **rules})
    plan = Plan(form, kind, Context(allowed, server.clock(), firebase), dry_run)
    conflicts: list[Conflict] = []
    importing = Importing(server, plan, conflicts.append)
    counts = await importing.run(FORMS[form].read(kind, io.BytesIO(raw)), lambda: None)
    assert counts.rows == counts.added + counts.there + counts.refused
    assert counts.refused == len(conflicts)
    return Brought(counts, conflicts)


async def taken_out(server: Server, kind: str = "jsonl", *, credentials: bool = False) -> str:
    """The whole export."""
    return "".join([piece async for piece in export(server, kind, credentials=credentials)])


async def names(server: Server) -> list[str]:
    """All usernames there are."""
    return sorted(row["username"] for row in await rows_of(server, "users"))


def person(username: str, **more: Any) -> dict[str, Any]:
    """A row with the least it takes."""
    return {"username": username, "email": f"{username.lower()}@example.com", **more}
