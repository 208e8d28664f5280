"""Tells by its answer to forgot-password whether there is such an account."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.passwords import service
from app.users import service as users
from app.users.errors import UserNotFound
from app.users.names import name_key
from tests.faults.launching import launch, put

request_reset = service.request_reset


async def _request_reset(db: AsyncSession, limits: Any, kit: Any, email: str, *more: Any) -> None:
    if await users.find_by_key(db, name_key(email)) is None:
        raise UserNotFound
    await request_reset(db, limits, kit, email, *more)


put(service, "request_reset", _request_reset)

if __name__ == "__main__":
    launch()
