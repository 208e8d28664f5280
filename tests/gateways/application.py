"""The application behind the gateway: it writes down what arrives, and answers with it."""

import asyncio
import threading
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.support.processes import wait_until

WAIT_SECONDS = 20


@dataclass(frozen=True)
class Arrived:
    """A request as the application sees it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: int

    def identity(self) -> dict[str, str]:
        """Every header that an application could take for an identity, whatever its spelling."""
        return {name: value for name, value in self.headers if "auth" in name and name != "authorization"}


class Application:
    """A server in a thread of its own. `answer`, if set, is what it says to everything: a status and headers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.arrived: list[Arrived] = []
        self.answer: tuple[int, dict[str, str]] | None = None
        config = uvicorn.Config(
            self._serve,
            host="127.0.0.1",
            port=port,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            ws="none",
            proxy_headers=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.run(self._server.serve())

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        seen = Arrived(scope["method"], scope["raw_path"].decode("latin-1"), headers, len(body))
        self.arrived.append(seen)
        response: Response = JSONResponse(asdict(seen))
        if self.answer is not None:
            response = Response(status_code=self.answer[0], headers=self.answer[1])
        await response(scope, receive, send)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started, "the application listens", WAIT_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(WAIT_SECONDS)


def arrived_in(body: Any) -> Arrived:
    """What the application's answer says of the request."""
    return Arrived(body["method"], body["path"], [(name, value) for name, value in body["headers"]], body["body"])
