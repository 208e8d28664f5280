"""Logs what it is sent."""

from typing import Any

import structlog

from app.auth import service
from tests.faults.launching import launch, put

register = service.register


async def _register(database: Any, kit: Any, username: str, email: str, *more: Any) -> Any:
    structlog.get_logger().warning("registering", email=email)
    return await register(database, kit, username, email, *more)


put(service, "register", _register)

if __name__ == "__main__":
    launch()
