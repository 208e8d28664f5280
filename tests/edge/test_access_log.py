"""The access log as JSON: one whole line for each answer, whatever was sent, and no answer depends on it."""

import asyncio
import io
import json
import logging
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.logs import AccessLog
from tests.support.processes import reap_if_we_die, wait_until
from tests.support.servers import Kind, ServerProcess

CANARY = "canary7f3a"
KEYS = {"method", "path", "status", "ms", "address", "event", "request_id", "level", "logger", "timestamp"}
EVERY_LINE = {"event", "level", "logger", "timestamp"}
PRODUCTION = {"ENVIRONMENT": "production", "BCRYPT_ROUNDS": "10", "PUBLIC_URL": "https://auth.example.com", "LOG_LEVEL": "INFO"}
HOSTILE = [
    '"',
    "\\",
    '\\"}\n{"event": "forged"}',
    "\r\n",
    "\x00\x07\x1b[2J",
    "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e",
    "\ud800",
    "\udfff\ud800",
    "\U0001f511",
    "\ufeff",
    "%s {0} {path} %(name)s",
    "</script>",
    "a" * 100_000,
]


def whole(text: str) -> list[dict[str, Any]]:
    """Every line as the object it is; fails if one is no object, or says a key twice."""
    lines = text.split("\n")
    assert lines.pop() == "", "the last line is not whole"

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return dict(pairs)

    return [json.loads(line, object_pairs_hook=unique) for line in lines]


def is_moment(text: str) -> bool:
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo == UTC and "+" not in text


class Counting(io.StringIO):
    """A stream that counts what is written to it, and fails while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        self.writes += 1
        if self.failure is not None:
            raise self.failure
        text.encode()  # as a file would
        return super().write(text)


def a_log(level: str = "INFO") -> tuple[AccessLog, Counting]:
    log, stream = AccessLog(), Counting()
    log.configure(level, logging.StreamHandler(stream))
    return log, stream


async def a_turn() -> None:
    await asyncio.sleep(0)


# By itself.


@pytest.mark.asvs("V16.4.1")
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
async def test_no_text_breaks_a_line_or_adds_one(text: str) -> None:
    log, stream = a_log()
    for path, address in ((text, "::1"), ("/", text), (text, text)):
        log.write("GET", path, 200, 1.5, address, "0123456789abcdef")
    await a_turn()
    written = stream.getvalue()
    assert written.isascii()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", written)
    entries = whole(written)
    assert [(entry["path"], entry["address"]) for entry in entries] == [(text, "::1"), ("/", text), (text, text)]
    assert {frozenset(entry) for entry in entries} == {frozenset(KEYS)}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(lines=st.lists(st.tuples(st.text(), st.text(), st.floats(0, 1e6), st.sampled_from([0, 200, 204, 503])), max_size=8))
async def test_whatever_is_said_comes_back_as_it_was(lines: list[tuple[str, str, float, int]]) -> None:
    log, stream = a_log()
    for path, address, ms, status in lines:
        log.write("?", path, status, round(ms, 1), address, "0123456789abcdef")
    await a_turn()
    found = [(entry["path"], entry["address"], entry["ms"], entry["status"]) for entry in whole(stream.getvalue())]
    assert found == [(path, address, round(ms, 1), status) for path, address, ms, status in lines]


async def test_a_line_says_what_it_is_and_when() -> None:
    log, stream = a_log()
    before = datetime.now(UTC)
    log.write("GET", "/auth/me", 200, 0.4, "127.0.0.1", "0123456789abcdef")
    await a_turn()
    (entry,) = whole(stream.getvalue())
    moment = entry.pop("timestamp")
    assert entry == {
        "method": "GET",
        "path": "/auth/me",
        "status": 200,
        "ms": 0.4,
        "address": "127.0.0.1",
        "event": "request",
        "request_id": "0123456789abcdef",
        "level": "info",
        "logger": "authkeep.access",
    }
    assert is_moment(moment)
    assert before <= datetime.fromisoformat(moment) <= datetime.now(UTC)


async def test_lines_of_a_turn_are_one_write_and_keep_their_order() -> None:
    log, stream = a_log()
    for number in range(100):
        log.write("GET", f"/{number}", 200, 0.1, "::1", "x")
    assert stream.writes == 0
    await a_turn()
    assert stream.writes == 1
    log.write("GET", "/100", 200, 0.1, "::1", "x")
    await a_turn()
    assert [entry["path"] for entry in whole(stream.getvalue())] == [f"/{number}" for number in range(101)]


@pytest.mark.parametrize(("level", "wanted"), [("DEBUG", True), ("INFO", True), ("WARNING", False), ("ERROR", False)])
async def test_the_level_decides_whether_there_are_lines(level: str, wanted: bool) -> None:
    log, stream = a_log(level)
    log.write("GET", "/", 200, 0.1, "::1", "x")
    await a_turn()
    assert len(whole(stream.getvalue())) == wanted


@pytest.mark.parametrize(
    "failure", [BrokenPipeError(), OSError(28, "no space"), ValueError("closed"), BlockingIOError()], ids=repr
)
async def test_a_stream_that_fails_is_nobodys_trouble_and_is_tried_again(failure: Exception) -> None:
    log, stream = a_log()
    failures: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    try:
        stream.failure = failure
        log.write("GET", "/lost", 200, 0.1, "::1", "x")
        await a_turn()
        stream.failure = None
        log.write("GET", "/kept", 200, 0.1, "::1", "x")
        await a_turn()
    finally:
        loop.set_exception_handler(None)
    assert [entry["path"] for entry in whole(stream.getvalue())] == ["/kept"]
    assert failures == []


# Of a server in production.


def production(env: dict[str, str], **more: str) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith(("SMTP_", "EMAIL_"))} | PRODUCTION | more


def raw(port: int, *requests: bytes) -> list[int]:
    """Send requests as they are on one connection; the status of each answer until it is closed."""
    statuses = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line, line.makefile("rb") as answers:
        for request in requests:
            line.sendall(request)
            head = answers.readline()
            if not head:
                break
            statuses.append(int(head.split()[1]))
            length = 0
            while (header := answers.readline().strip().lower()) != b"":
                length = int(header.partition(b":")[2]) if header.startswith(b"content-length:") else length
            answers.read(length)
    return statuses


def get(target: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: localhost", *headers, b"", b""])


def answered(port: int, request: bytes) -> int:
    """The one status of a request on a connection of its own."""
    (status,) = raw(port, request)
    return status


C = CANARY.encode()
ODD_TARGETS = [
    b"/%22%7D%0A%7B%22event%22:%22" + C + b"%22%7D",
    b"/%0d%0a" + C,
    b"/%00%1b[31m" + C,
    b"/%ff%fe" + C,
    b"/%ed%a0%80" + C,
    b"/" + C + b"?token=" + C,
    b"/auth/me?access_token=" + C,
    b"/auth/verify/" + C + b"?role=" + C,
    b"/auth/verify/%22%0a" + C,
    b"/auth/me/" + C,
    b"/auth//me?" + C,
    b"/users/" + C + b"@example.com",
    b"/" + C * 300,
    b"/a;" + C,
    b"//" + C + b"/..",
    b"/health/live?" + C + b'"\\',
]
ODD_HOPS = [
    b'"}\t{"' + C,
    C,
    b"1.2.3.4, " + C,
    b"\x1b[31m" + C,
    b"\xff\xfe\x80" + C,
    b"fe80::1%" + C,
    b'fe80::1%"},{"' + C,
    b"[fe80::1%" + C + b"]:80",
    b"1.2.3.4:" + C,
    b"," * 200 + C,
    b"::ffff:1.2.3.4%" + C,
]


@pytest.mark.promise("P9")
@pytest.mark.asvs("V16.4.1", "V14.2.1", "V16.2.5")
def test_whatever_is_sent_each_answer_is_one_whole_line_that_repeats_none_of_it(env: dict[str, str], tmp_path: Path) -> None:
    with ServerProcess("serve", production(env, TRUSTED_PROXIES="127.0.0.1"), tmp_path / "server") as server:
        server.wait_ready()
        token = b"Authorization: Bearer " + C + b"." + C + b"." + C
        sent = [get(target, token, b"Cookie: a=" + C, b'User-Agent: "\\ ' + C) for target in ODD_TARGETS]
        sent += [get(b"/auth/verify", b"X-Forwarded-For: " + hop, b"X-Request-ID: " + C) for hop in ODD_HOPS]
        sent += [get(b"/nowhere", b"X-Forwarded-For: " + hop, b"Origin: https://" + C) for hop in ODD_HOPS]
        sent += [get(b"/auth/me", method=method) for method in (b"PROPFIND", b"TRACE", b"PURGE", b"OPTIONS", b"HEAD", b"MKCOL")]
        statuses = [answered(server.port, request) for request in sent]
        assert set(statuses) <= {200, 204, 400, 401, 403, 404, 405, 422}, statuses
        assert server.terminate() == 0
        entries = whole((server.folder / "stderr").read_text())
    assert all(entry.keys() >= EVERY_LINE and is_moment(entry["timestamp"]) for entry in entries)
    lines = [entry for entry in entries if entry["event"] == "request" and entry["path"] != "/health/ready"]
    # One each, in order, the last one too. With 400 uvicorn itself refuses what is no HTTP.
    assert [entry["status"] for entry in lines] == [status for status in statuses if status != 400]
    assert {frozenset(entry) for entry in lines} == {frozenset(KEYS)}
    assert [entry for entry in entries if CANARY in json.dumps(entry)] == []
    assert {entry["method"] for entry in lines} <= {"GET", "HEAD", "OPTIONS", "?"}
    assert all(re.fullmatch(r"[0-9a-f]{16}", entry["request_id"]) for entry in lines)
    assert all(re.fullmatch(r"[0-9a-f.:]{2,45}", entry["address"]) for entry in lines)


WEBSOCKET = [
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==",
    b"Sec-WebSocket-Version: 13",
]
HTTP_2 = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]


@pytest.mark.parametrize("kind", ["serve", "uvicorn"])
@pytest.mark.parametrize("offer", [WEBSOCKET, HTTP_2], ids=["websocket", "h2c"])
def test_an_offer_of_another_protocol_is_answered_by_http_and_has_one_line(
    env: dict[str, str], tmp_path: Path, kind: Kind, offer: list[bytes]
) -> None:
    with ServerProcess(kind, production(env), tmp_path / "server") as server:
        server.wait_ready()
        asked = [get(b"/auth/me", *offer), get(b"/auth/verify", *offer), get(b"/nowhere")]
        assert raw(server.port, *asked) == [401, 401, 404]
        server.terminate()
        entries = whole((server.folder / "stderr").read_text())
    assert [entry["status"] for entry in entries if entry["event"] == "request" and entry["path"] != "/health/ready"] == [
        401,
        401,
        404,
    ]
    assert {entry["level"] for entry in entries} == {"info"}


def accesses(server: ServerProcess) -> list[str]:
    return [line for line in server.logs().splitlines() if "authkeep.access" in line]


@pytest.mark.promise("P5")
@pytest.mark.parametrize("hop", [b"fe80::1%" + b"x" * 200, b"fe80::1%\xe4", b"fe80::1%" + b"\t", b"1" * 5000])
def test_no_forwarded_address_is_too_long_for_the_database(env: dict[str, str], tmp_path: Path, hop: bytes) -> None:
    with ServerProcess("serve", production(env, TRUSTED_PROXIES="127.0.0.1"), tmp_path / "server") as server:
        server.wait_ready()
        body = b'{"username": "alice", "email": "alice@example.com", "password": "open sesame 42!"}'
        headers = [b"Content-Type: application/json", b"X-Forwarded-For: " + hop]
        sent = [
            get(path, *headers, b"Content-Length: %d" % len(each), method=b"POST") + each
            for path, each in ((b"/auth/register", body), (b"/auth/login", body), (b"/auth/login", body.replace(b"42", b"43")))
        ]
        assert raw(server.port, *sent) in ([201, 422, 422], [201, 200, 401])


def test_below_its_level_nothing_is_written(env: dict[str, str], tmp_path: Path) -> None:
    with ServerProcess("serve", production(env, LOG_LEVEL="WARNING"), tmp_path / "server") as server:
        server.wait_ready()
        assert raw(server.port, *[get(b"/auth/me"), get(b"/nowhere")] * 10) == [401, 404] * 10
        assert server.terminate() == 0
        assert accesses(server) == []


def test_every_answer_before_a_stop_has_its_line(env: dict[str, str], tmp_path: Path) -> None:
    with ServerProcess("serve", production(env), tmp_path / "server") as server:
        server.wait_ready()
        with ThreadPoolExecutor(8) as clients:
            asked = [get(b"/auth/me"), get(b"/nowhere")] * 30
            statuses = list(clients.map(lambda _: raw(server.port, *asked), range(8)))
        assert server.terminate() == 0
        assert statuses == [[401, 404] * 30] * 8
        entries = whole((server.folder / "stderr").read_text())
        paths = Counter(entry["path"] for entry in entries if entry["event"] == "request")
        assert (paths["/auth/me"], paths["/nowhere"]) == (240, 240)


@contextmanager
def with_a_pipe_for_stderr(env: dict[str, str], folder: Path) -> Iterator[tuple[ServerProcess, "subprocess.Popen[bytes]"]]:
    """A server whose lines go into a pipe; its stdout into nothing."""
    server = ServerProcess("serve", env, folder)
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, *server.program],
        env=server.env,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        reap_if_we_die(process.pid)
        try:
            yield server, process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.promise("P5")
def test_a_log_that_nobody_reads_any_more_harms_no_answer(env: dict[str, str], tmp_path: Path) -> None:
    with with_a_pipe_for_stderr(production(env), tmp_path / "server") as (server, process):
        wait_until(lambda: server.status_of("/health/ready") == 200, "ready", 30)
        assert process.stderr is not None
        process.stderr.close()
        asked = [get(b"/auth/me"), get(b"/auth/verify"), get(b"/nowhere"), get(b"/health/live")]
        for _ in range(5):
            assert raw(server.port, *asked * 10) == [401, 401, 404, 200] * 10
        assert process.poll() is None


@pytest.mark.promise("P5")
def test_a_log_on_a_full_disk_harms_no_answer_and_goes_on_when_there_is_room(env: dict[str, str], tmp_path: Path) -> None:
    with ServerProcess("serve", production(env), tmp_path / "server") as server:
        server.wait_ready()
        log = server.folder / "stderr"
        full = log.stat().st_size + 100  # the next line is cut
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        asked = [get(b"/auth/me"), get(b"/nowhere")]
        for _ in range(5):
            assert raw(server.port, *asked * 20) == [401, 404] * 20
        assert log.stat().st_size <= full
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert raw(server.port, *[get(b"/health/live")] * 3) == [200] * 3
        assert server.terminate() == 0
        since = log.read_text()[full:].partition("\n")[2]  # the one that was cut may be lost
        assert [entry["path"] for entry in whole(since) if entry["event"] == "request"][-3:] == ["/health/live"] * 3
