"""HTTP to addresses that somebody typed: none leads inside, whatever it is called; and none holds us up."""

import asyncio
import gc
import ipaddress
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpcore2
import pytest

from app.core.addresses import is_loopback, is_public
from app.core.ports import OutboundRefused
from app.infra import outbound
from app.infra.outbound import OutboundHttp

INSIDE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:1.1.1.1",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_outside_is_public_and_not_this_machine(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert not is_loopback(ipaddress.ip_address(address))


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on loopback; its port, and the heads of the requests that it got."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head)
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()


def saying(raw: bytes) -> Answer:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


async def hanging(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the other side gives up


async def dripping(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"x: y\r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"400\r\n" + b"z" * 1024 + b"\r\n")
        await writer.drain()


async def test_a_post_arrives_as_it_is_and_its_answer_comes_back() -> None:
    async with receiver(saying(b"HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\ndone")) as (port, seen):
        client = OutboundHttp(loopback=True)
        answered = await client.post(f"http://127.0.0.1:{port}/hook?x=1", {"webhook-id": "msg_1"}, b'{"a":1}')
        await client.close()
    assert (answered.status, answered.body) == (202, "done")
    (head,) = seen
    assert head.startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
    assert b"webhook-id: msg_1" in head


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
@pytest.mark.asvs("V1.3.6")
async def test_nothing_inside_is_called_however_it_is_written(host: str) -> None:
    async with receiver(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, seen):
        client = OutboundHttp()
        with pytest.raises((OutboundRefused, ConnectionError)):
            await client.post(f"http://{host}:{port}/", {}, b"")
        await client.close()
    assert seen == []


def answering(*answers: list[str]) -> Any:
    """A resolver that says something else each time."""
    left = [*answers]

    def getaddrinfo(_host: str, port: int, **_: Any) -> list[Any]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


@pytest.mark.asvs("V1.3.6")
async def test_a_name_is_asked_once_and_all_it_says_must_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    async def connect(_self: Any, host: str, *_: Any, **__: Any) -> Any:
        called.append(host)
        raise httpcore2.ConnectError

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    client = OutboundHttp()
    # Public at the first look, inside at the second: there is no second.
    monkeypatch.setattr(socket, "getaddrinfo", answering(["1.1.1.1"], ["127.0.0.1"]))
    with pytest.raises(ConnectionError):
        await client.post("https://rebinding.example/", {}, b"")
    assert called == ["1.1.1.1"]
    # One of several inside: none is called.
    for mixed in (["1.1.1.1", "10.0.0.1"], ["169.254.169.254", "8.8.8.8"], []):
        monkeypatch.setattr(socket, "getaddrinfo", answering(mixed))
        with pytest.raises(OutboundRefused):
            await client.post("https://mixed.example/", {}, b"")
    assert called == ["1.1.1.1"]
    await client.close()


@pytest.mark.asvs("V15.3.2")
async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:%d/inside\r\nContent-Length: 0\r\n\r\n"
    async with receiver(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as (inside, seen), receiver(saying(moved % inside)) as (port, _):
        client = OutboundHttp(loopback=True)
        answered = await client.post(f"http://127.0.0.1:{port}/", {}, b"")
        await client.close()
    assert answered.status == 307
    assert seen == []


async def test_an_endless_answer_is_read_to_its_beginning() -> None:
    async with receiver(endless) as (port, _):
        client = OutboundHttp(loopback=True)
        answered = await client.post(f"http://127.0.0.1:{port}/", {}, b"")
        await client.close()
    assert (answered.status, len(answered.body)) == (200, outbound.MOST_READ)


@pytest.mark.parametrize(
    "answer",
    [
        saying(b""),
        saying(b"SSH-2.0-OpenSSH_9\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"),
        saying(b"HTTP/1.1 nonsense\r\n\r\n"),
        dripping,
    ],
    ids=["nothing", "not HTTP", "less than it says", "no status", "headers without end"],
)
async def test_a_lying_receiver_is_a_failure(answer: Answer) -> None:
    async with receiver(answer) as (port, _):
        client = OutboundHttp(loopback=True)
        with pytest.raises((ConnectionError, TimeoutError)):
            await client.post(f"http://127.0.0.1:{port}/", {}, b"x" * 10)
        await client.close()


async def test_a_hanging_receiver_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.2)
    async with receiver(hanging) as (port, _):
        client = OutboundHttp(loopback=True)
        with pytest.raises(TimeoutError):
            await client.post(f"http://127.0.0.1:{port}/", {}, b"")
        await client.close()


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, seen):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        monkeypatch.setattr(socket, "getaddrinfo", answering(["10.0.0.1"]))
        client = OutboundHttp()
        with pytest.raises(OutboundRefused):
            await client.post("http://anything.example/", {}, b"")
        await client.close()
    assert seen == []


async def interim(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 4000)
        await writer.drain()


async def test_interim_answers_without_end_hold_up_nobody() -> None:
    """Each is a few bytes and takes as long as a whole answer to parse."""
    turns, over = 0, asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            await asyncio.sleep(0)

    async with receiver(interim) as (port, _):
        client = OutboundHttp(loopback=True)
        counting = asyncio.create_task(others())
        with pytest.raises(ConnectionError):
            await client.post(f"http://127.0.0.1:{port}/", {}, b"")
        over.set()
        await counting
    assert turns >= outbound.MOST_ON_THE_WIRE // outbound.AT_ONCE


async def test_names_that_hang_hold_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes one thread, however often it is asked for; an address takes none; and a stop waits for none of them."""
    released, asked = threading.Event(), Counter[str]()

    def getaddrinfo(host: str, _port: int, **_: Any) -> list[Any]:
        asked[host] += 1
        released.wait(60)
        raise socket.gaierror

    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with receiver(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, _):
        client = OutboundHttp(loopback=True)
        names = [f"https://{number}.example/" for number in range(outbound.MOST_LOOK_UPS)]
        ended = await asyncio.gather(*(client.post(url, {}, b"") for url in names * 3), return_exceptions=True)
        assert {type(each) for each in ended} == {TimeoutError}
        assert set(asked.values()) == {1}
        assert len(asked) == outbound.MOST_LOOK_UPS
        with pytest.raises(ConnectionError):
            await client.post("https://one-more.example/", {}, b"")
        assert (await client.post(f"http://127.0.0.1:{port}/", {}, b"")).status == 200
    waiting = [each for each in threading.enumerate() if each.name == "resolving"]
    assert len(waiting) == outbound.MOST_LOOK_UPS
    assert all(each.daemon for each in waiting)
    released.set()
    for each in waiting:
        await asyncio.to_thread(each.join, 10)
    with pytest.raises(ConnectionError, match="does not resolve"):  # it is asked for anew
        await client.post(names[0], {}, b"")


async def test_an_address_that_swallows_everything_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, called = httpcore2.AnyIOBackend.connect_tcp, list[tuple[str, float | None]]()

    async def connect(self: Any, host: str, port: int, timeout: float | None = None, *more: Any) -> Any:
        called.append((host, timeout))
        if host != "127.0.0.1":
            raise httpcore2.ConnectTimeout
        return await plain(self, host, port, timeout, *more)

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    monkeypatch.setattr(socket, "getaddrinfo", answering(["1.1.1.1", "127.0.0.1"]))
    async with receiver(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, _):
        client = OutboundHttp(loopback=True)
        assert (await client.post(f"http://two.example:{port}/", {}, b"")).status == 200
    assert called == [("1.1.1.1", outbound.CONNECT_SECONDS), ("127.0.0.1", None)]
    assert outbound.CONNECT_SECONDS * (outbound.MOST_ADDRESSES - 1) < outbound.TOTAL_SECONDS


async def test_a_handshake_that_hangs_leaves_no_socket_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not only once the garbage is collected, which a server does seldom."""
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.2)
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()  # until the other side has hung up
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    gc.disable()
    try:
        client = OutboundHttp(loopback=True)
        with pytest.raises(TimeoutError):
            await client.post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {}, b"")
        await asyncio.wait_for(ended.wait(), 10)
    finally:
        gc.enable()
        server.close()


async def test_the_address_is_called_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = httpcore2.AnyIOBackend.connect_tcp

    async def connect(self: Any, _host: str, *more: Any) -> Any:
        return await plain(self, "127.0.0.1", *more)

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    async with receiver(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, seen):
        client = OutboundHttp(loopback=True)
        for url in (f"http://127.0.0.1:{port}/a;b/c;d=1?x=1;y", f"http://[::1]:{port}", f"http://localhost:{port}/?"):
            await client.post(url, {}, b"")
    assert [head.split(b" ")[1] for head in seen] == [b"/a;b/c;d=1?x=1;y", b"/", b"/"]
    hosts = [line for head in seen for line in head.split(b"\r\n") if line.lower().startswith(b"host:")]
    assert hosts == [b"host: %s:%d" % (name, port) for name in (b"127.0.0.1", b"[::1]", b"localhost")]
