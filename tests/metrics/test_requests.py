"""Requests in the metrics: each is counted once, by method, template and status; nothing that was sent becomes a label."""

import asyncio
import secrets
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient

from app.core.edge import METHODS
from app.core.latency import Latency
from app.core.server import Server
from tests.metrics.scrapes import TOKEN, Samples, scrape, value
from tests.support import api

pytestmark = pytest.mark.env(METRICS_TOKEN=TOKEN)
CANARY = "canary7f3a"
REQUESTS, DURATION = "authkeep_http_requests_total", "authkeep_http_request_duration_seconds"
HOSTILE_PATHS = [
    f"/{CANARY}",
    f"/users/{CANARY}",
    f"/users/{CANARY}@example.com",
    f"/auth/verify/{CANARY}",
    f"/auth/verify/envoy/{CANARY}",
    f"/static/{CANARY}",
    f"/docs/assets/{CANARY}",
    f'/"{CANARY}"',
    f"/\n{CANARY}\r\n# TYPE {CANARY} counter",
    f"/{{{CANARY}}}",
    f"/\x00{CANARY}",
    f"/\ud800{CANARY}",
    f"/{CANARY}\u2028",
    f"//{CANARY}//",
    "/" + CANARY * 5_000,
    f"/metrics/{CANARY}",
]
HOSTILE_METHODS = [CANARY, CANARY.upper(), "get", "GET\n", f'GET",route="{CANARY}', "", "TRACE", "CONNECT", "PROPFIND", "Ж" * 100]


async def send(app: FastAPI, method: str, path: str, query: str = "") -> int:
    """One request past everything that a client would mend; the status."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"user-agent", CANARY.encode())],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def keep(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, keep)
    return statuses[0]


def requests_in(samples: Samples) -> dict[tuple[str, str, str], float]:
    """How many requests of each kind there were, but for those that ask for this."""
    found: dict[tuple[str, str, str], float] = {}
    for (name, labels), number in samples.items():
        if name == REQUESTS:
            of = dict(labels)
            found[of["method"], of["route"], of["status"]] = number
    return {kind: number for kind, number in found.items() if kind[1] != "/metrics"}


async def test_each_request_is_counted_once_with_what_answered_it(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    boss = await api.new_admin(app, client)
    before = requests_in(await scrape(client))
    await client.get("/auth/me", headers=user.headers)  # a lane in front of CORS
    await client.get("/auth/me", headers=user.headers | {"Origin": "https://app.example.com"})  # one behind it
    await client.get("/auth/me")
    await client.head("/auth/me", headers=user.headers)
    await client.get("/auth/verify", headers=user.headers)
    await client.put("/auth/verify/some/path", headers=user.headers)
    await client.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]})
    await client.post("/auth/login", json={"username": user.username, "password": "no, not this one"})
    await client.post("/auth/login", json={})
    await client.get(f"/users/{user.id}", headers=boss.headers)
    await client.get(f"/users/{user.id}/", headers=user.headers)
    await client.get("/nowhere/at/all")
    await client.head("/health/live")
    await client.options("/auth/login", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
    await client.get("/audit/export", headers=boss.headers)
    samples = await scrape(client)
    after = requests_in(samples)
    assert {kind: number - before.get(kind, 0) for kind, number in after.items() if number != before.get(kind, 0)} == {
        ("GET", "/auth/me", "2xx"): 2,
        ("GET", "/auth/me", "4xx"): 1,
        ("HEAD", "/auth/me", "2xx"): 1,
        ("GET", "/auth/verify", "2xx"): 1,
        ("PUT", "/auth/verify", "2xx"): 1,
        ("POST", "/auth/refresh", "2xx"): 1,
        ("POST", "/auth/login", "4xx"): 2,
        ("GET", "/users/{user_id}", "2xx"): 1,
        ("GET", "/users/{user_id}", "4xx"): 1,
        ("GET", "none", "4xx"): 1,
        ("HEAD", "/health/live", "2xx"): 1,
        ("OPTIONS", "none", "4xx"): 1,
        ("GET", "/audit/export", "2xx"): 1,
    }
    streamed = {"method": "GET", "route": "/audit/export", "status": "2xx"}
    assert value(samples, f"{DURATION}_count", **streamed) == 0  # it takes as long as its reader


async def test_a_histogram_counts_what_the_counter_counts_and_each_bucket_holds_the_ones_below(
    client: AsyncClient, server: Server
) -> None:
    for ms in (0.4, 1.0, 1.1, 40.0, 3_000.0, 9_000.0):
        server.latency.add(ms, "GET", "/made/{up}", 200)
    samples = await scrape(client)
    of = {"method": "GET", "route": "/made/{up}", "status": "2xx"}
    assert value(samples, REQUESTS, **of) == value(samples, f"{DURATION}_count", **of) == 6
    assert value(samples, f"{DURATION}_sum", **of) == pytest.approx(12.0425)
    within = {"0.001": 2, "0.002": 3, "0.02": 3, "0.05": 4, "2.0": 4, "5.0": 5, "+Inf": 6}
    assert {le: value(samples, f"{DURATION}_bucket", le=le, **of) for le in within} == within


async def test_what_is_sent_is_no_label_and_makes_no_series(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    for path in HOSTILE_PATHS:
        await send(app, "GET", path, query=f"token={CANARY}")
    for method in HOSTILE_METHODS:
        await send(app, method, "/auth/me")
        await send(app, method, "/nowhere")
    await client.post("/auth/login", json={"username": CANARY, "password": CANARY})
    await client.post("/auth/register", json={"username": CANARY, "email": f"{CANARY}@example.com", "password": CANARY})
    text = (await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text
    for secret in (CANARY, CANARY.upper(), user.id, user.username, user.email, user.tokens["access_token"], "127.0.0.1"):
        assert secret not in text
    kinds = requests_in(await scrape(client))
    templates = {str(context.path) for context in iter_route_contexts(app.routes)} | {"none"}
    assert {route for _, route, _ in kinds} <= templates
    assert {method for method, _, _ in kinds} <= METHODS | {"?"}
    assert {status for _, _, status in kinds} <= {"2xx", "3xx", "4xx", "5xx"}
    assert ("?", "none", "4xx") in kinds
    series = len(kinds)
    await asyncio.gather(*(send(app, secrets.token_hex(3).upper(), f"/{secrets.token_hex(8)}") for _ in range(200)))
    await asyncio.gather(*(client.get(f"/users/{secrets.token_hex(8)}") for _ in range(50)))
    assert len(requests_in(await scrape(client))) == series


async def test_a_request_that_gets_no_answer_is_counted_as_such(app: FastAPI, client: AsyncClient, server: Server) -> None:
    server.latency.add(3, "GET", None, 0)
    assert requests_in(await scrape(client))["GET", "none", "none"] == 1


def test_those_that_are_taken_for_the_overview_stay_in_the_metrics() -> None:
    latency = Latency()
    latency.add(1, "GET", "/", 200)
    latency.add(2, "POST", None, 404)
    taken = latency.take()
    assert sum(taken) == 2
    assert sum(latency.take()) == 0
    latency.add(2, "GET", "/", 200)
    latency.give_back(taken)
    assert sum(latency.take()) == 3
    assert {kind: sum(answered.counts) for kind, answered in latency.answered.items()} == {
        ("GET", "/", 2): 2,
        ("POST", None, 4): 1,
    }
