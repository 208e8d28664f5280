"""Logs what it is sent."""

from typing import Any

import structlog

from app.auth import registration
from tests.faults.launching import launch, put

register = registration.register


async def _register(database: Any, kit: Any, username: str, email: str, *more: Any, **named: Any) -> Any:
    structlog.get_logger().warning("registering", email=email)
    return await register(database, kit, username, email, *more, **named)


put(registration, "register", _register)

if __name__ == "__main__":
    launch()
