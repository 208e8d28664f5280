"""Not broken: a database some milliseconds away, so that many questions wait while each statement is under way."""

import asyncio
from typing import Any

from app.infra import postgres_batches
from tests.faults.launching import launch, put

AWAY_SECONDS = 0.01
select = postgres_batches.Line.select


async def _select(self: postgres_batches.Line, *parameters: bytes) -> list[Any]:
    rows = await select(self, *parameters)
    await asyncio.sleep(AWAY_SECONDS)
    return rows


put(postgres_batches.Line, "select", _select)

if __name__ == "__main__":
    launch()
