"""Holding still what a test needs to hold: a login on its way, by its hashing pool; time, by a clock that only ticks."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from app.auth.deps import AuthKit
from app.auth.hashing import HashingPool, RunHash
from app.core.server import Server
from tests.support.clock import TravellingClock

Hook = Callable[[str], Awaitable[None]]


class HookedPool(HashingPool):
    """A hashing pool with hooks; `done` counts the work by name ("hash", "check")."""

    def __init__(self, before: Hook | None = None, after: Hook | None = None, threads: int = 4) -> None:
        super().__init__(threads)
        self.done: Counter[str] = Counter()
        self._before, self._after = before, after

    @contextlib.contextmanager
    def place(self) -> Iterator[RunHash]:
        with super().place() as run:

            async def hooked(function: Callable[..., Any], *args: object) -> Any:
                name = (function.func if isinstance(function, partial) else function).__name__
                self.done[name] += 1
                if self._before is not None:
                    await self._before(name)
                result = await run(function, *args)
                if self._after is not None:
                    await self._after(name)
                return result

            yield hooked


class Gate:
    """A hook that holds the first piece of work of a name until it is opened; the others pass."""

    def __init__(self, name: str = "check") -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self._name: str | None = name

    async def __call__(self, name: str) -> None:
        if name == self._name:
            self._name = None
            self.reached.set()
            await self.opened.wait()


class Crowd:
    """A hook that holds everybody until `size` have come."""

    def __init__(self, size: int) -> None:
        self._missing, self.all_here = size, asyncio.Event()

    async def __call__(self, name: str) -> None:
        self._missing -= 1
        if self._missing == 0:
            self.all_here.set()
        await self.all_here.wait()


@contextlib.asynccontextmanager
async def pool_of(
    server: Server, before: Hook | None = None, after: Hook | None = None, threads: int = 4
) -> AsyncIterator[HookedPool]:
    """Let the server hash in a hooked pool, whose queue is long enough for 36 at once."""
    kit, pool = server.kit(AuthKit), HookedPool(before, after, threads)
    server.kits[AuthKit] = replace(kit, pool=pool)
    try:
        yield pool
    finally:
        server.kits[AuthKit] = kit
        await pool.close()


class TickingClock(TravellingClock):
    """A millisecond later each time it is asked: a wait of a second is not over because the machine is slow."""

    def __init__(self) -> None:
        super().__init__()
        self._now = datetime.now(UTC)

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now + self.travelled
