"""Where signed heads go: files, standard output, mail, webhooks; out of reach of whoever owns the database."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from app.audit.chain import Head
from app.audit.sockets import HeadSink
from app.core.crypto import digest
from app.core.ports import Outbound
from app.database import Database
from app.mail import service as mail

log = structlog.get_logger()
KEEP_SECONDS = 2.0
MAILED_EVERY = timedelta(days=1)


class Sinks:
    """All sinks of a server. What one of them could not keep is given to it again: every cut and restored head, since what was
    before can be verified by no other, and the newest of the plain ones."""

    def __init__(self, sinks: Callable[[], Sequence[HeadSink]]) -> None:
        self._sinks = sinks
        self._left: dict[str, list[Head]] = {}

    async def tell(self, head: Head | None) -> None:
        """Give a head to every sink, and without one what is left to those that failed; raises nothing."""
        for sink in self._sinks():
            left = self._left.pop(sink.name, [])
            left = _collapsed([*left, head] if head is not None else left)
            try:
                async with asyncio.timeout(KEEP_SECONDS):
                    while left:
                        await sink.keep(left[0])
                        left.pop(0)
            except Exception as error:  # a disk that is full must not stop the chain
                self._left[sink.name] = _collapsed([*left, *self._left.get(sink.name, [])])  # of another call, meanwhile
                log.warning("audit.head_not_kept", sink=sink.name, error=type(error).__name__)

    async def remind(self, lines: Sequence[str]) -> None:
        """At the start: give what the database holds to those who can tell what they lack; raises nothing."""
        for sink in self._sinks():
            try:
                async with asyncio.timeout(KEEP_SECONDS):
                    await sink.fill(lines)
            except Exception as error:
                log.warning("audit.head_not_kept", sink=sink.name, error=type(error).__name__)


def _collapsed(heads: Sequence[Head]) -> list[Head]:
    """All but the plain ones before the newest of those."""
    newest = max((each.position for each in heads if each.kind == "head"), default=0)
    return [each for each in heads if each.kind != "head" or each.position == newest]


class FileSink:
    """One line a head, appended and on the disk before it counts as kept."""

    def __init__(self, path: Path) -> None:
        self.name = f"file:{path}"
        self._path = path

    async def keep(self, head: Head) -> None:
        """See `HeadSink.keep`."""
        await asyncio.to_thread(self._append, head.line())

    async def fill(self, lines: Sequence[str]) -> None:
        """See `HeadSink.fill`."""
        await asyncio.to_thread(self._fill, lines)

    def _fill(self, lines: Sequence[str]) -> None:
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                kept = {line.rstrip("\n") for line in file}
        except FileNotFoundError:
            kept = set()
        for line in lines:
            if line not in kept:
                self._append(line)

    def _append(self, line: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        # What a full disk or a crash left of a line must not spoil the next one. One write: lines of several servers don't mix.
        with os.fdopen(descriptor, "ab") as file:
            file.write((b"" if self._ends_well() else b"\n") + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _ends_well(self) -> bool:
        with self._path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return True
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"


class StdoutSink:
    """Standard output, for whoever collects logs."""

    name = "stdout"

    async def keep(self, head: Head) -> None:
        """See `HeadSink.keep`."""
        sys.stdout.write(head.line() + "\n")
        sys.stdout.flush()

    async def fill(self, _lines: Sequence[str]) -> None:
        """See `HeadSink.fill`: what was written is gone to whoever collects it."""


class MailSink:
    """A mail a day, and one for each cut and restore."""

    def __init__(self, database: Database, address: str) -> None:
        self.name = f"mail:{address}"
        self._database = database
        self._address = address
        self._mailed_at: datetime | None = None

    async def keep(self, head: Head) -> None:
        """See `HeadSink.keep`."""
        if head.kind == "head" and self._mailed_at is not None and head.at - self._mailed_at < MAILED_EVERY:
            return
        async with self._database.write() as db:
            values = {
                "kind": head.kind,
                "position": str(head.position),
                "line": head.line(),
                "at": f"{head.at:%Y-%m-%d %H:%M} UTC",
            }
            await mail.enqueue(db, "audit-head", self._address, head.at, **values)
        self._mailed_at = head.at

    async def fill(self, _lines: Sequence[str]) -> None:
        """See `HeadSink.fill`: a mail that was enqueued arrives."""


class WebhookSink:
    """A POST for each head, guarded as webhooks are; whoever gets it verifies the head by its own signature.

    One that may have come already can come again: at each start the newest, and every cut and restored one.
    """

    def __init__(self, outbound: Outbound, url: str) -> None:
        # A path can be a secret, and a log holds none; the digest tells two of one host apart.
        self.name = f"webhook:{urlsplit(url).netloc}:{digest(url).hex()[:8]}"
        self._outbound = outbound
        self._url = url

    async def keep(self, head: Head) -> None:
        """See `HeadSink.keep`."""
        await self._post(head.line())

    async def fill(self, lines: Sequence[str]) -> None:
        """See `HeadSink.fill`."""
        for line in lines:
            await self._post(line)

    async def _post(self, line: str) -> None:
        headers = {"content-type": "application/json", "user-agent": "Authkeep-Heads"}
        answered = await self._outbound.post(self._url, headers, line.encode())
        if not 200 <= answered.status < 300:
            raise ConnectionError(f"answered with {answered.status}")


def read_sinks(names: Sequence[str], database: Database, outbound: Outbound) -> list[HeadSink]:
    """The sinks that HEAD_SINKS names; `app/config.py` has checked the names."""
    found: list[HeadSink] = []
    for name in names:
        kind, _, where = name.partition(":")
        if kind == "file":
            found.append(FileSink(Path(where)))
        elif kind == "mail":
            found.append(MailSink(database, where))
        elif kind == "webhook":
            found.append(WebhookSink(outbound, where))
        else:
            found.append(StdoutSink())
    return found
