"""The TCP proxy: cut, partitioned, slowed, healed."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.processes import free_port
from tests.support.proxy import TcpProxy


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """A server that sends back what it is sent, until its peer has finished; returns its port."""

    def answer(line: socket.socket) -> None:
        with line:
            while data := line.recv(65536):
                line.sendall(data)

    def serve() -> None:
        while True:
            line, _ = listener.accept()
            if stopping.is_set():
                line.close()
                return
            threading.Thread(target=answer, args=[line]).start()

    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        stopping.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[TcpProxy]:
    with TcpProxy(echo) as proxy:
        yield proxy


def connect(proxy: TcpProxy, timeout: float = 5) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=timeout)


def exchange(line: socket.socket, data: bytes = b"ping") -> bytes:
    line.sendall(data)
    return receive(line, len(data))


def receive(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := line.recv(65536)):
        data += part
    return data


def ended(line: socket.socket) -> bool:
    """Read to the end, which came by a close or by a reset."""
    with suppress(ConnectionError):
        while line.recv(65536):
            pass
    return True


def test_it_carries_everything_both_ways(proxy: TcpProxy) -> None:
    data = bytes(range(256)) * 500
    with connect(proxy) as one, connect(proxy) as two:
        assert exchange(one) == b"ping"
        assert exchange(two, data) == data
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""


def test_cut_breaks_and_refuses_until_healed(proxy: TcpProxy) -> None:
    with connect(proxy) as line:
        assert exchange(line) == b"ping"
        proxy.cut()
        assert ended(line)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)

    proxy.heal()

    with connect(proxy) as line:
        assert exchange(line) == b"ping"


def test_partitioned_nothing_passes_until_healed(proxy: TcpProxy) -> None:
    with connect(proxy) as line:
        assert exchange(line) == b"ping"
        proxy.partition()
        with connect(proxy) as new:
            for each in (line, new):
                each.sendall(b"held")
                each.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    each.recv(1)

            proxy.heal()

            for each in (line, new):
                each.settimeout(5)
                assert receive(each, 4) == b"held"


def test_delayed_everything_takes_longer(proxy: TcpProxy) -> None:
    proxy.delay(0.1)
    with connect(proxy) as line:
        started = time.monotonic()
        assert exchange(line) == b"ping"
        assert time.monotonic() - started >= 0.2

        proxy.heal()
        assert exchange(line) == b"ping"


def test_partitioned_it_can_be_cut_and_closed(proxy: TcpProxy) -> None:
    with connect(proxy) as line:
        proxy.partition()
        line.sendall(b"lost")

        proxy.cut()

        assert ended(line)


def test_a_target_that_refuses_ends_the_connection() -> None:
    with TcpProxy(free_port()) as proxy, connect(proxy) as line:
        assert ended(line)
