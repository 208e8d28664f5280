"""Security headers on every answer there is; HSTS only over https; no-store on whatever holds a token or a person."""

from collections.abc import Mapping

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.core.caller import PUBLIC
from app.core.server import Server
from tests.edge.test_slashes import fill, routes
from tests.support import api

HSTS = "strict-transport-security"


def missing(headers: Mapping[str, str]) -> list[str]:
    """What a secure answer would have and this has not."""
    wanted = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY"}
    found = [name for name, value in wanted.items() if headers.get(name) != value]
    policy = headers.get("content-security-policy", "")
    found += [part for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'") if part not in policy]
    if "unsafe" in policy or "*" in policy:
        found.append("a strict policy")
    return [*found, *(name for name in ("cache-control", "x-request-id", "permissions-policy") if name not in headers)]


async def answers(app: FastAPI, client: AsyncClient) -> list[tuple[str, Response]]:
    """Answers of every route, signed in and not, and of every way to be refused."""
    admin = await api.new_admin(app, client)
    found: list[tuple[str, Response]] = []
    for method, path in routes(app):
        url = fill(path)
        found.append((f"{method} {path}", await client.request(method, url)))
        if path not in {"/auth/logout", "/auth/logout-all"}:
            found.append((f"{method} {path} as admin", await client.request(method, url, headers=admin.headers)))
        found.append((f"HEAD {path}", await client.request("HEAD", url)))
        found.append((f"PATCH {path}", await client.request("PATCH", url)))
        preflight = {"origin": "https://app.example.com", "access-control-request-method": method}
        found.append((f"preflight {path}", await client.options(url, headers=preflight)))
        found.append(
            (f"evil preflight {path}", await client.options(url, headers=preflight | {"origin": "https://evil.example"}))
        )
    typed = {"content-type": "application/json"}
    found.append(("404", await client.get("/nowhere")))
    found.append(("413", await client.post("/auth/register", content=b"x" * 70_000, headers=typed)))
    found.append(("415", await client.post("/auth/register", content=b"x", headers={"content-type": "text/plain"})))
    found.append(("422", await client.post("/auth/register", content=b"x", headers=typed)))

    async def crash() -> None:
        raise RuntimeError

    app.add_api_route("/test/crash", crash, dependencies=[PUBLIC])
    found.append(("500", await client.get("/test/crash")))
    server: Server = app.state.server
    server.problem = "not now"
    found.append(("503", await client.get("/auth/me")))
    return found


@pytest.mark.asvs("V3.2.1", "V3.4.3", "V3.4.4", "V3.4.5", "V3.4.6")
@pytest.mark.env(DOCS="on", CORS_ORIGINS="https://app.example.com")
async def test_every_answer_has_the_security_headers(app: FastAPI, client: AsyncClient) -> None:
    found = await answers(app, client)
    assert {answer.status_code for _, answer in found} >= {200, 400, 401, 404, 405, 413, 415, 422, 500, 503}
    lacking = [(what, answer.status_code, missing(answer.headers)) for what, answer in found if missing(answer.headers)]
    assert lacking == []
    assert not [what for what, answer in found if HSTS in answer.headers]
    assert not [what for what, answer in found if "server" in answer.headers or "x-powered-by" in answer.headers]


@pytest.mark.asvs("V3.4.1")
@pytest.mark.env(DOCS="on", PUBLIC_URL="https://auth.example.com", CORS_ORIGINS="https://app.example.com")
async def test_hsts_is_on_every_answer_when_the_public_url_is_https(app: FastAPI, client: AsyncClient) -> None:
    for what, answer in await answers(app, client):
        assert HSTS in answer.headers, what
        directives = answer.headers[HSTS].split("; ")
        assert "includeSubDomains" in directives
        assert int(directives[0].removeprefix("max-age=")) >= 31_536_000


@pytest.mark.asvs("V14.2.2", "V14.3.2")
async def test_nothing_with_a_token_or_a_person_is_kept(app: FastAPI, client: AsyncClient) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)
    tokens = await api.login(client, user.username)
    login = {"username": user.username, "password": user.password}
    name = api.new_username()
    new = {"username": name, "email": f"{name}@example.com", "password": api.PASSWORD}
    change = {"current_password": user.password, "new_password": f"{api.PASSWORD}2"}
    for answer in (
        await client.post("/auth/register", json=new),
        await client.post("/auth/login", json=login),
        await client.post("/auth/login", data=login),
        await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}),
        await client.get("/auth/me", headers=user.headers),
        await client.get("/auth/sessions", headers=user.headers),
        await client.get("/users/", headers=admin.headers),
        await client.get(f"/users/{user.id}", headers=admin.headers),
        await client.get("/account/reset-password?token=x"),
        await client.post("/auth/change-password", json=change, headers=user.headers),
    ):
        assert answer.status_code in {200, 201}, answer.text
        assert answer.headers["cache-control"] == "no-store", answer.request.url


async def test_only_our_own_files_may_be_kept(app: FastAPI, client: AsyncClient) -> None:
    kept = []
    for method, path in routes(app):
        answer = await client.request(method, fill(path))
        if "no-store" not in answer.headers["cache-control"]:
            kept.append(path)
    assert set(kept) == {"/static/{name}", "/docs/assets/{file}"}


@pytest.mark.asvs("V4.1.1")
async def test_every_body_says_what_it_is(app: FastAPI, client: AsyncClient) -> None:
    admin = await api.new_admin(app, client)
    for method, path in routes(app):
        if path in {"/auth/logout", "/auth/logout-all"}:
            continue
        answer = await client.request(method, fill(path), headers=admin.headers)
        content_type = answer.headers.get("content-type", "")
        if answer.content:
            text = content_type.startswith("text/")
            assert content_type.endswith("charset=utf-8") if text else content_type.startswith(("application/", "image/")), path
        if answer.status_code >= 400 and method != "HEAD" and not path.startswith("/account/"):
            assert content_type == "application/problem+json", path


async def test_every_request_has_an_id_of_ours(client: AsyncClient) -> None:
    given = {"x-request-id": "mine"}
    ids = [(await client.get(path, headers=given)).headers["x-request-id"] for path in ("/", "/nowhere", "/health/live", "/")]
    assert len(set(ids)) == 4
    assert "mine" not in ids


@pytest.mark.asvs("V3.4.2")
async def test_without_cors_origins_no_origin_is_let_in(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for origin in ("https://app.example.com", "null", "*", "http://localhost:8000", "https://evil.example"):
        answer = await client.get("/auth/me", headers={**user.headers, "origin": origin})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
