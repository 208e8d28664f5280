"""HTTP to addresses that somebody typed: each call is checked where it connects, so that no name leads inside (SSRF).

A name is resolved once, every address it has must be public, and the connection goes to an address that was checked: whoever
answers differently the second time (rebinding) is not asked a second time. Redirects are not followed, no proxy of the
environment is used, nothing is kept open.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore2

from app.core.addresses import Address, is_loopback, is_public
from app.core.ports import Answered, OutboundRefused

TOTAL_SECONDS = 10.0
CHECK_SECONDS = 3.0  # somebody waits for it
RESOLVERS = 32  # threads, made as they are needed: a few names that hang must hold up no others
MOST_ADDRESSES = 4
MOST_READ = 4096


class OutboundHttp:
    """Posts, to the public internet alone; with `loopback` to this machine too."""

    def __init__(self, *, loopback: bool = False, trusted: ssl.SSLContext | None = None) -> None:
        self._tls = trusted
        self._resolvers = ThreadPoolExecutor(RESOLVERS, "resolving")
        self._backend = _Checked(self._resolvers, loopback=loopback)

    async def check(self, url: str) -> None:
        """See `Outbound.check`."""
        asked = httpcore2.URL(url)
        async with asyncio.timeout(CHECK_SECONDS):
            await self._backend.find(asked.host.decode("ascii"), asked.port or 443)

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        """See `Outbound.post`."""
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._post(url, headers, body)
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise ConnectionError(type(error).__name__) from None

    async def close(self) -> None:
        """Let the threads end."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        if self._tls is None:  # reads every root certificate of the machine: not before somebody is called
            self._tls = ssl.create_default_context()
        pool = httpcore2.AsyncConnectionPool(ssl_context=self._tls, network_backend=self._backend, max_connections=1)
        async with pool:
            pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
            async with pool.stream("POST", url, headers=[*pairs, (b"connection", b"close")], content=body) as answer:
                read = bytearray()
                async for part in answer.aiter_stream():
                    read += part[: MOST_READ - len(read)]
                    if len(read) == MOST_READ:
                        break
                return Answered(answer.status, bytes(read).decode("utf-8", "replace"))


class _Checked(httpcore2.AsyncNetworkBackend):
    def __init__(self, resolvers: ThreadPoolExecutor, *, loopback: bool) -> None:
        self._resolvers = resolvers
        self._loopback = loopback
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self.find(host, port)
        failure: Exception = OutboundRefused()
        for address in addresses[:MOST_ADDRESSES]:
            try:
                return await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def find(self, host: str, port: int) -> list[Address]:
        """The addresses of a name, all of which may be called."""
        addresses = await self._resolve(host, port)
        if not addresses or not all(self._may_call(address) for address in addresses):
            raise OutboundRefused
        return addresses

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise OutboundRefused

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _may_call(self, address: Address) -> bool:
        return is_public(address) or (self._loopback and is_loopback(address))

    async def _resolve(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._resolvers, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            raise ConnectionError("the name does not resolve") from None
        return list(dict.fromkeys(ipaddress.ip_address(each[4][0]) for each in found))
