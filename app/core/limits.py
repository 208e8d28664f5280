"""Rate limits by client address or by what was typed (ASVS V6.3.1). A speed bump, not the guard: that is `login_failures`."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from fastapi import Depends, Request, params
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.types import Scope

from app.core.client import CLIENT, Client
from app.core.errors import TooManyRequests

log = structlog.get_logger()
COUNTED = "authkeep.counted"  # key in the ASGI scope
PAUSE_SECONDS = 1.0  # how long a failing shared store is left alone


class RateLimits:
    """Counts in `shared` (Redis) where there is one, in memory while that does not answer.

    With the shared store down each process counts for itself, so a limit of n becomes n a process.
    """

    def __init__(self, rules: dict[str, str], *, by_address: bool, shared: Storage | None) -> None:
        self._rules: dict[str, RateLimitItem] = {name: parse(rule) for name, rule in rules.items()}
        self._by_address = by_address
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._shared = MovingWindowRateLimiter(shared) if shared else None
        self._paused_until = 0.0
        self.refused = Counter(dict.fromkeys(rules, 0))  # how often a rule said no

    async def check_address(self, name: str, network: str) -> None:
        """Count one request of a network.

        Raises:
            TooManyRequests: it has had its share.
        """
        if self._by_address:
            wait = await self._wait(name, network)
            if wait is not None:
                raise TooManyRequests(wait)

    async def allows(self, name: str, key: str) -> bool:
        """Count one use of a key; False if it has had its share. Not switched off with the address limits."""
        return await self._wait(name, key) is None

    async def _wait(self, name: str, key: str) -> int | None:
        if self._shared is not None and time.monotonic() >= self._paused_until:
            try:
                return await self._hit(self._shared, name, key)
            except Exception as error:  # whatever the store's client raises, limits go on in memory
                self._paused_until = time.monotonic() + PAUSE_SECONDS
                log.warning("limits.shared_store_down", error=type(error).__name__)
        return await self._hit(self._local, name, key)

    async def _hit(self, limiter: MovingWindowRateLimiter, name: str, key: str) -> int | None:
        rule = self._rules[name]
        if await limiter.hit(rule, name, key):
            return None
        self.refused[name] += 1
        stats = await limiter.get_window_stats(rule, name, key)
        return max(1, int(stats.reset_time - time.time()) + 1)  # noqa: TID251 -- the library's own clock


class _HasLimits(Protocol):
    limits: RateLimits


def limited(name: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that counts the request's network against the rule `name`."""

    async def count(request: Request) -> None:
        server: _HasLimits = request.app.state.server
        await count_once(server, request.scope, name)

    return count


async def count_once(server: _HasLimits, scope: Scope, name: str) -> None:
    """Count a request against the rule `name`, unless that was done on its way here.

    Raises:
        TooManyRequests: its network has had its share.
    """
    if name not in scope.setdefault(COUNTED, set()):
        scope[COUNTED].add(name)
        client: Client = scope[CLIENT]
        await server.limits.check_address(name, client.network)


def Limited(name: str) -> params.Depends:  # noqa: N802 -- reads as the other route markers do
    """Route marker: `dependencies=[PUBLIC, Limited("login")]`."""
    marker: params.Depends = Depends(limited(name))
    return marker
