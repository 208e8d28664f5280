"""Servers as processes, tried with a small one in the place of Authkeep's."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.servers import ServerProcess

STAND_IN = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/health/ready" and "NOT_READY" in os.environ else 200)
        self.end_headers()

    def log_message(self, *parts):
        pass

print(json.dumps({"arguments": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}))
if "FAIL" in os.environ:
    sys.exit("no such luck")
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    script = tmp_path / "launcher.py"
    script.write_text(STAND_IN)
    return script


def test_it_starts_and_sees_only_its_own_environment(launcher: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    with ServerProcess("serve", {"DATABASE_URL": "sqlite:///x"}, folder, launcher=launcher) as server:
        server.wait_live().wait_ready()
        told = json.loads(server.logs())

        assert told["arguments"] == ["serve", "--host", "127.0.0.1", "--port", str(server.port)]
        assert set(told["env"]) - {"LC_CTYPE"} == {"DATABASE_URL", "PATH", "PYTHONPATH", "PYTHONUNBUFFERED"}
        assert told["cwd"] == str(folder)

    assert not server.running
    assert server.status_of("/health/live") is None


def test_killed_it_starts_again_on_its_port(launcher: Path, tmp_path: Path) -> None:
    with ServerProcess("serve", {}, tmp_path / "one", launcher=launcher) as server:
        server.wait_live()
        server.kill()
        assert server.status_of("/health/live") is None

        server.start().wait_live()

        assert server.terminate() == -signal.SIGTERM
        assert len(server.logs().splitlines()) == 2


def test_paused_it_keeps_the_port_and_says_nothing(launcher: Path, tmp_path: Path) -> None:
    with ServerProcess("serve", {}, tmp_path / "one", launcher=launcher) as server:
        server.wait_live()
        server.pause()
        with pytest.raises(TimeoutError, match="200 from /health/live"):
            server.wait_live(timeout=0.1)

        server.resume()
        server.wait_live()


def test_one_that_is_not_ready_is_live(launcher: Path, tmp_path: Path) -> None:
    with ServerProcess("serve", {"NOT_READY": "1"}, tmp_path / "one", launcher=launcher) as server:
        server.wait_live()
        assert server.status_of("/health/ready") == 503


def test_one_that_ends_early_shows_its_log(launcher: Path, tmp_path: Path) -> None:
    with (
        ServerProcess("serve", {"FAIL": "1"}, tmp_path / "one", launcher=launcher) as server,
        pytest.raises(RuntimeError, match=r"(?s)serve ended with 1 before 200.*no such luck"),
    ):
        server.wait_live()


def test_the_three_kinds_start_as_people_start_them(tmp_path: Path) -> None:
    def words(server: ServerProcess) -> str:
        return " ".join(server.program).replace(str(server.port), "PORT")

    assert words(ServerProcess("serve", {}, tmp_path)) == "-m app serve --host 127.0.0.1 --port PORT"
    assert words(ServerProcess("uvicorn", {}, tmp_path)) == "-m uvicorn app.main:app --host 127.0.0.1 --port PORT"
    assert words(ServerProcess("worker", {}, tmp_path)) == "-m app worker"
    assert os.environ["PATH"] == ServerProcess("worker", {}, tmp_path).env["PATH"]
