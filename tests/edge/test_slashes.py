"""Every path answers with and without its trailing slash, the same, and never by a redirect."""

import re

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient

from tests.support import api

PAGES = ("/dev/", "/account/", "/admin/", "/.well-known/")  # they may lead on
NOTHING_THERE = {  # of who has no factor
    ("DELETE", "/auth/mfa/totp"),
    ("POST", "/auth/reauthenticate/passkey/options"),
}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route there is, documented or not."""
    found = []
    for context in iter_route_contexts(app.routes):
        if context.path is not None:
            found += [(method, context.path) for method in sorted(context.methods or {"GET"})]
    return found


def fill(path: str, **values: str) -> str:
    known = {
        "name": "authkeep.css",
        "file": "docs.css",
        "user_id": "x",
        "session_id": "x",
        "invitation_id": "x",
        "passkey_id": "x",
        "bulk_id": "x",
        "job_id": "x",
        "webhook_id": "x",
        "delivery_id": "x",
        "anything": "x",
    } | values
    return re.sub(r"{(\w+)}", lambda match: known[match[1]], path)


@pytest.mark.env(DOCS="on")
async def test_every_path_answers_with_and_without_its_slash(app: FastAPI, client: AsyncClient) -> None:
    admin = await api.new_admin(app, client)
    found = routes(app)
    assert len(found) > 25
    for method, path in found:
        if path in {"/auth/logout", "/auth/logout-all"}:
            continue  # below
        plain = fill(path).rstrip("/") or "/"
        answers = [await client.request(method, url, headers=admin.headers) for url in (plain, plain.rstrip("/") + "/")]
        statuses = [answer.status_code for answer in answers]
        assert statuses[0] == statuses[1], (method, path, statuses)
        if (method, path) in NOTHING_THERE:
            assert statuses == [404, 404]
            continue
        assert statuses[0] not in {301, 302, 303, 307, 308, 404, 405} or path.startswith(PAGES), (method, path, statuses)
        places = [answer.headers.get("location") for answer in answers]
        assert places[0] == places[1]
        assert places[0] is None or path.startswith(PAGES), path  # a page leads to sign-in, and to itself by neither spelling
        if (method, path) in {("GET", "/users/"), ("GET", "/auth/me")}:
            assert statuses == [200, 200]  # the header was not lost


async def test_signing_out_works_either_way(client: AsyncClient) -> None:
    for path in ("/auth/logout", "/auth/logout/", "/auth/logout-all", "/auth/logout-all/"):
        user = await api.new_user(client)
        assert (await client.post(path, headers=user.headers)).status_code == 204
        assert (await client.get("/auth/me", headers=user.headers)).status_code == 401


async def test_a_query_is_kept_either_way(app: FastAPI, client: AsyncClient) -> None:
    admin = await api.new_admin(app, client)
    for path in ("/users", "/users/"):
        assert len((await client.get(f"{path}?limit=1", headers=admin.headers)).json()["items"]) == 1
        assert (await client.get(f"{path}?limit=x", headers=admin.headers)).status_code == 422


async def test_unknown_paths_are_unknown_either_way(client: AsyncClient) -> None:
    for path in ("/nowhere", "/nowhere/", "/auth", "/auth/", "/users/x/y/"):
        assert (await client.get(path)).status_code == 404


async def test_the_root_points_on(client: AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    for path in (answer.json()[name] for name in ("health", "docs", "openapi")):
        assert (await client.get(path)).status_code == 200, path
