"""Sockets: where a lower package lets higher ones plug in, without hearing of them.

A lower package declares `DAILY: Socket[Daily] = Socket("jobs.DAILY")`; a higher one's `feature.install(server)` plugs a part
into it. The parts belong to one server, never to the module, so two servers can live in one process.
"""

from typing import Any, Generic, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncSession

Part = TypeVar("Part")
Parts = dict["Socket[Any]", list[Any]]
PARTS = "parts"  # key in a session's info


class Socket(Generic[Part]):
    """A named place for parts of one type."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Socket({self.name})"

    def of(self, parts: Parts) -> list[Part]:
        """The parts in the order they were plugged."""
        return cast("list[Part]", parts.get(self, []))

    def one(self, parts: Parts) -> Part:
        """The only part.

        Raises:
            LookupError: none or several are plugged: the server is put together wrong.
        """
        (part,) = self.of(parts) or (None,)
        if part is None:
            raise LookupError(f"nothing is plugged into {self.name}")
        return part

    def within(self, db: AsyncSession) -> list[Part]:
        """The parts of the server whose transaction this is."""
        return self.of(db.info[PARTS])
