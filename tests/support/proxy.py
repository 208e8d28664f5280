"""A TCP proxy between the code under test and what it needs, to cut, silence or slow the line."""

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.processes import free_port
from tests.support.threads import LoopThread

NARROW, WIDE = 2048, 65536


class TcpProxy:
    """`narrow`: it takes a few kilobytes before whoever sends has to wait for it, however fast its thread is."""

    def __init__(self, target_port: int, target_host: str = "127.0.0.1", *, narrow: bool = False) -> None:
        self._target = (target_host, target_port)
        self.host, self.port = "127.0.0.1", free_port()
        self._narrow = narrow
        self._delay = 0.0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._thread = LoopThread("proxy")
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._thread.run(self._listen())

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._thread.run(self._cut())

    def partition(self) -> None:
        """Keep connections open (and take new ones), but let nothing through; `heal` delivers what was sent."""
        self._thread.run(self._set_flowing(flowing=False))

    def delay(self, seconds: float) -> None:
        """Hold back everything, both ways, by this long."""
        self._delay = seconds

    def heal(self) -> None:
        """Undo `cut`, `partition` and `delay`."""
        self._delay = 0.0
        self._thread.run(self._set_flowing(flowing=True))
        self._thread.run(self._listen())

    @property
    def connections(self) -> int:
        return len(self._links)

    def close(self) -> None:
        self.cut()
        self._thread.close()

    async def _listen(self) -> None:
        if self._server is None:
            limit = NARROW if self._narrow else WIDE
            self._server = await asyncio.start_server(self._link, self.host, self.port, limit=limit)
            if self._narrow:
                for each in self._server.sockets:  # what is accepted has it of who listens
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        await asyncio.sleep(0)  # let connections just accepted become links
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _set_flowing(self, *, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        writers = [writer]
        with suppress(OSError, asyncio.CancelledError):
            try:
                await self._flowing.wait()
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                writers.append(far_writer)
                await _both(self._pump(reader, far_writer), self._pump(far_reader, writer))
                for each in writers:
                    each.close()
                    await each.wait_closed()
            finally:
                for each in writers:
                    each.transport.abort()
                self._links.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._hold()
            writer.write(data)
            await writer.drain()
        await self._hold()
        writer.write_eof()

    async def _hold(self) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._flowing.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


async def _both(one: Coroutine[None, None, None], other: Coroutine[None, None, None]) -> None:
    """Run both to their ends, or neither."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
