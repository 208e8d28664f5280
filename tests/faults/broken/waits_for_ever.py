"""Knows no deadline: neither requests, nor statements, nor checks of health."""

from typing import Any

from app import database
from app.core import edge
from app.health import service as health
from app.infra import postgres_batches
from tests.faults.launching import launch, put

LONG = 60.0


def _postgres_options() -> dict[str, Any]:
    return {"application_name": "authkeep"}


put(edge, "DEADLINE_SECONDS", LONG)
put(health, "ANSWER_SECONDS", LONG)
put(postgres_batches, "ANSWER_SECONDS", LONG)
put(database, "POOL_WAIT_SECONDS", LONG)
put(database, "postgres_options", _postgres_options)
put(postgres_batches, "postgres_options", _postgres_options)

if __name__ == "__main__":
    launch()
