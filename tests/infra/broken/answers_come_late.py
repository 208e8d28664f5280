"""Not broken: a database some milliseconds away, so that many questions wait while each statement is under way."""

import asyncio
from typing import Any

from app.infra import postgres_batches
from tests.faults.launching import launch, put

AWAY_SECONDS = 0.01
ask: Any = postgres_batches.Line._rows_for


async def _rows_for(self: postgres_batches.Line, parameters: tuple[bytes, ...]) -> Any:
    result = await ask(self, parameters)
    await asyncio.sleep(AWAY_SECONDS)
    return result


put(postgres_batches.Line, "_rows_for", _rows_for)

if __name__ == "__main__":
    launch()
