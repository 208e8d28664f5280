"""What recording needs of the server whose transaction it is, and where signed heads go."""

from collections.abc import Sequence
from typing import Protocol

from app.audit.chain import AuditKeys, Head
from app.core.sockets import Socket

KEYS: Socket[AuditKeys] = Socket("audit.KEYS")


class HeadSink(Protocol):
    """Keeps signed heads where the database's owner can't reach."""

    @property
    def name(self) -> str:
        """As the log tells it."""
        ...

    async def keep(self, head: Head) -> None:
        """Keep one. What it raises is logged, and the head, or a newer plain one, is given to it again."""
        ...

    async def fill(self, lines: Sequence[str]) -> None:
        """Keep those of these lines that it lacks, if it can tell."""
        ...


HEAD_SINKS: Socket[HeadSink] = Socket("audit.HEAD_SINKS")
