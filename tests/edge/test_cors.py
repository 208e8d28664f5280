"""CORS: the origins in CORS_ORIGINS and no other, on good answers, refusals and preflights alike."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.caller import PUBLIC
from tests.edge.test_slashes import fill, routes

GOOD = ("https://app.example.com", "http://localhost:3000")
EVIL = (
    "https://evil.example",
    "null",
    "",
    "*",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://sub.app.example.com",
    "https://xapp.example.com",
    "https://app.example.com/",
    "https://app.example.com@evil.example",
    "https://app.example.comx",
    "https://app_example.com",
    "HTTPS://APP.EXAMPLE.COM",
    "http://localhost",
    "http://localhost:30000",
    "http://127.0.0.1:3000",
    "https://app.example.com, https://evil.example",
    "file://",
)
pytestmark = pytest.mark.env(CORS_ORIGINS=" , ".join(GOOD), DOCS="on")
ALLOW = "access-control-allow-origin"


@pytest.mark.asvs("V3.4.2")
async def test_a_listed_origin_is_let_in_on_every_route_and_refusal(app: FastAPI, client: AsyncClient) -> None:
    for origin in GOOD:
        for method, path in [*routes(app), ("GET", "/nowhere"), ("PATCH", "/auth/me")]:
            answer = await client.request(method, fill(path), headers={"origin": origin})
            assert answer.headers.get(ALLOW) == origin, (method, path, answer.status_code)
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert "origin" in answer.headers["vary"].lower()


@pytest.mark.asvs("V3.4.2")
async def test_no_other_origin_is_let_in_anywhere(app: FastAPI, client: AsyncClient) -> None:
    for origin in EVIL:
        for method, path in (("GET", "/"), ("GET", "/auth/me"), ("POST", "/auth/login"), ("GET", "/nowhere"), ("GET", "/docs")):
            answer = await client.request(method, path, headers={"origin": origin})
            assert ALLOW not in answer.headers, (origin, path)
    for method, path in routes(app):
        answer = await client.request(method, fill(path), headers={"origin": "https://evil.example"})
        assert ALLOW not in answer.headers, path


@pytest.mark.asvs("V3.4.2", "V3.5.2")
async def test_a_preflight_of_another_origin_is_refused(client: AsyncClient) -> None:
    for origin in EVIL:
        headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        answer = await client.options("/auth/login", headers=headers)
        assert answer.status_code == 400, origin
        assert ALLOW not in answer.headers, origin


async def test_a_preflight_of_a_listed_origin_names_what_is_allowed(client: AsyncClient) -> None:
    for origin in GOOD:
        headers = {"origin": origin, "access-control-request-method": "PUT", "access-control-request-headers": "authorization"}
        answer = await client.options("/users/x/role", headers=headers)
        assert answer.status_code == 200
        assert answer.headers[ALLOW] == origin
        assert {"GET", "POST", "PUT", "PATCH", "DELETE"} == set(answer.headers["access-control-allow-methods"].split(", "))
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        refused = await client.options("/users/x/role", headers=headers | {"access-control-request-method": "TRACE"})
        assert refused.status_code == 400


async def test_a_crash_and_a_refusal_can_be_read_by_a_listed_origin(app: FastAPI, client: AsyncClient) -> None:
    async def crash() -> None:
        raise RuntimeError

    app.add_api_route("/test/crash", crash, dependencies=[PUBLIC])
    for path, status in (("/test/crash", 500), ("/auth/me", 401)):
        answer = await client.get(path, headers={"origin": GOOD[0]})
        assert answer.status_code == status
        assert answer.headers[ALLOW] == GOOD[0]
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert "retry-after" in exposed
        assert "x-request-id" in exposed
    app.state.server.problem = "not now"
    answer = await client.get("/auth/me", headers={"origin": GOOD[0]})
    assert (answer.status_code, answer.headers[ALLOW]) == (503, GOOD[0])
