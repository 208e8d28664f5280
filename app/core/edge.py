"""The edge, as plain ASGI: what happens to every request before routing and to every answer after it.

From the outside in: `Envelope` (request id, client address, security headers, access log), fast lanes (`fastlane.py`), CORS,
`Guard` (deadline, readiness, the last catch), more fast lanes, `Slashes`.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.client import CLIENT, read_client
from app.core.crypto import RandomIds
from app.core.errors import BodyTooLarge, Unavailable
from app.core.latency import Latency
from app.core.logs import ACCESS, REQUEST_ID
from app.core.problems import crashed, problem, translate
from app.sections import Network

log = structlog.get_logger()

STREAMS = "authkeep.streams"  # key in the ASGI scope: the answer may go on for long, once it has begun
STREAM_SECONDS = 3600.0
PART_SECONDS = 30.0  # within which whoever takes a long answer must take a part of it
DEADLINE_SECONDS = 4.5  # so that the answer is there within five
STARTED = "authkeep.started"  # key in the ASGI scope
UNREADY = ("/health", "/metrics")  # what answers before the database does
API_CSP = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HEADERS: dict[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=()",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": API_CSP,
    b"cache-control": b"no-store",
}
Headers = list[tuple[bytes, bytes]]
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # any other word may be anything
HSTS = b"max-age=63072000; includeSubDomains"


class Envelope:
    """Outermost: gives the request its id and client, the answer its headers, the log its line; counts how long it took."""

    def __init__(self, app: ASGIApp, *, trusted: Sequence[Network], https: bool, latency: Latency) -> None:
        self.app = app
        self.trusted = trusted
        self.headers = {**HEADERS, b"strict-transport-security": HSTS} if https else HEADERS
        self.latency = latency
        self.ids = RandomIds(8)
        self.all_headers = list(self.headers.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        client = read_client(scope, self.trusted, self.ids.next())
        scope[CLIENT] = client
        REQUEST_ID.set(client.request_id)
        scope[STARTED] = started = time.perf_counter()
        finish = Finish(send, self, client.request_id)
        try:
            await self.app(scope, receive, finish)
        finally:
            method, status = scope["method"], finish.status
            if method not in METHODS:
                method = "?"
            ms = round((time.perf_counter() - started) * 1000, 1)
            template = template_of(scope)
            self.latency.add(None if STREAMS in scope else ms, method, template, status)
            ACCESS.write(method, template or plain_words(scope), status, ms, client.address, client.request_id)


class Finish:
    """Sends an answer with the headers that every answer has, where it does not have its own; `status` is 0 until then."""

    __slots__ = ("_edge", "_request_id", "_send", "status")

    def __init__(self, send: Send, edge: Envelope, request_id: str) -> None:
        self._send = send
        self._edge = edge
        self._request_id = request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"]
            message["headers"] = [*headers, *self._missing(headers), (b"x-request-id", self._request_id.encode())]
        await self._send(message)

    async def whole(self, status: int, headers: Headers, more: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """An answer that is there, and has none of the headers that every answer has."""
        self.status = status
        every = [*headers, *more, *self._edge.all_headers, (b"x-request-id", self._request_id.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": every})
        await self._send({"type": "http.response.body", "body": body})

    def _missing(self, headers: Headers) -> Headers:
        ours = self._edge.headers
        present = [name for name, _ in headers if name in ours]  # ASGI has names in lower case
        return [each for each in self._edge.all_headers if each[0] not in present] if present else self._edge.all_headers


def template_of(scope: Scope) -> str | None:
    """The template of the route that answered, which holds nothing that was sent; None where no route was found."""
    route = scope.get("route")
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template if isinstance(template, str) else None


def loggable_path(scope: Scope) -> str:
    """The route's template; of an unknown path only segments that are plain words."""
    return template_of(scope) or plain_words(scope)


def plain_words(scope: Scope) -> str:
    """The path's segments that are plain words, and stars for the others."""
    segments = str(scope["path"])[:200].split("/")
    return "/".join(part if re.fullmatch(r"[a-z.-]{0,24}", part) else "*" for part in segments)


class Guard:
    """One deadline for every request, and the last catch: no hang, no stack trace, no half-open state (P5).

    The request runs in a task of its own, since a task that waits for a stuck database may not end when it is cancelled:
    the answer does not wait for it.
    """

    def __init__(self, app: ASGIApp, *, problem_of: Callable[[], str | None], max_body: int) -> None:
        self.app = app
        self.problem_of = problem_of
        self.max_body = max_body
        self._lingering: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        if self.problem_of() is not None and not scope["path"].startswith(UNREADY):
            await answer.replace(problem(Unavailable(2)), scope, receive)
            return
        if _announced_length(scope) > self.max_body:
            await answer.replace(problem(BodyTooLarge()), scope, receive)
            return
        body = _Body(receive, self.max_body)
        task = asyncio.ensure_future(self.app(scope, body.receive, answer.pass_on))
        answer.closed_by = body
        try:
            await asyncio.wait({task}, timeout=DEADLINE_SECONDS - (time.perf_counter() - scope[STARTED]))
            if answer.started and scope.get(STREAMS):
                answer.streams = True
                await asyncio.wait({task}, timeout=STREAM_SECONDS)
        finally:
            if not task.done():
                self._let_go(task)
        if not task.done():
            answer.closed = True
            log.warning("request.deadline", path=loggable_path(scope))
            await answer.replace(problem(Unavailable()), scope, receive)
        elif body.too_large:
            await answer.replace(problem(BodyTooLarge()), scope, receive)
        elif (error := task.exception()) is not None and not answer.ended:  # else it was answered by `on_crash`
            if answer.started:
                raise ConnectionAbortedError("the answer had begun and can't be finished") from error
            await answer.replace(last_catch(error, scope), scope, receive)

    def _let_go(self, task: "asyncio.Task[None]") -> None:
        task.cancel()
        self._lingering.add(task)
        task.add_done_callback(self._lingered)

    def _lingered(self, task: "asyncio.Task[None]") -> None:
        self._lingering.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("request.ended_late", error=type(error).__name__)


def _announced_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


class _Body:
    """Counts what comes in, since a chunked body announces no length."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._left = most
        self.too_large = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.too_large = True
            raise BodyTooLarge
        return message


class _Answer:
    """Sends what the application says until it is closed; then only our own words."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.ended = False
        self.closed = False
        self.closed_by: _Body | None = None
        self.streams = False

    async def pass_on(self, message: Message) -> None:
        if self.closed or (self.closed_by is not None and self.closed_by.too_large):
            return
        self.started = True
        self.ended = message["type"] == "http.response.body" and not message.get("more_body")
        async with asyncio.timeout(PART_SECONDS if self.streams else None):
            await self._send(message)

    async def replace(self, response: Response, scope: Scope, receive: Receive) -> None:
        if self.started:
            raise ConnectionAbortedError("the answer had begun and can't be finished")
        self.started = True
        await response(scope, receive, self._send)


def last_catch(error: BaseException, scope: Scope) -> Response:
    """The answer to whatever went wrong; a crash is logged, by its place and never by its words."""
    refusal = translate(error) if isinstance(error, Exception) else None
    if refusal is not None:
        return problem(refusal)
    request_id = scope[CLIENT].request_id
    log.error(
        "request.crashed",
        path=loggable_path(scope),
        request_id=request_id,
        error=type(error).__name__,
        at=frames(error),
    )
    return crashed(request_id)


async def on_crash(request: Request, error: Exception) -> Response:
    """Where the framework itself answers what nobody caught."""
    return last_catch(error, request.scope)


def frames(error: BaseException) -> list[str]:
    """Where an error came from: files and lines. Its message stays out, since it may quote what was sent."""
    found: list[str] = []
    trace: Any = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_filename.rpartition('site-packages/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return found[-8:]


class Slashes:
    """Every path answers with and without its trailing slash, without a redirect (which could lose a header).

    And every GET answers HEAD (RFC 9110 section 9.3.2): routed as GET, while the server, which keeps its own scope, sends
    no body.
    """

    def __init__(self, app: ASGIApp, *, with_slash: frozenset[str]) -> None:
        self.app = app
        self.with_slash = with_slash

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].rstrip("/") or "/"
            canonical = f"{path}/" if f"{path}/" in self.with_slash else path
            scope["path"], scope["raw_path"] = canonical, canonical.encode("utf-8", "surrogatepass")
            if scope["method"] == "HEAD":
                as_get = {**scope, "method": "GET"}
                try:
                    await self.app(as_get, receive, send)
                finally:
                    scope["route"] = as_get.get("route")  # for whoever tells of the request
                return
        await self.app(scope, receive, send)
