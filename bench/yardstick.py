"""What every speed is compared with: FastAPI as it comes, one route with the JSON of GET /auth/me and a response model.

It asks nobody anything: no token is read, no row, no Redis; no middleware, no log line.
"""

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Role(StrEnum):
    """As in the application."""

    USER = "user"
    ADMIN = "admin"


class Me(BaseModel):
    """The answer's fields, of the same types."""

    id: UUID
    username: str
    email: str
    role: Role
    email_verified: bool
    created_at: datetime
    display_name: str | None = None
    locale: str | None = None


ME = Me(
    id=UUID("019b2c3d-4e5f-7a6b-8c7d-9e8f7a6b5c4d"),
    username="user0000001234",
    email="user0000001234@example.com",
    role=Role.USER,
    email_verified=False,
    created_at=datetime(2026, 7, 1, 12, 34, 56, 789012, tzinfo=UTC),
)


@app.get("/me")
async def me() -> Me:
    """Always the same."""
    return ME
