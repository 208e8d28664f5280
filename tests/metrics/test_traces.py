"""Traces: sent to a real collector where one is named, and to none otherwise; nothing that was sent to us is in them."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from httpx2 import AsyncClient
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from sqlalchemy.exc import OperationalError

from app.auth import service
from app.config import load_settings
from app.main import Application, create_app
from tests.metrics.collector import Collector, attributes_of
from tests.metrics.test_requests import CANARY, HOSTILE_METHODS, HOSTILE_PATHS, send
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.servers import ServerProcess

WITHOUT_SDK = Path(__file__).with_name("without_sdk.py")
WITH_A_PROVIDER = Path(__file__).with_name("with_a_provider.py")
OF_REQUESTS = {
    "http.request.method",
    "http.request.method_original",
    "http.response.status_code",
    "http.route",
    "error.type",
    "network.protocol.version",
    "url.path",  # always empty
    "url.scheme",
}
OF_OPERATIONS = {"code.function.name", "error.type"}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector().taking() as collector:
        yield collector


@asynccontextmanager
async def traced(env: dict[str, str], collector: Collector, **more: str) -> AsyncIterator[tuple[Application, AsyncClient]]:
    """The app and a client; at its end all spans have been sent."""
    settings = load_settings(env | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint} | more, env_file=None)
    async with running(create_app(settings)) as app, client_of(app) as client:
        assert isinstance(app, Application)
        yield app, client


def requests_in(collector: Collector) -> list[Span]:
    return [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]


def told_of(span: Span) -> tuple[str, str | None, int | None]:
    of = attributes_of(span)
    return span.name, of.get("http.route"), of.get("http.response.status_code")


async def test_each_request_is_a_span_that_its_route_names_whatever_answered_it(
    env: dict[str, str], collector: Collector
) -> None:
    async with traced(env, collector) as (_, client):
        user = await api.new_user(client)
        await client.get("/auth/me", headers=user.headers)  # a lane in front of CORS
        await client.get("/auth/me", headers=user.headers | {"Origin": "https://app.example.com"})  # one behind it
        await client.get("/auth/verify/x")
        await client.get(f"/users/{user.id}", headers=user.headers)
        await client.head("/health/live")
        await client.get("/nowhere")
    assert [told_of(span) for span in requests_in(collector)] == [
        ("POST /auth/register", "/auth/register", 201),
        ("POST /auth/login", "/auth/login", 200),
        ("GET /auth/me", "/auth/me", 200),
        ("GET /auth/me", "/auth/me", 200),
        ("GET /auth/verify", "/auth/verify", 401),
        ("GET /users/{user_id}", "/users/{user_id}", 403),
        ("HEAD /health/live", "/health/live", 200),
        ("GET", None, 404),
    ]
    registered = requests_in(collector)[0]
    operations = [span for span in collector.spans if span.parent_span_id == registered.span_id]
    assert {span.name for span in operations} >= {"fastapi.dependencies", "fastapi.endpoint"}
    assert collector.paths == {"/v1/traces"}
    assert collector.services == {"authkeep"}


@pytest.mark.asvs("V16.2.5")
async def test_nothing_that_was_sent_is_in_any_byte_that_the_collector_gets(
    env: dict[str, str], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(env, collector, TRUSTED_PROXIES="127.0.0.1", MAGIC_LINK="true") as (app, client):
        user = await api.new_user(client)
        boss = await api.new_admin(app, client)
        told = {"User-Agent": CANARY, "X-Forwarded-For": "203.0.113.77", "Host": f"{CANARY}.example.com", "Cookie": f"a={CANARY}"}
        told |= {"Baggage": f"user={CANARY}", "Tracestate": f"a={CANARY}", "Traceparent": PARENT, "Referer": f"http://{CANARY}/"}
        client.headers.update(told)
        for path in ("/account/reset-password", "/account/verify", "/account/magic-link", "/auth/me", "/nowhere"):
            await client.get(path, params={"token": CANARY, "email": f"{CANARY}@example.com"})
        await client.get("/users/", params={"q": user.email}, headers=boss.headers)
        await client.get(f"/users/{user.id}", headers=boss.headers)
        await client.get("/users/no-id", params={"q": CANARY}, headers=boss.headers)
        await client.post("/auth/login", json={"username": user.username, "password": f"wrong {CANARY}"})
        await client.post("/auth/login", json={"username": user.username, CANARY: CANARY})
        await client.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]})
        await client.post("/auth/reset-password", json={"token": CANARY, "new_password": CANARY})
        for path in HOSTILE_PATHS:
            await send(app, "GET", path, query=f"token={CANARY}")
        for method in HOSTILE_METHODS:
            await send(app, method, "/auth/me")

        async def crash(*_: object, **__: object) -> None:
            raise LookupError(f"crashed on {CANARY}")

        async def fail(*_: object, **__: object) -> None:
            raise OperationalError(f"SELECT '{CANARY}'", {CANARY: CANARY}, Exception(CANARY))

        for broken in (crash, fail):
            with monkeypatch.context() as patched:
                patched.setattr(service, "log_in", broken)
                answer = await client.post("/auth/login", json={"username": user.username, "password": CANARY})
                assert answer.status_code >= 500
                cookies = {"username": user.username, "password": CANARY, "transport": "cookie"}
                assert (await client.post("/auth/login", json=cookies)).status_code >= 403
    spans = collector.spans
    assert len(requests_in(collector)) > 40
    secrets = [CANARY, CANARY.upper(), user.id, user.username, user.email, api.PASSWORD, "203.0.113.77", "127.0.0.1"]
    secrets += [str(token) for token in user.tokens.values() if isinstance(token, str) and len(token) > 8]
    for body in collector.bodies:
        for secret in secrets:
            assert secret.encode() not in body, secret
    for span in spans:
        of = attributes_of(span)
        assert set(of) <= (OF_REQUESTS if span.kind == Span.SPAN_KIND_SERVER else OF_OPERATIONS), of
        assert of.get("url.path", "") == ""
        assert of.get("http.request.method_original", "?") == "?"
        assert (len(span.events), len(span.links), span.trace_state) == (0, 0, "")
    failed = [attributes_of(span) for span in requests_in(collector) if attributes_of(span).get("error.type")]
    assert failed


async def test_what_fastapi_sends_by_itself_is_what_the_test_above_finds(collector: Collector) -> None:
    """The control: its own telemetry, shown the whole request."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{collector.endpoint}/v1/traces")))
    app = FastAPI(telemetry={"tracer_provider": provider, "metrics": False, "logs": False})

    @app.get("/x")
    async def x(_request: Request) -> None: ...

    async with client_of(app) as client:
        await client.get("/x", params={"token": CANARY})
    await asyncio.to_thread(provider.shutdown)
    assert CANARY.encode() in b"".join(collector.bodies)


async def test_what_is_no_request_is_not_traced(env: dict[str, str], collector: Collector) -> None:
    async with traced(env, collector) as (app, client):
        said: list[str] = []
        scope = {
            "type": "websocket",
            "path": f"/{CANARY}",
            "raw_path": b"",
            "query_string": f"token={CANARY}".encode(),
            "root_path": "",
            "headers": [(b"host", f"{CANARY}.example.com".encode())],
            "subprotocols": [],
        }

        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def keep(message: Any) -> None:
            said.append(message["type"])

        await app(scope, receive, keep)
        assert said == ["websocket.close"]
        await client.get("/health/live")
    assert [span.name for span in requests_in(collector)] == ["GET /health/live"]
    assert CANARY.encode() not in b"".join(collector.bodies)


@pytest.mark.parametrize(("trusted", "goes_on"), [("127.0.0.1", True), ("", False), ("10.0.0.0/8", False)])
async def test_a_trace_goes_on_where_a_trusted_proxy_says_so_and_nowhere_else(
    env: dict[str, str], collector: Collector, trusted: str, goes_on: bool
) -> None:
    async with traced(env, collector, TRUSTED_PROXIES=trusted) as (_, client):
        await client.get("/health/live", headers={"Traceparent": PARENT})
    (span,) = requests_in(collector)
    assert (span.trace_id.hex() == PARENT.split("-")[1]) is goes_on
    assert (span.parent_span_id.hex() == PARENT.split("-")[2]) is goes_on


@pytest.mark.parametrize("garbage", ["00-0-0-01", "\x00", "00-" + "f" * 9_000, f"00-{'g' * 32}-{'0' * 16}-01"])
async def test_garbage_in_the_place_of_a_trace_begins_a_new_one(env: dict[str, str], collector: Collector, garbage: str) -> None:
    async with traced(env, collector, TRUSTED_PROXIES="127.0.0.1") as (_, client):
        assert (await client.get("/health/live", headers={"Traceparent": garbage})).status_code == 200
    (span,) = requests_in(collector)
    assert span.parent_span_id == b""


def test_without_our_setting_nothing_is_traced_whatever_else_is_set_up(
    env: dict[str, str], collector: Collector, tmp_path: Path
) -> None:
    more = {"COLLECTOR": f"{collector.endpoint}/v1/traces", "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    with ServerProcess("serve", env | more, tmp_path / "one", launcher=WITH_A_PROVIDER) as server:
        server.wait_ready(60)
        for path in ("/auth/me", f"/account/reset-password?token={CANARY}", "/nowhere"):
            assert server.status_of(path) is not None
        assert server.terminate(30) == 0
    assert {span.name for span in collector.spans} == {"somebody else's"}


async def test_the_whole_address_for_traces_counts_before_the_base(env: dict[str, str], collector: Collector) -> None:
    more = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.endpoint}/in/here",
    }
    async with traced(env, collector, **more) as (_, client):
        await client.get("/health/live")
    assert collector.paths == {"/in/here"}


@pytest.mark.promise("P5")
def test_a_collector_that_is_silent_costs_no_request_and_no_end(env: dict[str, str], tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with ServerProcess(
            "serve", env | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}, tmp_path / "one"
        ) as server:
            server.wait_ready(60)
            for _ in range(200):
                assert server.status_of("/auth/me") == 401
            began = time.monotonic()
            assert server.terminate(30) == 0
            assert time.monotonic() - began < 15
            assert "Traceback" not in server.logs()


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_collector_without_the_sdk_is_said_in_one_line(env: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    with ServerProcess("serve", env | more, tmp_path / "one", launcher=WITHOUT_SDK, arguments=arguments) as server:
        assert server.wait_exit(60) == 2
        said = "OpenTelemetry is not installed; `pip install -r requirements-otel.txt`"
        assert server.logs() == f"authkeep: OTEL_EXPORTER_OTLP_ENDPOINT: {said}\n"


def test_the_rest_starts_without_the_sdk(env: dict[str, str], tmp_path: Path) -> None:
    with ServerProcess("serve", env, tmp_path / "one", launcher=WITHOUT_SDK) as server:
        server.wait_ready(60)
