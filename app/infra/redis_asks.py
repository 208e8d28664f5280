"""Are keys there? On one connection: what all requests of one turn of the event loop ask is one MGET.

redis-py takes a connection, a lock and a task's wait for each call, about 70 microseconds; this is about 5 (docs/performance.md).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection

from app.core.latency import SIZES, Steps


class RedisAsks:
    """Answers to questions come in the order they were asked in; a late one gives up the connection, and all that waits.

    A question that gets no answer is answered False, and `on_unanswered` is told once for all of them.
    """

    def __init__(self, redis: Redis, answer_seconds: float, on_unanswered: Callable[[BaseException], None]) -> None:
        self._redis = redis
        self._seconds = answer_seconds
        self._on_unanswered = on_unanswered
        self._loop: asyncio.AbstractEventLoop | None = None  # asking asyncio for it is a call of the kernel, each time
        self._turn = _Turn(0.0)  # what is asked in this turn
        self._unsent: list[_Turn] = []
        self._sent: deque[_Turn] = deque()
        self._line: _Line | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.turns = Steps(SIZES)

    def holds_any(self, keys: Sequence[str]) -> "asyncio.Future[bool]":
        """Whether one of the keys is there. Asked in this turn of the loop, answered within the seconds given."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        turn = self._turn
        if not turn.answers:
            turn.asked_at = loop.time()
            loop.call_soon(self._end_turn)
        turn.keys += keys
        turn.answers.append((len(keys), answer))
        return answer

    async def close(self) -> None:
        """Let go of the connection; what still waits is answered False."""
        self._give_up()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, _Turn(0.0)
        if not turn.answers:
            return  # given up meanwhile
        self.turns.add(len(turn.answers))
        self._unsent.append(turn)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_at(turn.asked_at + self._seconds, self._look)
        if self._line is not None:
            self._send(self._line)
        elif self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())

    def _send(self, line: "_Line") -> None:
        line.send(b"".join([_packed("MGET", *turn.keys) for turn in self._unsent]))
        self._sent += self._unsent
        self._unsent = []

    async def _connect(self) -> None:
        try:
            line = await self._greeted()
        except Exception as error:  # refused, unknown host, wrong password, bad certificate: there is no Redis to ask
            self._connecting = None
            self._fail(error)
        else:
            self._line, self._connecting = line, None
            if self._unsent:
                self._send(line)

    async def _greeted(self) -> "_Line":
        asked = self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py left it untyped
        if not isinstance(asked, Connection):
            raise TypeError(f"{type(asked).__name__} is not spoken")
        tls = asked.ssl_context.get() if isinstance(asked, SSLConnection) else None
        _, line = await asyncio.get_running_loop().create_connection(
            lambda: _Line(self._answered, self._lost),
            asked.host,
            int(asked.port),
            ssl=tls,
            server_hostname=asked.host if tls else None,
        )
        try:
            if asked.password is not None:
                await line.greet("AUTH", *([asked.username] if asked.username else []), asked.password)
            if asked.db:
                await line.greet("SELECT", str(asked.db))
        except BaseException:
            line.close()
            raise
        return line

    def _answered(self, values: object) -> None:
        turn = self._sent[0]
        if not isinstance(values, list) or len(values) != len(turn.keys):
            raise TypeError("not an answer to this MGET")
        there = [value is not None for value in values]
        if any(not isinstance(value, bytes) for value, is_there in zip(values, there, strict=True) if is_there):
            raise TypeError("not a value")
        self._sent.popleft()
        at = 0
        for count, answer in turn.answers:
            if not answer.done():
                answer.set_result(any(there[at : at + count]))
            at += count

    def _lost(self, line: "_Line", error: BaseException) -> None:
        if line is self._line:
            self._fail(error)

    def _look(self) -> None:
        # One timer for all: it looks at the oldest question, and again when that one's time would be over.
        self._watch = None
        oldest = self._sent[0] if self._sent else self._unsent[0] if self._unsent else None
        if oldest is None:
            return
        loop = asyncio.get_running_loop()
        over_at = oldest.asked_at + self._seconds
        if over_at <= loop.time():
            self._fail(TimeoutError())
        else:
            self._watch = loop.call_at(over_at, self._look)

    def _fail(self, error: BaseException) -> None:
        if self._give_up():
            self._on_unanswered(error)

    def _give_up(self) -> bool:
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        waiting = [*self._sent, *self._unsent, self._turn]
        self._sent, self._unsent, self._turn = deque(), [], _Turn(0.0)
        answers = [answer for turn in waiting for _, answer in turn.answers]
        for answer in answers:
            if not answer.done():
                answer.set_result(False)
        return bool(answers)


@dataclass(slots=True)
class _Turn:
    """What was asked in one turn of the loop: all keys, and who asked for how many of them."""

    asked_at: float
    keys: list[str] = field(default_factory=list)
    answers: list[tuple[int, "asyncio.Future[bool]"]] = field(default_factory=list)


class _Line(asyncio.Protocol):
    """One connection. A new one is a new object, so that the end of an old one can't be taken for the end of the new."""

    def __init__(self, answered: Callable[[object], None], lost: Callable[["_Line", BaseException], None]) -> None:
        self._answered = answered
        self._tell_lost = lost
        self._reader = hiredis.Reader()
        self._greeting: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def greet(self, *words: str) -> "asyncio.Future[None]":
        """Say something before the first question; raises what Redis answers if that is an error."""
        self._greeting = asyncio.get_running_loop().create_future()
        self.send(_packed(*words))
        return self._greeting

    def send(self, data: bytes) -> None:
        """Write whole commands."""
        if self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, Exception):
                    self._end(reply)
                    return
                if self._greeting is not None:
                    greeting, self._greeting = self._greeting, None
                    greeting.set_result(None)
                else:
                    self._answered(reply)
        except Exception as error:  # after an error it is not known whose answer the next one would be
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._end(exc or ConnectionResetError())

    def close(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _end(self, error: BaseException) -> None:
        self.close()
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(error)
        self._tell_lost(self, error)


def _packed(*words: str) -> bytes:
    return cast("bytes", hiredis.pack_command(words))  # type: ignore[arg-type]  # its type stubs leave out str
