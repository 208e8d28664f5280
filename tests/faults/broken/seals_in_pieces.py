"""A sealer that commits each row by itself, slowly, and moves the chain on at the end, in another transaction."""

import asyncio
from typing import Any

from app.audit import repository
from tests.faults.launching import launch, put

APART_SECONDS = 0.05


async def _in_pieces(db: Any, seals: Any) -> None:
    for each in seals:
        await (await db.connection()).execute(repository.SEAL_EVENT, each)
        await db.commit()
        await asyncio.sleep(APART_SECONDS)


put(repository, "seal_events", _in_pieces)

if __name__ == "__main__":
    launch()
