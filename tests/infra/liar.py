"""A Redis that says what a test tells it to: late, in pieces, too much, too little, nonsense."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import hiredis
from redis.asyncio import Redis

from app.infra.redis_asks import RedisAsks

PATIENCE_SECONDS = 10  # far beyond any answer, so that a hang is seen as one


@dataclass(eq=False)
class Talk:
    """One connection to the liar: what was said on it so far."""

    writer: asyncio.StreamWriter
    commands: list[list[str]] = field(default_factory=list)

    def say(self, data: bytes) -> None:
        self.writer.write(data)


Say = Callable[[Talk, list[str]], Awaitable[None]]


class Liar:
    """Hands each command to `say`, which answers it or does not. Unless told otherwise it tells the truth about `there`."""

    def __init__(self, there: Iterable[str] = ()) -> None:
        self.there = set(there)
        self.say: Say = self.truth
        self.talks: list[Talk] = []
        self.port = 0
        self._heard = asyncio.Condition()

    async def truth(self, talk: Talk, words: list[str]) -> None:
        talk.say(values(key in self.there for key in words[1:]) if words[0] == "MGET" else b"+OK\r\n")

    @property
    def asked(self) -> list[list[str]]:
        """The keys of every MGET so far, on whatever connection."""
        return [words[1:] for talk in self.talks for words in talk.commands if words[0] == "MGET"]

    async def heard(self, questions: int) -> None:
        """Wait for that many MGETs in all."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._heard:
            await self._heard.wait_for(lambda: len(self.asked) >= questions)

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser, talk = hiredis.Reader(encoding="utf-8"), Talk(writer)
        self.talks.append(talk)
        try:
            while data := await reader.read(65536):
                parser.feed(data)
                while (words := parser.gets()) is not False:
                    talk.commands.append(words)
                    await self.say(talk, words)
                    async with self._heard:
                        self._heard.notify_all()
        except OSError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def liar(there: Iterable[str] = (), tls: ssl.SSLContext | None = None) -> AsyncIterator[Liar]:
    """A liar at a free port of 127.0.0.1."""
    mine = Liar(there)
    server = await asyncio.start_server(mine.listen, "127.0.0.1", 0, ssl=tls)
    mine.port = server.sockets[0].getsockname()[1]
    try:
        yield mine
    finally:
        server.close()
        for talk in mine.talks:
            talk.writer.transport.abort()
        await server.wait_closed()


def values(found: Iterable[bool]) -> bytes:
    """The answer to an MGET: which keys are there."""
    parts = [b"$1\r\n1\r\n" if each else b"$-1\r\n" for each in found]
    return b"*%d\r\n" % len(parts) + b"".join(parts)


@dataclass
class Asker:
    """The code under test, and what it told of questions without an answer."""

    asks: RedisAsks
    told: list[BaseException] = field(default_factory=list)

    async def ask(self, *keys: str) -> bool:
        """One question, answered; a question never answered fails the test."""
        return (await answered([self.asks.holds_any(keys)]))[0]


async def answered(asked: Sequence[Awaitable[bool]]) -> list[bool]:
    """The answers to all; TimeoutError if somebody is left waiting."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return list(await asyncio.gather(*asked))


@asynccontextmanager
async def asking(url: str, seconds: float = 0.25, kind: type[RedisAsks] = RedisAsks, **options: Any) -> AsyncIterator[Asker]:
    """An asker of the Redis at this URL."""
    redis = Redis.from_url(url, **options)
    told: list[BaseException] = []
    asks = kind(redis, seconds, told.append)
    try:
        yield Asker(asks, told)
    finally:
        await asks.close()
        await redis.aclose()
