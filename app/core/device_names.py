"""What people call a device: a browser on a system, read out of its user agent. A claim of the device's, and shown as one.

The patterns are loaded with the first name that is asked for, in a thread: it takes a fifth of a second and 20 MB, which
most servers never need. They are matched in linear time, whatever the user agent.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from app.core.i18n import N_, translate

MOST = 40
PROGRAM = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,29}(?=/|$)", re.ASCII)
SPOKEN = {
    "Mac OS X": "macOS",
    "Mobile Safari": "Safari",
    "Chrome Mobile": "Chrome",
    "Firefox Mobile": "Firefox",
    "Edge Mobile": "Edge",
}


@dataclass(frozen=True, slots=True)
class DeviceName:
    """Its parts, for whoever writes it in another language; both None: nobody can tell."""

    browser: str | None
    system: str | None

    def __str__(self) -> str:
        if self.browser and self.system:
            return f"{self.browser} on {self.system}"
        return self.browser or self.system or "Unknown device"

    def in_language(self, locale: str) -> str:
        """The name for people who read that language."""
        if self.browser and self.system:
            return translate(locale, N_("%(browser)s on %(system)s"), browser=self.browser, system=self.system)
        return self.browser or self.system or translate(locale, N_("Unknown device"))


async def load_names() -> Callable[[str], DeviceName]:
    """What names a user agent, once its patterns are there."""
    await asyncio.to_thread(_parser)
    return _name


@lru_cache(1024)
def _name(user_agent: str) -> DeviceName:
    found = _parser().parse(user_agent)
    browser, system = (_spoken(part.family) if part else None for part in (found.user_agent, found.os))
    if browser is None and system is None:
        program = PROGRAM.match(user_agent)
        return DeviceName(program[0] if program else None, None)
    return DeviceName(browser, system)


def _spoken(family: str) -> str | None:
    name = SPOKEN.get(family, family)[:MOST]
    return name if name.isprintable() and name != "Other" else None


@cache
def _parser() -> Any:
    from ua_parser import Parser
    from ua_parser.loaders import load_builtins
    from ua_parser.regex import Resolver

    browsers, systems, _ = load_builtins()  # the third tells makes of phones, and would double the memory
    return Parser(Resolver((browsers, systems, [])))
