"""Real servers, started in both ways: whose address counts, what the access log says, what uvicorn adds."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx2
import pytest

from tests.support.api import PASSWORD
from tests.support.processes import wait_until
from tests.support.servers import Kind, ServerProcess

CANARY = "canary7f3a"
LIMITED = {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_LOGIN": "3/minute", "LOG_LEVEL": "INFO"}
STARTS: list[tuple[Kind, tuple[str, ...]]] = [("serve", ()), ("uvicorn", ()), ("uvicorn", ("--workers", "2"))]
_numbers = count(1)


def fresh_address() -> str:
    number = next(_numbers)
    return f"8.{number // 250}.{number % 250}.7"


def try_login(server: ServerProcess, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx2.Client(base_url=server.base_url) as client:
        body = {"username": "nobody" + fresh_address().replace(".", ""), "password": PASSWORD}
        return client.post(f"/auth/login?token={CANARY}", json=body, headers=given).status_code


@pytest.fixture(params=STARTS, ids=lambda start: " ".join([start[0], *start[1]]))
def started(request: pytest.FixtureRequest, env: dict[str, str], tmp_path: Path) -> Iterator[ServerProcess]:
    """A server in one of the ways there are, limited, trusting nobody."""
    kind, arguments = request.param
    with ServerProcess(kind, env | LIMITED, tmp_path / "server", arguments=arguments) as server:
        yield server.wait_ready()


FORGERIES = ["{0}", "{0}:99", "{0}, {0}", "[::ffff:{0}]:99", "127.0.0.1, {0}", "{0}, 127.0.0.1", "2001:db8::{1}"]


@pytest.mark.asvs("V4.1.3", "V15.3.4", "V2.4.1", "V14.2.1", "V16.2.5")
def test_a_forged_address_gets_round_no_limit_and_no_query_is_logged(started: ServerProcess) -> None:
    statuses = []
    for forgery in FORGERIES * 2:
        address = fresh_address()
        forged = forgery.format(address, address.split(".")[2])
        statuses.append(try_login(started, X_Forwarded_For=forged, X_Real_IP=address, Forwarded=f"for={address}"))
    shared = "REDIS_URL" in started.env or "--workers" not in started.program  # else each process counts for itself
    assert statuses.count(401) == 3 if shared else 3 <= statuses.count(401) <= 6, statuses
    assert set(statuses) == {401, 429}

    def ours() -> list[str]:
        return [line for line in started.logs().splitlines() if "authkeep.access" in line and "/auth/login" in line]

    wait_until(lambda: len(ours()) == len(statuses), "an access line for each request")  # written after the answer
    assert all("address=127.0.0.1" in line for line in ours())
    assert CANARY not in started.logs()
    assert "token=" not in started.logs()
    assert '"POST /auth/login' not in started.logs()  # uvicorn's own way of saying it
    with httpx2.Client(base_url=started.base_url) as client:
        answer = client.get("/nowhere")
    assert answer.headers["x-content-type-options"] == "nosniff"
    if started.kind == "serve":
        assert "server" not in answer.headers


@pytest.mark.asvs("V15.3.4")
@pytest.mark.parametrize("kind", ["serve", "uvicorn"])
def test_behind_a_trusted_proxy_each_client_has_its_own_limit(kind: Kind, env: dict[str, str], tmp_path: Path) -> None:
    settings = env | LIMITED | {"TRUSTED_PROXIES": "127.0.0.1"}
    with ServerProcess(kind, settings, tmp_path / "server") as server:
        server.wait_ready()
        for _ in range(2):
            address = fresh_address()
            statuses = [try_login(server, X_Forwarded_For=f"{fresh_address()}, {address}:99") for _ in range(4)]
            assert statuses == [401, 401, 401, 429]
            assert f"address={address}" in server.logs()
        assert try_login(server) == 401  # the proxy's own


@pytest.mark.asvs("V16.2.4", "V13.4.2", "V13.4.5", "V15.2.3")
def test_in_production_the_log_is_json_and_nothing_for_developers_answers(env: dict[str, str], tmp_path: Path) -> None:
    production = {"ENVIRONMENT": "production", "BCRYPT_ROUNDS": "10", "PUBLIC_URL": "https://auth.example.com"}
    settings = {name: value for name, value in env.items() if not name.startswith(("SMTP_", "EMAIL_"))} | production
    with ServerProcess("serve", settings | {"LOG_LEVEL": "INFO"}, tmp_path / "server") as server:
        server.wait_ready()
        closed = ["/docs", "/redoc", "/openapi.json", "/docs/assets/docs.css", "/metrics", "/debug"]
        closed += ["/dev/mailbox", "/dev/mailbox.json"]
        assert {path: server.status_of(path) for path in closed} == dict.fromkeys(closed, 404)
        assert server.terminate() == 0
        written = (server.folder / "stderr").read_text().splitlines()
    entries = [json.loads(line) for line in written]
    assert len(entries) > len(closed)
    for entry in entries:
        assert {"event", "level", "logger", "timestamp"} <= set(entry)
        assert entry["timestamp"].endswith("Z")
