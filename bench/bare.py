"""The least an ASGI server can answer: one callable with fixed bytes, the same JSON as bench/yardstick.py."""

from typing import Any

BODY = (
    b'{"id":"019b2c3d-4e5f-7a6b-8c7d-9e8f7a6b5c4d","username":"user0000001234","email":"user0000001234@example.com",'
    b'"role":"user","email_verified":false,"created_at":"2026-07-01T12:34:56.789012Z"}'
)
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}
END = {"type": "http.response.body", "body": BODY}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer; the lifespan is the only other thing that is asked for."""
    if scope["type"] != "http":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send(START)
    await send(END)
