"""Looks whether a link is unspent, then spends it, whoever did so meanwhile."""

from typing import Any

from app.tickets import repository
from tests.faults.launching import launch, put

spend = repository.spend_ticket


async def _spend_ticket(*arguments: Any) -> bool:
    await spend(*arguments)
    return True  # it was looked at before


put(repository, "spend_ticket", _spend_ticket)

if __name__ == "__main__":
    launch()
