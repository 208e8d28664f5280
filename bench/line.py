"""One keep-alive connection on a plain socket: as little noise of our own as Python allows."""

import json
import re
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

TIMEOUT_SECONDS = 30.0
RANDOM = re.compile(rb"[A-Za-z0-9_-]{43}")  # 256 bits drawn for each answer, as a sign-in link's `request`


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how long it took from before the first byte was sent to after the last was read."""

    taken: int
    status: int
    headers: frozenset[bytes]  # lines, without those that name the request or the moment
    body: bytes

    @property
    def words(self) -> tuple[int, frozenset[bytes], bytes]:
        """All of it but the time, and what is drawn anew for each."""
        return self.status, frozenset(RANDOM.sub(b"*", line) for line in self.headers), RANDOM.sub(b"*", self.body)


class Line:
    """`with Line(port) as line: line.ask(request_of("/auth/login", {...}))`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, request: bytes) -> Answer:
        """One request, answered in full."""
        receive = self._socket.recv
        started = time.perf_counter_ns()
        self._socket.sendall(request)
        raw = receive(65536)
        while raw and not _is_whole(raw):
            more = receive(65536)
            if not more:
                break
            raw += more
        taken = time.perf_counter_ns() - started
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        return Answer(taken, int(status.split()[1]), frozenset(line for line in headers if not _is_of_request(line)), body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()


def request_of(path: str, body: dict[str, Any]) -> bytes:
    """A whole POST, in the bytes that go out."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def _is_whole(raw: bytes) -> bool:
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return False
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(body) >= length


def _is_of_request(line: bytes) -> bool:
    return line.lower().startswith((b"x-request-id:", b"date:"))
