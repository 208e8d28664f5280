"""What the headers of GET /auth/verify cost by themselves: one callable that sends them, fixed, and does nothing else."""

from typing import Any

from app.core.edge import HEADERS, HSTS
from bench import bare

START: dict[str, Any] = {
    "type": "http.response.start",
    "status": 204,
    "headers": [
        (b"x-auth-user", b"019b2c3d-4e5f-7a6b-8c7d-9e8f7a6b5c4d"),
        (b"x-auth-username", b"user0000001234"),
        (b"x-auth-roles", b"user"),
        (b"x-auth-session", b"019b2c3d-4e5f-7a6b-8c7d-9e8f7a6b5c4e"),
        (b"vary", b"Origin"),
        *HEADERS.items(),
        (b"strict-transport-security", HSTS),
        (b"x-request-id", b"0123456789abcdef"),
    ],
}
END = {"type": "http.response.body", "body": b""}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer; the lifespan, and every other path, is bench/bare.py's."""
    if scope.get("path") != "/auth/verify":
        await bare.app(scope, receive, send)
        return
    await send(START)
    await send(END)
