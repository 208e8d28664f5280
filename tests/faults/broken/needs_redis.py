"""Fails where Redis does not answer."""

from collections.abc import Sequence

from app.infra.redis import RedisRefusals
from tests.faults.launching import launch, put


async def _holds_any(self: RedisRefusals, keys: Sequence[str]) -> bool:
    return bool(await self._redis.exists(*keys))


put(RedisRefusals, "holds_any", _holds_any)

if __name__ == "__main__":
    launch()
