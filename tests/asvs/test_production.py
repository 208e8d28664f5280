"""A server as it is in production: what it shows, what it logs, what it opens. One process for all of these tests."""

import http.client
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.api import PASSWORD
from tests.support.processes import free_port, wait_until
from tests.support.servers import ServerProcess
from tests.support.stacks import settings_env, sqlite_url

EVIL_AGENT = "evil %s%n {0.__class__} \"}{' forged"
LEVELS = {"debug", "info", "warning", "error"}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """On SQLite, with a Redis that isn't there."""
    folder = tmp_path_factory.mktemp("production")
    env = settings_env(
        sqlite_url(folder / "authkeep.db"),
        ENVIRONMENT="production",
        PUBLIC_URL="https://auth.example.com",
        LOG_LEVEL="INFO",
        BCRYPT_ROUNDS="10",
        MIGRATE_ON_START="true",
        WORKER_IN_SERVER="true",
        RATE_LIMIT_ENABLED="true",
        RATE_LIMIT_RESET_PASSWORD="2/hour",
        REDIS_URL=f"redis://127.0.0.1:{free_port()}",
    )
    with ServerProcess("serve", env, folder / "server") as server:
        yield server.wait_ready()


class Answer:
    """Status, headers, body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def ask(server: ServerProcess, method: str, path: str, body: object = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection.request(method, path, json.dumps(body) if body is not None else None, sent)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def lines_of(server: ServerProcess) -> list[dict[str, Any]]:
    """What it logged, all of it JSON."""
    return [json.loads(line) for line in (server.folder / "stderr").read_text().splitlines()]


def logged(server: ServerProcess, request_id: str) -> dict[str, Any]:
    """The access log's line of a request."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = [line for line in lines_of(server) if line.get("request_id") == request_id and line["event"] == "request"]
        return bool(found)

    wait_until(is_there, f"request {request_id} in the log")
    assert len(found) == 1
    return found[0]


@pytest.mark.asvs("V13.4.1")
@pytest.mark.parametrize(
    "path", ["/.git/HEAD", "/.git/config", "/.svn/entries", "/.hg/store", "/.env", "/.env.example", "/data/authkeep.db"]
)
def test_files_of_the_checkout_are_not_served(production: ServerProcess, path: str) -> None:
    assert ask(production, "GET", path).status == 404


@pytest.mark.asvs("V13.4.3")
@pytest.mark.parametrize(
    "path", ["/static", "/static/", "/static/docs/", "/static/../config.py", "/static/%2e%2e/config.py", "/docs/assets/"]
)
def test_folders_are_not_listed_nor_left(production: ServerProcess, path: str) -> None:
    assert ask(production, "GET", path).status == 404
    assert ask(production, "GET", "/static/authkeep.css").status == 200


@pytest.mark.asvs("V13.4.4")
@pytest.mark.parametrize("path", ["/", "/auth/me", "/users/", "/health/"])
def test_trace_is_not_answered(production: ServerProcess, path: str) -> None:
    answer = ask(production, "TRACE", path, X_Secret="echo me")
    assert answer.status == 405
    assert b"echo me" not in answer.body


@pytest.mark.asvs("V13.4.5", "V15.2.3")
@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/dev/mailbox", "/dev/mailbox.json", "/metrics", "/debug"])
def test_what_is_for_developers_is_closed(production: ServerProcess, path: str) -> None:
    assert ask(production, "GET", path).status == 404


@pytest.mark.asvs("V13.4.5")
def test_no_answer_names_the_software_or_its_version(production: ServerProcess) -> None:
    for path in ("/", "/health/", "/nowhere", "/auth/me"):
        answer = ask(production, "GET", path)
        assert "server" not in answer.headers
        assert not re.search(rb"[0-9]+\.[0-9]+\.[0-9]+|uvicorn|starlette|sqlite", answer.body.lower())


@pytest.mark.asvs("V3.4.1", "V3.4.4")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/", 200),
        ("GET", "/static/authkeep.css", 200),
        ("GET", "/account/reset-password", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/auth/me", 401),
        ("DELETE", "/auth/login", 405),
        ("POST", "/auth/login", 415),
    ],
)
def test_hsts_and_nosniff_are_on_every_answer(production: ServerProcess, method: str, path: str, status: int) -> None:
    answer = ask(production, method, path)
    assert answer.status == status
    age, _, more = answer.headers["strict-transport-security"].partition(";")
    assert int(age.removeprefix("max-age=")) >= 31536000
    assert more.strip() == "includeSubDomains"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.asvs("V13.4.2", "V16.5.1")
def test_debugging_is_off(production: ServerProcess) -> None:
    answer = ask(production, "POST", "/auth/register", {"username": ["x"], "email": {}, "password": 1})
    assert answer.status == 422
    assert b"Traceback" not in answer.body
    assert b"site-packages" not in answer.body
    started = (production.folder / "stdout").read_text()
    assert "/docs" not in started
    assert "/dev/mailbox" not in started


@pytest.mark.asvs("V16.2.3")
def test_nothing_is_written_or_opened_but_stderr_the_database_and_the_port(production: ServerProcess) -> None:
    process = psutil.Process(production.pid)
    folder = production.folder.parent
    written = {
        Path(file.path).name
        for each in [process, *process.children(recursive=True)]
        for file in each.open_files()
        if getattr(file, "mode", "r") != "r"
    }
    assert written <= {"stdout", "stderr", "authkeep.db", "authkeep.db-wal", "authkeep.db-shm"}
    assert "stderr" in written
    assert sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith("authkeep.db")) == [
        "stderr",
        "stdout",
    ]
    listening = [each.laddr.port for each in process.net_connections(kind="inet") if each.status == psutil.CONN_LISTEN]
    assert listening == [production.port]


@pytest.mark.asvs("V16.2.4")
def test_every_line_of_the_log_is_json_with_a_moment_a_level_and_an_event(production: ServerProcess) -> None:
    request_id = ask(production, "GET", "/health/").headers["x-request-id"]
    assert logged(production, request_id)["path"] == "/health/"
    for line in lines_of(production):
        assert line["level"] in LEVELS
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])
        assert line["event"]


@pytest.mark.asvs("V16.4.1", "V1.3.10", "V1.3.3")
def test_what_a_stranger_sends_makes_no_line_of_its_own(production: ServerProcess) -> None:
    body = {"username": '%s%n{0.__class__}"} {"event":"forged"', "password": PASSWORD}
    answer = ask(production, "POST", "/auth/login?x=%0d%0aforged", body, User_Agent=EVIL_AGENT)
    assert answer.status == 401
    line = logged(production, answer.headers["x-request-id"])
    assert line["path"] == "/auth/login"
    lost = ask(production, "GET", "/%0d%0aforged/%1b[31m/%25s")
    assert logged(production, lost.headers["x-request-id"])["path"] == "/*/*/*"
    assert ask(production, "GET", "/health/", User_Agent="evil\x1b[31m\x07").status == 400  # control characters end at the parser
    text = (production.folder / "stderr").read_text()
    assert "forged" not in text
    assert "\x1b" not in text


@pytest.mark.asvs("V14.2.1", "V16.2.5")
def test_queries_and_secrets_are_not_in_the_log(production: ServerProcess) -> None:
    canary = secrets.token_urlsafe(24)
    bearer = {"Authorization": f"Bearer {canary}"}
    answers = [
        ask(production, "GET", f"/account/reset-password?token={canary}"),
        ask(production, "GET", f"/{canary}?q={canary}"),
        ask(production, "GET", f"/users/{canary}", **bearer),
        ask(production, "GET", "/auth/me", **bearer, Cookie=f"authkeep-device={canary}"),
        ask(production, "POST", "/auth/login", {"username": f"a{canary}@example.com", "password": canary, "device": canary}),
        ask(production, "POST", "/auth/register", {"username": canary, "email": canary, "password": canary, canary: canary}),
        ask(production, "POST", "/auth/refresh", {"refresh_token": canary}),
        ask(production, "POST", "/auth/forgot-password", {"email": f"a{canary.lower()}@example.com"}),
    ]
    for answer in answers:
        logged(production, answer.headers["x-request-id"])
    text = production.logs()
    assert canary not in text
    assert canary.lower() not in text
    assert "example.com" not in text.replace("auth.example.com", "")
    # No part of the body that was refused comes back either; the page holds its own link's token, which its form needs.
    assert not [answer.status for answer in answers[1:] if canary.encode() in answer.body]


@pytest.mark.asvs("V14.2.1")
@pytest.mark.parametrize("name", ["access_token", "token", "bearer", "authorization"])
def test_a_token_in_the_query_signs_nobody_in(production: ServerProcess, name: str) -> None:
    token = _signed_in(production)
    assert ask(production, "GET", "/auth/me", Authorization=f"Bearer {token}").status == 200
    assert ask(production, "GET", f"/auth/me?{name}={token}").status == 401


def _signed_in(production: ServerProcess) -> str:
    name = f"user{secrets.token_hex(5)}"
    ask(production, "POST", "/auth/register", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})
    token: str = ask(production, "POST", "/auth/login", {"username": name, "password": PASSWORD}).json()["access_token"]
    return token


@pytest.mark.asvs("V16.3.3")
def test_tampered_tokens_and_limits_show_in_the_access_log(production: ServerProcess) -> None:
    token = _signed_in(production)
    tampered = ask(production, "GET", "/auth/me", Authorization=f"Bearer {token[:-4]}AAAA")
    assert tampered.status == 401
    line = logged(production, tampered.headers["x-request-id"])
    assert (line["status"], line["path"], line["address"]) == (401, "/auth/me", "127.0.0.1")
    last = [ask(production, "POST", "/auth/reset-password", {"token": "x" * 64, "new_password": PASSWORD}) for _ in range(3)][-1]
    assert last.status == 429
    assert int(last.headers["retry-after"]) > 0
    assert logged(production, last.headers["x-request-id"])["status"] == 429


@pytest.mark.asvs("V16.3.4", "V16.5.2")
def test_a_redis_that_is_away_is_warned_of_and_accepts_nobody(production: ServerProcess) -> None:
    production.wait_for_log("start.redis_unreachable")
    assert [line["level"] for line in lines_of(production) if line["event"] == "start.redis_unreachable"] == ["warning"]
    answer = ask(production, "GET", "/health/")
    assert answer.json()["status"] == "degraded"
    token = _signed_in(production)
    assert ask(production, "GET", "/auth/me", Authorization=f"Bearer {token}").status == 200
    assert ask(production, "POST", "/auth/logout", Authorization=f"Bearer {token}").status == 204
    assert ask(production, "GET", "/auth/me", Authorization=f"Bearer {token}").status == 401
