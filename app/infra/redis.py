"""Redis, which may only refuse: the blocklist's keys and the rate counters. Nothing is accepted because of it."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence

import structlog
from limits.aio.storage import RedisStorage
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.core.latency import Steps
from app.infra.redis_asks import RedisAsks

log = structlog.get_logger()
ANSWER_SECONDS = 0.25
PAUSE_SECONDS = 1.0  # how long the breaker stays open: a second of refusals by the row alone


class RedisRefusals:
    """Keys with a time to live; a breaker keeps a slow Redis from slowing every request."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=256,
        )
        self._asks = RedisAsks(self._redis, ANSWER_SECONDS, self._pause)
        self._paused_until = 0.0
        self.unanswered = 0

    @property
    def batches(self) -> Steps:
        """See `Refusals.batches`."""
        return self._asks.turns

    @property
    def healthy(self) -> bool:
        """See `Refusals.healthy`."""
        return time.monotonic() >= self._paused_until

    async def put(self, keys: Mapping[str, int]) -> None:
        """See `Refusals.put`."""
        if not keys or not self.healthy:
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._redis.pipeline(transaction=False) as pipe:
                for key, seconds in keys.items():
                    pipe.set(key, b"1", ex=seconds)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._pause(error)

    def holds_any(self, keys: Sequence[str]) -> Awaitable[bool]:
        """See `Refusals.holds_any`."""
        if not self._paused_until or self.healthy:
            return self._asks.holds_any(keys)
        unknown = asyncio.get_running_loop().create_future()
        unknown.set_result(False)
        return unknown

    async def ping(self) -> bool:
        """See `Refusals.ping`."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def close(self) -> None:
        """See `Refusals.close`."""
        await self._asks.close()
        await self._redis.aclose()

    def _pause(self, error: BaseException) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        self.unanswered += 1
        log.warning("redis.unanswered", error=type(error).__name__)


class RedisCounters(RedisStorage):
    """Where rate limits are counted for all replicas together."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"async+{url}",
            implementation="redispy",
            key_prefix="authkeep:limits",
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # its options are typed as plain values
        )

    async def close(self) -> None:
        """Let go of connections."""
        await self.bridge.storage.aclose()  # type: ignore[attr-defined]  # a bridge does not declare its client
