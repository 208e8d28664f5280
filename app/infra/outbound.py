"""HTTP to addresses that somebody typed: each call is checked where it connects, so that no name leads inside (SSRF).

A name is resolved once, every address it has must be public, and the connection goes to an address that was checked: whoever
answers differently the second time (rebinding) is not asked a second time. Redirects are not followed, no proxy of the
environment is used, nothing is kept open. Whoever answers without end, slowly or not at all, costs a bounded share of time,
memory, threads and sockets.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from app.core.addresses import Address, is_loopback, is_public
from app.core.ports import Answered, OutboundRefused

TOTAL_SECONDS = 10.0
CHECK_SECONDS = 3.0  # somebody waits for it
CONNECT_SECONDS = 2.0  # for an address that is not the last one: another may answer
MOST_LOOK_UPS = 32  # at once, a thread each: a few names that hang must hold up no others
MOST_ADDRESSES = 4
MOST_READ = 4096  # of the body
MOST_ON_THE_WIRE = 32 * 1024  # of all that comes, since headers and interim answers (1xx) have no end of their own
AT_ONCE = 4096  # bytes; to parse them takes a few milliseconds at most, and others have their turn in between
PORTS = {"http": 80, "https": 443}


class OutboundHttp:
    """Posts, to the public internet alone; with `loopback` to this machine too."""

    def __init__(self, *, loopback: bool = False, trusted: ssl.SSLContext | None = None) -> None:
        self._tls = trusted
        self._names = _Names(loopback=loopback)

    async def check(self, url: str) -> None:
        """See `Outbound.check`."""
        asked = _read(url)
        async with asyncio.timeout(CHECK_SECONDS):
            await self._names.find(asked.host.decode(), asked.port or PORTS["https"])

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        """See `Outbound.post`."""
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._post(url, headers, body)
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise ConnectionError(type(error).__name__) from None

    async def close(self) -> None:
        """Nothing is open between two calls; names that are being looked up end with the process."""

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        if self._tls is None:  # reads every root certificate of the machine: not before somebody is called
            self._tls = ssl.create_default_context()
        asked, line = _read(url), _Line(self._names)
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        pairs += [(b"host", urlsplit(url).netloc.encode()), (b"connection", b"close")]
        pool = httpcore2.AsyncConnectionPool(ssl_context=self._tls, network_backend=line, max_connections=1)
        try:
            async with pool, pool.stream("POST", asked, headers=pairs, content=body) as answer:
                read = bytearray()
                async for part in answer.aiter_stream():
                    read += part[: MOST_READ - len(read)]
                    if len(read) == MOST_READ:
                        break
                return Answered(answer.status, bytes(read).decode("utf-8", "replace"))
        finally:
            await line.hang_up()


def _read(url: str) -> httpcore2.URL:
    """The address as it was checked: whole, with what the library would leave out of a path (`;…`)."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    host = (parts.hostname or "").encode("ascii")
    return httpcore2.URL(scheme=parts.scheme.encode(), host=host, port=parts.port, target=target.encode("ascii"))


class _Names:
    """Where names lead. Each is looked up by one thread, however many ask for it meanwhile."""

    def __init__(self, *, loopback: bool) -> None:
        self._loopback = loopback
        self._under_way: dict[tuple[str, int], asyncio.Future[list[Any]]] = {}

    async def find(self, host: str, port: int) -> list[Address]:
        """The addresses of a name, all of which may be called."""
        addresses = await self._resolve(host, port)
        if not addresses or not all(self._may_call(address) for address in addresses):
            raise OutboundRefused
        return addresses

    def _may_call(self, address: Address) -> bool:
        return is_public(address) or (self._loopback and is_loopback(address))

    async def _resolve(self, host: str, port: int) -> list[Address]:
        with contextlib.suppress(ValueError):
            return [ipaddress.ip_address(host)]
        asked = self._under_way.get((host, port)) or self._look_up(host, port)
        try:
            found = await asyncio.shield(asked)  # others may wait for it, too
        except (OSError, UnicodeError):
            raise ConnectionError("the name does not resolve") from None
        return list(dict.fromkeys(ipaddress.ip_address(each[4][0]) for each in found))

    def _look_up(self, host: str, port: int) -> "asyncio.Future[list[Any]]":
        if len(self._under_way) >= MOST_LOOK_UPS:
            raise ConnectionError("too many names that nobody knows yet")
        loop = asyncio.get_running_loop()
        self._under_way[host, port] = asked = loop.create_future()
        asked.add_done_callback(partial(self._known, (host, port)))

        def work() -> None:
            try:
                found, failure = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), None
            except (OSError, UnicodeError) as error:
                found, failure = [], error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_tell, asked, found, failure)

        # A thread of its own and no pool's: those are waited for at the end of the process, and a name can hang for minutes.
        threading.Thread(target=work, name="resolving", daemon=True).start()
        return asked

    def _known(self, key: tuple[str, int], asked: "asyncio.Future[list[Any]]") -> None:
        self._under_way.pop(key, None)
        if not asked.cancelled():
            asked.exception()  # it is seen, even if nobody waits any more


def _tell(asked: "asyncio.Future[list[Any]]", found: list[Any], failure: Exception | None) -> None:
    if asked.done():
        return
    if failure is None:
        asked.set_result(found)
    else:
        asked.set_exception(failure)


class _Line(httpcore2.AsyncNetworkBackend):
    """The network of one call: it goes to addresses that were checked, and knows what it opened."""

    def __init__(self, names: _Names) -> None:
        self._names = names
        self._plain = httpcore2.AnyIOBackend()
        self._opened: list[httpcore2.AsyncNetworkStream] = []
        self.left = MOST_ON_THE_WIRE

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = (await self._names.find(host, port))[:MOST_ADDRESSES]
        failure: Exception = OutboundRefused()
        for address in addresses:
            patience = timeout if address is addresses[-1] else CONNECT_SECONDS
            try:
                stream = await self._plain.connect_tcp(str(address), port, patience, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
                continue
            self._opened.append(stream)
            return _Bounded(stream, self)
        raise failure

    async def hang_up(self) -> None:
        """Close what was opened: a call that is broken off within a handshake leaves it to nobody."""
        for stream in self._opened:
            with contextlib.suppress(Exception):  # of what is broken already
                await stream.aclose()

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise OutboundRefused

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Bounded(httpcore2.AsyncNetworkStream):
    """A connection from which no more is read than a call may bring."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, line: _Line) -> None:
        self._stream = stream
        self._line = line

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await asyncio.sleep(0)  # who sends faster than we read never lets a read wait
        read = await self._stream.read(min(max_bytes, AT_ONCE), timeout)
        self._line.left -= len(read)
        if self._line.left < 0:
            raise httpcore2.ReadError("the answer is longer than any may be")
        return read

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return _Bounded(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._line)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
