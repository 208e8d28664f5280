"""What wrk prints is read, and a run with a bad answer is no figure."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bench.speed.run import check_one
from bench.speed.wrk import Run, UnmeasuredError, load, parse, write_feed

PRINTED = """Running 1s test @ http://127.0.0.1:8000
  1 threads and 32 connections
JSON {"requests":5000,"microseconds":2000000,"connect":0,"read":0,"write":0,"status":0,"timeout":0,\
"p50":1500,"p90":2500,"p99":9000,"max":20000,"position":77,"exhausted":0}
"""


def test_the_line_of_json_is_read() -> None:
    run = parse(PRINTED)
    assert run == Run(5000, 2.0, 0, 0, 1.5, 2.5, 9.0, 20.0, 77, False)
    assert run.rate == 2500
    run.check()


@pytest.mark.parametrize("broken", ["connect", "read", "write", "timeout", "status", "exhausted"])
def test_a_run_with_a_bad_answer_is_refused(broken: str) -> None:
    with pytest.raises(UnmeasuredError):
        parse(PRINTED.replace(f'"{broken}":0', f'"{broken}":1')).check()


def test_a_run_without_answers_is_refused() -> None:
    with pytest.raises(UnmeasuredError):
        parse(PRINTED.replace('"requests":5000', '"requests":0')).check()


def test_output_without_figures_is_refused_and_quoted() -> None:
    with pytest.raises(UnmeasuredError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


class Recorder(BaseHTTPRequestHandler):
    """Answers 200 to the token it was told of, 401 to others; keeps what was shown."""

    protocol_version = "HTTP/1.1"
    shown: list[str]

    def do_GET(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.shown.append(token)
        self.send_response(200 if token.startswith("good") else 401)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def do_POST(self) -> None:
        self.shown.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def recorder() -> Iterator[tuple[int, list[str]]]:
    shown: list[str] = []
    handler = type("Own", (Recorder,), {"shown": shown})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, shown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_one_request_tells_status_and_length(tmp_path: Path) -> None:
    with recorder() as (port, shown):
        assert check_one(port, write_feed(tmp_path / "feed", ["good"], "bearer", "GET", "/"), 200) == 2
        with pytest.raises(UnmeasuredError, match="answers 401, not 200"):
            check_one(port, write_feed(tmp_path / "feed", ["bad"], "bearer", "GET", "/"), 200)
    assert shown == ["good", "bad"]


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk (make ci-deps)")
def test_each_token_is_shown_and_the_next_run_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    tokens = [f"good-{number}" for number in range(100_000)]
    feed = write_feed(tmp_path / "feed", tokens, "bearer", "GET", "/")
    with recorder() as (port, shown):
        first = load(port, feed, 1, connections=2)
        first.check()
        until = feed.position
        load(port, feed, 1, connections=2).check()
    assert 0 < until == first.position < feed.position
    assert len(set(shown)) == len(shown), "no token twice"
    assert {tokens.index(token) for token in shown} <= set(range(feed.position))


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk (make ci-deps)")
def test_what_may_be_used_once_is_not_used_twice(tmp_path: Path) -> None:
    feed = write_feed(tmp_path / "feed", ["{}", "[]", "1"], "json", "POST", "/", repeats=False)
    with recorder() as (port, shown):
        run = load(port, feed, 1, connections=1)
    assert run.exhausted
    posted = [body for body in shown if body]
    assert len(set(posted)) == len(posted) > 0
    with pytest.raises(UnmeasuredError, match="did not suffice"):
        run.check()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk (make ci-deps)")
def test_refused_requests_are_counted(tmp_path: Path) -> None:
    feed = write_feed(tmp_path / "feed", ["bad"], "bearer", "GET", "/")
    with recorder() as (port, _):
        run = load(port, feed, 1, connections=1)
    assert run.refused == run.requests > 0
