"""A line to a server that passes so many bytes of its next answer and no more: then it holds its breath, or is cut."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import psutil

from tests.support.threads import LoopThread

End = Literal["hold", "cut"]


class Chopper:
    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.passed: list[int] = []  # bytes of each answer since it was last armed
        self._target_port = target_port
        self._most: int | None = None
        self._end: End = "hold"
        self._released: asyncio.Event
        self._held = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = LoopThread("chopper")
        self._thread.run(self._listen())

    def arm(self, most: int, end: End) -> None:
        """Of what the server says from now on pass the first `most` bytes; once."""
        self._thread.run(self._arm(most, end))

    @property
    def holding(self) -> bool:
        """Whether something is being held back."""
        return self._held > 0

    def release(self) -> None:
        """Pass what was held, and whatever comes."""
        self._thread.run(self._release())

    def close(self) -> None:
        self._thread.run(self._stop())
        self._thread.close()

    async def _arm(self, most: int | None, end: End) -> None:
        self._most, self._end, self.passed = most, end, []
        self._released.clear()

    async def _release(self) -> None:
        self._most = None
        self._released.set()

    async def _listen(self) -> None:
        self._released = asyncio.Event()
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        asking = asyncio.create_task(self._ask(reader, far_writer))
        try:
            with suppress(OSError, asyncio.CancelledError):
                while data := await far_reader.read(65536):
                    if not await self._answer(data, writer):
                        break
        finally:
            asking.cancel()
            for each in (writer, far_writer):
                each.transport.abort()
            self._tasks.discard(task)

    async def _answer(self, data: bytes, writer: asyncio.StreamWriter) -> bool:
        self.passed.append(len(data))
        if self._most is None or len(data) <= self._most:
            self._most = None if self._most is None else self._most - len(data)
            writer.write(data)
            await writer.drain()
            return True
        writer.write(data[: self._most])
        await writer.drain()
        if self._end == "cut":
            self._most = None
            writer.close()
            await writer.wait_closed()
            return False
        self._held += 1
        try:
            most, self._most = self._most, None
            await self._released.wait()
        finally:
            self._held -= 1
        writer.write(data[most:])
        await writer.drain()
        return True

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.transport.abort()


@contextmanager
def chopper(target_port: int) -> Iterator[Chopper]:
    mine = Chopper(target_port)
    try:
        yield mine
    finally:
        mine.close()


def sockets_to(port: int) -> list[int]:
    """The numbers of this process's sockets that are connected to this port."""
    found = psutil.Process(os.getpid()).net_connections("tcp4")
    return [each.fd for each in found if each.raddr and each.raddr.port == port and each.status != psutil.CONN_CLOSE_WAIT]


def shrink_buffer(number: int) -> None:
    """Let a socket keep no more unsent than the kernel must."""
    with socket.socket(fileno=os.dup(number)) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
