"""Accounts put into the database by the row, where registering each would take long."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from app.core.server import Server
from app.users.models import User

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NO_HASH = "$2b$04$" + "." * 53


def seed_row(username: str, email: str | None = None, **values: Any) -> dict[str, Any]:
    email = email or f"{username}@example.com"
    row = {
        "id": uuid.uuid4(),
        "username": username,
        "username_key": username.lower(),
        "email": email,
        "email_key": email.lower(),
        "password_hash": NO_HASH,
        "role": "user",
        "epoch": 0,
        "created_at": LONG_AGO,
        "password_changed_at": LONG_AGO,
        "disabled_at": None,
    }
    return row | values


async def seed(server: Server, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    async with server.database.write() as db:
        await db.execute(insert(User), list(rows))
    return list(rows)
