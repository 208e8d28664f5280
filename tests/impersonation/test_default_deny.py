"""Every route and page, called by somebody who acts as another: what is not named here is refused, and nothing changes."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient
from sqlalchemy import func, select

from app.core.caller import maybe_caller, public
from app.core.server import Server
from app.models import AuditEvent, Base
from tests.architecture.test_routes import rules_of
from tests.auth.browsing import ORIGIN, SAME
from tests.auth.scene import events
from tests.hostile.surface import JSON, operations
from tests.impersonation.scene import Acting, act
from tests.impersonation.test_browser import acting_browser

# Written by hand: what somebody who acts as another may see of that person. There is nothing that they may change.
SEEN = {
    ("GET", "/auth/me"),
    ("GET", "/auth/sessions"),
    ("GET", "/auth/verify"),
    ("GET", "/account/"),
    ("GET", "/account/sessions"),
}
ENDS = {("POST", "/account/acting-stop")}  # it ends that they act, as /auth/logout and /account/sign-out do
# Below /admin the browser is its owner's again, and a token opens no page.
CONSOLE = "/admin"


async def counts(server: Server) -> dict[str, int]:
    """How many rows there are of each table, but for the record and its chain, where refusals are written down."""
    tables = [table for table in Base.metadata.sorted_tables if not table.name.startswith("audit")]
    async with server.database.read() as db:
        return {table.name: await db.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


async def whole_user(server: Server, user_id: str) -> list[Any]:
    async with server.database.read() as db:
        rows = (await db.execute(select(Base.metadata.tables["users"]))).all()
    return [row for row in rows if str(row.id) == user_id]


def closed_routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every route and page that is not for anybody, by each of its methods."""
    return [
        (method, str(context.path))
        for context in iter_route_contexts(app.routes)
        if rules_of(context) and rules_of(context) not in ({public}, {maybe_caller})
        for method in sorted(context.methods or ())
        if method != "HEAD"
    ]


def url_of(path: str, acting: Acting) -> str:
    return re.sub(r"{\w+}", acting.person.id, path)


async def test_by_a_token_every_route_but_a_few_is_refused(app: FastAPI, client: AsyncClient, server: Server) -> None:
    acting = await act(server, client, "admin", "support")
    bodies = {(each.method, each.path) for each in operations(app) if JSON in each.content}  # an empty one: the rule comes first
    before, person = await counts(server), await whole_user(server, acting.person.id)
    calls = [(method, path) for method, path in closed_routes(app) if not path.startswith(("/account", CONSOLE, "/.well-known"))]
    assert len(calls) > 30
    refused = 0
    for method, path in calls:
        sent: dict[str, Any] = {}
        if (method, path) in bodies:
            sent = {"content": "{}", "headers": {**acting.headers, "content-type": JSON}}
        answer = await client.request(method, url_of(path, acting), **({"headers": acting.headers} | sent))
        if (method, path) in SEEN or path.startswith("/auth/verify"):
            assert answer.status_code in {200, 204}, (method, path)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "impersonated"), (method, path, answer.text)
            refused += 1
    recorded = await events(server, "access.denied")
    assert len(recorded) == refused
    assert {str(each.impersonator_id) for each in recorded} == {acting.staff.id} == {str(each.actor_id) for each in recorded}
    assert {str(each.subject_id) for each in recorded} == {acting.person.id}
    assert await counts(server) == before
    assert await whole_user(server, acting.person.id) == person
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 200


@pytest.mark.env(DOCS="on")
async def test_the_open_routes_that_take_a_session_too_refuse_it(app: FastAPI, client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    before = await counts(server)
    for path in ("/auth/mfa/totp", "/auth/mfa/totp/confirm", "/auth/passkeys/options", "/auth/passkeys"):
        (operation,) = [each for each in operations(app) if (each.method, each.path) == ("POST", path)]
        body = operation.good_body()
        body.pop("attempt", None)
        answer = await client.post(path, json=body, headers=acting.headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "impersonated"), path
    assert await counts(server) == before


async def test_by_cookie_every_page_but_a_few_is_refused(app: FastAPI, client: AsyncClient, server: Server) -> None:
    browser = await acting_browser(server, client)
    before, person = await counts(server), await whole_user(server, browser.person.id)
    pages = [(method, path) for method, path in closed_routes(app) if path.startswith(("/account", "/.well-known"))]
    assert len(pages) > 25
    for method, path in pages:
        if (method, path) in ENDS:
            continue
        sent: dict[str, Any] = {"headers": {**browser.headers, **SAME, "accept": "text/html"}}
        if method != "GET":
            sent["data"] = {"form_token": browser.form_token, "username": "somebodyelse", "which": "others", "sure": "yes"}
        answer = await client.request(method, path.replace("{anything}", "x"), **sent)
        if (method, path) in SEEN:
            assert answer.status_code == 200, (method, path)
        else:
            assert answer.status_code == 403, (method, path, answer.status_code)
            assert "Not while you act as somebody else" in answer.text, (method, path)
        if path.startswith("/.well-known"):
            continue  # for programs
        assert 'class="acting"' in answer.text, (method, path)
        assert browser.staff.username in answer.text, (method, path)
        assert f"see the account of {browser.person.username}" in answer.text, (method, path)
    assert await counts(server) == before
    assert await whole_user(server, browser.person.id) == person
    async with server.database.read() as db:
        marked = select(func.count()).select_from(AuditEvent).where(AuditEvent.impersonator_id.is_not(None))
        assert (await db.scalar(marked) or 0) > len(pages) - len(SEEN)


async def test_by_cookie_the_routes_are_as_closed_as_by_token(app: FastAPI, client: AsyncClient, server: Server) -> None:
    browser = await acting_browser(server, client)
    before = await counts(server)
    headers = {**browser.headers, "Origin": ORIGIN, "Content-Type": JSON}
    for method, path in closed_routes(app):
        if path.startswith(("/account", CONSOLE, "/.well-known")) or method in {"OPTIONS"}:
            continue
        acting = Acting(browser.staff, browser.person, {})
        answer = await client.request(method, url_of(path, acting), content="{}" if method != "GET" else None, headers=headers)
        seen = (method, path) in SEEN or path.startswith("/auth/verify")
        assert answer.status_code in ({200, 204} if seen else {403}), (method, path, answer.text)
    assert await counts(server) == before
