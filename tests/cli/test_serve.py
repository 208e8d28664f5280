"""serve: settings looked at before anything is forked, no banner, and exit 0 after SIGTERM with one worker and with two."""

import http.client
import os
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.servers import Kind, ServerProcess


def get(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.asvs("V13.4.4")
@pytest.mark.parametrize("workers", [1, 2])
async def test_it_serves_without_a_banner_and_exits_0_after_sigterm(env: dict[str, str], tmp_path: Path, workers: int) -> None:
    with ServerProcess("serve", env, tmp_path / "server", arguments=("--workers", str(workers))) as server:
        server.wait_ready(60)
        for path, status in (("/health/", 200), ("/auth/me", 401), ("/nowhere", 404), ("/", 200)):
            found, headers, _ = get(server.port, path)
            assert found == status
            assert "server" not in headers
            assert "x-powered-by" not in headers
        shown = server.logs()
        assert f"http://localhost:{server.port}/docs" in shown
        assert f"http://localhost:{server.port}/health/" in shown
        for name in ("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET"):
            assert env[name] not in shown
        assert server.terminate(30) == 0
        assert "Traceback" not in server.logs()


@pytest.mark.parametrize("workers", [1, 2])
async def test_bad_settings_end_it_with_2_before_anything_is_forked(tmp_path: Path, workers: int) -> None:
    env = {"SECRET_KEY": "hunter2", "PASSWORD_RESET_TOKEN_SECRET": "hunter3"}
    with ServerProcess("serve", env, tmp_path / "server", arguments=("--workers", str(workers))) as server:
        assert server.wait_exit(60) == 2
        said = server.logs()
    assert len(said.splitlines()) == 1, said
    assert said.startswith("authkeep: SECRET_KEY")
    assert "hunter" not in said


@pytest.mark.parametrize("kind", ["uvicorn"])
async def test_plain_uvicorn_does_not_start_on_bad_settings_either(tmp_path: Path, kind: Kind) -> None:
    with ServerProcess(kind, {"SECRET_KEY": "hunter2", "PASSWORD_RESET_TOKEN_SECRET": "x"}, tmp_path / "server") as server:
        assert server.wait_exit(60) != 0
        said = server.logs()
    assert "authkeep: SECRET_KEY" in said
    assert "hunter2" not in said
    assert "Traceback" not in said


async def test_a_port_in_use_is_said_and_not_served(env: dict[str, str], tmp_path: Path) -> None:
    with ServerProcess("serve", env, tmp_path / "one") as one:
        one.wait_ready(60)
        with ServerProcess("serve", env, tmp_path / "two", port=one.port) as two:
            assert two.wait_exit(60) != 0
            assert "Traceback" not in two.logs()
            assert os.strerror(98).lower() in two.logs().lower()
        assert one.running
