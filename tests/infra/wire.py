"""A keep-alive connection that costs little, so that a test asks thousands of times a second."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Self

IDLE_SECONDS = 1.0  # a connection that rested longer is replaced: uvicorn closes those that rest for five


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


class Wire:
    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._port, self._reader, self._writer = port, reader, writer
        self._used = time.monotonic()

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(port, *await asyncio.open_connection("127.0.0.1", port))

    async def send(self, method: str, path: str, token: str | None = None, body: Any = None) -> Reply:
        """One request and its answer."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost:8000", f"Content-Length: {len(content)}"]
        lines += ["Content-Type: application/json"] if content else []
        lines += [f"Authorization: Bearer {token}"] if token else []
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        head, *rest = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        status = int(head.split()[1])
        content = await self._reader.readexactly(int(headers.get("content-length", "0")))
        self._used = time.monotonic()
        return Reply(status, headers, content)

    def close(self) -> None:
        self._writer.close()
