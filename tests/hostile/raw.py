"""A client below HTTP's manners: any bytes as path, query, header and body, straight into the app."""

from collections.abc import Sequence
from dataclasses import dataclass
from json import loads
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI

Headers = Sequence[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]
        return ", ".join(found) if found else None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return loads(self.body)


async def send(
    app: FastAPI,
    method: str,
    path: bytes,
    *,
    query: bytes = b"",
    headers: Headers = (),
    body: bytes | Sequence[bytes] = b"",
    length: bool = True,
    peer: str = "127.0.0.1",
) -> Answer:
    """One request as uvicorn would hand it on. A sequence as body comes in pieces, without a length (chunked)."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    given = {name.lower() for name, _ in headers}
    more = [(b"host", b"localhost:8000")] if b"host" not in given else []
    if not isinstance(body, bytes):
        more.append((b"transfer-encoding", b"chunked"))
    elif length and (body or method not in {"GET", "DELETE", "HEAD", "OPTIONS"}) and b"content-length" not in given:
        more.append((b"content-length", str(len(body)).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [*more, *headers],
        "client": (peer, 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    incoming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    incoming[-1:] = [{**incoming[-1], "more_body": False}]
    waiting = iter(incoming)
    outgoing: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(waiting, {"type": "http.disconnect"})

    async def take(message: Any) -> None:
        outgoing.append(message)

    await app(scope, receive, take)
    start = outgoing[0]
    answer = b"".join(message.get("body", b"") for message in outgoing[1:])
    return Answer(start["status"], [(bytes(name), bytes(value)) for name, value in start["headers"]], answer)
