"""Requests that are answered before routing: the few that come at every call of somebody's application.

FastAPI's routing, dependencies and answer take ten times as long as the check of a token (docs/performance.md). A lane asks the
same credentials, and what it answers is what its route answers.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.edge import Finish, Headers, last_catch
from app.core.errors import Unavailable
from app.core.problems import problem
from app.core.sockets import Socket


@dataclass(slots=True)
class Answer:
    """A whole answer. The edge adds its headers; so none of these is one of them."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Lane:
    """Requests to one path, and to those below it if `below`; of them those that `takes` says, by what the scope holds.

    `answer` may refuse by AppError, or say None: then the request goes its ordinary way, with what was read of its body.
    `always` goes out with every answer, refusals too. `reads`: it asks for the body.
    """

    path: str
    answer: Callable[[Scope, Receive], Awaitable[Answer | Response | None]]
    takes: Callable[[Scope], bool] = lambda _: True
    below: bool = False
    reads: bool = False
    always: tuple[tuple[bytes, bytes], ...] = ()


OUTER_LANES: Socket[Lane] = Socket("core.OUTER_LANES")  # in front of CORS: these see preflights, and add no CORS headers
LANES: Socket[Lane] = Socket("core.LANES")  # behind it and under the deadline


class FastLane:
    """Answers what one of its lanes takes, and passes on the rest. While the server has a problem it refuses what it takes."""

    def __init__(self, app: ASGIApp, *, lanes: list[Lane], problem_of: Callable[[], str | None]) -> None:
        self.app = app
        self.at = {lane.path: lane for lane in lanes}
        self.below = {f"{lane.path}/": lane for lane in lanes if lane.below}
        self.problem_of = problem_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lane = self._lane(scope["path"]) if scope["type"] == "http" else None
        if lane is None or not lane.takes(scope):
            await self.app(scope, receive, send)
            return
        scope["route"] = lane  # its path is what the log says
        body = _Body(receive) if lane.reads else None
        read = receive if body is None else body.read
        answer: Answer | Response | None
        try:
            answer = await lane.answer(scope, read) if self.problem_of() is None else problem(Unavailable(2))
        except Exception as error:  # no lane may end without an answer (P5)
            answer = last_catch(error, scope)
        if answer is None:
            await self.app(scope, receive if body is None else body.read_again, send)
            return
        if isinstance(answer, Response):
            answer.raw_headers += lane.always
            await answer(scope, receive, send)
            return
        if type(send) is Finish:
            await send.whole(answer.status, answer.headers, lane.always, answer.body)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *lane.always]})
        await send({"type": "http.response.body", "body": answer.body})

    def _lane(self, path: str) -> Lane | None:
        lane = self.at.get(path)
        if lane is None:
            for beginning, each in self.below.items():
                if path.startswith(beginning):
                    return each
        return lane


class _Body:
    """What a lane reads of a body, kept for whoever comes after it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: list[Message] = []

    async def read(self) -> Message:
        message = await self._receive()
        self._kept.append(message)
        return message

    async def read_again(self) -> Message:
        return self._kept.pop(0) if self._kept else await self._receive()
