"""METRICS_PORT, on servers that are processes: one port each, nothing but metrics on it, and no sign-in depends on it."""

import http.client
import socket
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.metrics.scrapes import TOKEN, Samples, samples_in, value
from tests.support.processes import free_port, wait_until
from tests.support.servers import ServerProcess

REQUESTS = {"method": "GET", "route": "none", "status": "4xx"}


def ask(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read().decode()


def scrape(port: int) -> Samples:
    status, _, text = ask(port)
    assert status == 200, text
    return samples_in(text)


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def two_ports() -> tuple[int, str]:
    """The first of two ports side by side that are free, and both as a setting."""
    while True:
        first = free_port()
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
        return first, f"{first}-{first + 1}"


def test_a_port_of_its_own_answers_scrapes_and_nothing_else(env: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with ServerProcess("serve", env | {"METRICS_PORT": str(port), "LOG_LEVEL": "INFO"}, tmp_path / "one") as server:
        server.wait_ready(60)
        for _ in range(3):
            assert server.status_of("/nowhere") == 404
        samples = scrape(port)
        assert value(samples, "authkeep_http_requests_total", **REQUESTS) == 3
        assert value(samples, "authkeep_stored_up") == 1
        assert value(samples, "process_open_fds") > 3
        _, headers, _ = ask(port)
        assert "server" not in headers
        assert headers["cache-control"] == "no-store"
        assert ask(port, Accept="application/openmetrics-text")[1]["content-type"].startswith("application/openmetrics-text")
        assert ask(port, method="HEAD")[0] == 200
        for path in ("/", "/health/", "/auth/me", "/metrics/x", "/docs", "/metrics/../auth/me"):
            assert ask(port, path)[0] == 404, path
        for method in ("POST", "DELETE", "PROPFIND"):
            assert ask(port, method=method)[0] == 405, method
        assert server.status_of("/metrics") == 404
        assert f'"port": {port}' in server.logs() or f"port={port}" in server.logs()
        bound = {each.laddr.ip for each in psutil.Process(server.pid).net_connections("tcp") if each.laddr.port == port}
        assert bound == {"127.0.0.1"}
        assert server.terminate(30) == 0
        assert "Traceback" not in server.logs()
        assert not listens(port)


def test_where_there_is_a_token_the_port_asks_for_it_too(env: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with ServerProcess("serve", env | {"METRICS_PORT": str(port), "METRICS_TOKEN": TOKEN}, tmp_path / "one") as server:
        server.wait_ready(60)
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
            status, answered, text = ask(port, **headers)
            assert (status, answered["www-authenticate"]) == (401, "Bearer")
            assert "authkeep_" not in text
        assert ask(port, Authorization=f"Bearer {TOKEN}")[0] == 200
        assert TOKEN not in server.logs()


@pytest.mark.promise("P5")
def test_a_port_that_is_taken_is_said_and_costs_nobody_the_sign_in(env: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    server = ServerProcess("serve", env | {"METRICS_PORT": str(port)}, tmp_path / "one")
    with closing(socket.create_server(("127.0.0.1", port))), server:
        server.wait_ready(60)
        (line,) = [line for line in server.logs().splitlines() if "metrics.no_port" in line]
        assert str(port) in line
        assert server.status_of("/auth/me") == 401


def test_a_host_that_is_not_of_this_machine_is_said_and_costs_nobody_the_sign_in(env: dict[str, str], tmp_path: Path) -> None:
    more = {"METRICS_PORT": str(free_port()), "METRICS_HOST": "192.0.2.1"}
    with ServerProcess("serve", env | more, tmp_path / "one") as server:
        server.wait_ready(60)
        assert "metrics.no_port" in server.logs()


def test_each_of_two_workers_takes_a_port_and_counts_for_itself(env: dict[str, str], tmp_path: Path) -> None:
    first, ports = two_ports()
    with ServerProcess("serve", env | {"METRICS_PORT": ports}, tmp_path / "two", arguments=("--workers", "2")) as server:
        server.wait_ready(60)
        wait_until(lambda: listens(first) and listens(first + 1), "both ports", 60)
        asked = 12
        for _ in range(asked):
            assert server.status_of("/nowhere") == 404
        counted = 0.0
        for port in (first, first + 1):
            samples = scrape(port)
            counted += samples.get(("authkeep_http_requests_total", frozenset(REQUESTS.items())), 0)
        assert counted == asked
        assert "metrics.no_port" not in server.logs()
        assert server.terminate(30) == 0


@pytest.mark.parametrize("more", [{"METRICS_PORT": "9464"}, {"METRICS_TOKEN": TOKEN}], ids=["one port", "a token"])
def test_workers_that_would_answer_for_each_other_do_not_start(env: dict[str, str], tmp_path: Path, more: dict[str, str]) -> None:
    with ServerProcess("serve", env | more, tmp_path / "two", arguments=("--workers", "2")) as server:
        assert server.wait_exit(60) == 2
        assert server.logs() == "authkeep: METRICS_PORT: 2 workers need 2 ports, one each, such as 9464-9465\n"


def test_a_port_that_people_are_served_on_is_refused(env: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with ServerProcess("serve", env | {"METRICS_PORT": f"{port - 1}-{port}"}, tmp_path / "one", port=port) as server:
        assert server.wait_exit(60) == 2
        assert server.logs() == "authkeep: METRICS_PORT: holds the port to serve on\n"


def test_a_worker_apart_has_its_own(env: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with ServerProcess("worker", env | {"METRICS_PORT": str(port)}, tmp_path / "worker") as worker:
        worker.wait_for_log("Working.", 60)
        wait_until(lambda: listens(port), "its port", 20)
        samples = scrape(port)
        assert value(samples, "authkeep_stored_up") == 1
        assert not [name for name, _ in samples if name.startswith("authkeep_http_requests")]
        assert worker.terminate(30) == 0
