"""Holding a login still where a race needs it: a hashing pool that asks the test before and after each piece of work."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from app.auth.deps import AuthKit
from app.auth.hashing import HashingPool, RunHash
from app.core.server import Server

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
