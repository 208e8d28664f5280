"""A server for one command: the same one that serves, without HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from app.config import Settings, load_settings
from app.core.logs import configure_logging

if TYPE_CHECKING:
    from app.core.server import Server

Result = TypeVar("Result")


class NotMigrated(Exception):
    """The tables aren't there yet."""

    def __str__(self) -> str:
        return "the database is not migrated; run `python -m app migrate`"


def with_server(act: "Callable[[Server], Awaitable[Result]]") -> Result:
    """Do something with a server of the settings at hand, and let go of it.

    Raises:
        SettingsError: they can't be used.
    """
    settings = load_settings()
    configure_logging("ERROR", json=False)
    return asyncio.run(_within(settings, act))


async def _within(settings: Settings, act: "Callable[[Server], Awaitable[Result]]") -> Result:
    from app.assembly import build_server, close_server, is_migrated

    server = build_server(settings)
    try:
        if not await is_migrated(settings):
            raise NotMigrated
        return await act(server)
    finally:
        await close_server(server)
