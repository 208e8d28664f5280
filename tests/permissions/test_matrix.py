"""Who may call what, cell by cell: matrix.csv is written by hand, and asked of the server over HTTP.

A cell is the status of the answer. Pages also lead on, by 303: `sign-in` to where one signs in, `prove` to where one proves again
who one is. What is below /admin counts with the own session of who acts as somebody, so there that column is support's.
"""

import csv
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient
from sqlalchemy import insert, update

from app.core.permissions import HELD, Role
from app.mfa.models import MfaRequirement
from app.users.models import User
from tests.auth.scene import SOME_CREDENTIAL, execute, sid_of
from tests.edge.test_slashes import fill
from tests.metrics.scrapes import TOKEN
from tests.permissions.browsers import Browsers, is_page
from tests.permissions.scene import new_staff
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock

Row = dict[str, str]
MATRIX = Path(__file__).with_name("matrix.csv")
WHO = ("anonymous", "user", "support", "auditor", "admin", "disabled", "owing", "impersonating")
# Written by hand, as the matrix is.
PERMISSIONS = {
    "user": set(),
    "support": {"users:read", "users:write", "users:impersonate", "stats:read"},
    "auditor": {"users:read", "audit:read", "stats:read", "jobs:read", "settings:read", "webhooks:read"},
    "admin": {
        "users:read",
        "users:write",
        "users:factors",
        "users:roles",
        "users:delete",
        "users:impersonate",
        "audit:read",
        "stats:read",
        "jobs:read",
        "jobs:write",
        "settings:read",
        "webhooks:read",
        "webhooks:write",
    },
}
FREED = {("HEAD", "/openapi.json")}
ALL_ROUTES = pytest.mark.env(DOCS="on", MAGIC_LINK="on", METRICS_TOKEN=TOKEN)
# Pages that are asked of one server: the last that an address begins with.
AREAS = (
    "/",
    "/account/",
    "/account/s",
    "/account/security",
    "/account/sign-in",
    "/admin/",
    "/admin/users/",
    "/admin/users/{user_id}/r",
)


def read() -> list[Row]:
    with MATRIX.open(newline="") as file:
        return list(csv.DictReader(file))


ROWS = read()


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    return {(method, str(context.path)) for context in iter_route_contexts(app.routes) for method in context.methods or ()}


def without_row(app: FastAPI) -> set[tuple[str, str]]:
    return routes_of(app) - FREED - {(row["method"], row["path"]) for row in ROWS}


def without_route(app: FastAPI, rows: list[Row]) -> set[tuple[str, str]]:
    return {(row["method"], row["path"]) for row in rows} - routes_of(app)


def part_of(row: Row) -> str:
    """What is asked of one server: an area's pages, or its forms."""
    return f"{row['method']} {[area for area in AREAS if row['path'].startswith(area)][-1]}"


@dataclass
class World:
    """A server, the people who call it, and whom they call about."""

    app: FastAPI
    clock: TravellingClock
    client: AsyncClient
    known: dict[str, api.User] = field(default_factory=dict)

    async def headers(self, who: str) -> dict[str, str]:
        """Of somebody who is `who`, signed in a moment ago."""
        if who == "anonymous":
            return {}
        if who == "impersonating":
            support, person = await new_staff(self.app, self.client, Role.SUPPORT), await api.new_user(self.client)
            asked = await self.client.post(f"/users/{person.id}/impersonate", json={"reason": "matrix"}, headers=support.headers)
            assert asked.status_code == 201, asked.text
            return api.bearer(asked.json())
        role = Role(who) if who in {each.value for each in Role} else Role.ADMIN
        person = await new_staff(self.app, self.client, role)
        server, user_id = self.app.state.server, uuid.UUID(person.id)
        if who == "disabled":
            await execute(server, update(User).where(User.id == user_id).values(disabled_at=self.clock()))
        if who == "owing":
            await execute(server, insert(MfaRequirement).values(user_id=user_id, required_at=self.clock()))
        return person.headers

    async def url(self, path: str, boss: dict[str, str]) -> str:
        """The path, about somebody new where it is about somebody."""
        names: dict[str, str] = {"bulk_id": str(uuid.uuid4()), "job_id": str(uuid.uuid4()), "passkey_id": str(uuid.uuid4())}
        names |= {"session_id": str(uuid.uuid4()), "user_id": str(uuid.uuid4()), "invitation_id": str(uuid.uuid4())}
        names |= {"webhook_id": str(uuid.uuid4()), "delivery_id": str(uuid.uuid4())}
        if "{user_id}" in path:
            target = await api.new_user(self.client)
            names |= {"user_id": target.id, "session_id": str(sid_of(target.tokens))}
        if "{invitation_id}" in path:
            body = {"email": f"{api.new_username()}@example.com"}
            made = await self.client.post("/users/invitations", json=body, headers=boss)
            names["invitation_id"] = made.json()["id"]
        return fill(path, **names)


def body_of(method: str, path: str) -> Any:
    """Of a good request; for what anybody may call an empty one, which everybody is told alike."""
    name = api.new_username()
    bodies: dict[str, Callable[[], Any]] = {
        "POST /users/": lambda: {"username": name, "email": f"{name}@example.com"},
        "POST /users/invitations": lambda: {"email": f"{name}@example.com"},
        "POST /webhooks": lambda: {"url": "https://93.184.216.34/", "facts": ["user.registered"]},
        "POST /users/bulk": lambda: {"action": "log_out", "ids": [str(uuid.uuid4())]},
        "PATCH /users/{user_id}": lambda: {"display_name": "Somebody Else"},
        "PUT /users/{user_id}/role": lambda: {"role": "support"},
        "PUT /users/{user_id}/status": lambda: {"active": False},
        "PUT /users/{user_id}/mfa": lambda: {"reset": True},
        "POST /users/{user_id}/impersonate": lambda: {"reason": "matrix"},
        "PATCH /auth/me": lambda: {"display_name": "Somebody"},
        "PATCH /auth/passkeys/{passkey_id}": lambda: {"name": "Key"},
        "POST /auth/me/email": lambda: {"new_email": f"{name}@example.org"},
        "POST /auth/reauthenticate": lambda: {"password": api.PASSWORD},
        "POST /auth/change-password": lambda: {"current_password": api.PASSWORD, "new_password": f"{api.PASSWORD}2"},
        "POST /auth/mfa/totp/confirm": lambda: {"code": "123456"},
        "POST /auth/passkeys": lambda: {"credential": SOME_CREDENTIAL},
        "POST /auth/refresh": lambda: {"refresh_token": "a.b.c"},
    }
    found = bodies.get(f"{method} {path}")
    if found is not None:
        return found()
    return {} if method in {"POST", "PUT", "PATCH"} and not path.startswith("/users/{user_id}/") else None


@asynccontextmanager
async def world_of(app: FastAPI, clock: TravellingClock) -> AsyncIterator[World]:
    async with client_of(app) as client:
        yield World(app, clock, client)


async def ask(world: World, row: Row, who: str, boss: dict[str, str]) -> int:
    """One cell: a caller nobody used before asks about somebody nobody used before."""
    method, path = row["method"], row["path"]
    headers, url = await world.headers(who), await world.url(path, boss)
    world.client.cookies.clear()
    sent: httpx2.Response = await world.client.request(method, url, json=body_of(method, path), headers=headers)
    return sent.status_code


async def wrong_cells(world: World, rows: list[Row]) -> list[str]:
    boss = (await new_staff(world.app, world.client, Role.ADMIN)).headers
    browsers = Browsers(world.app, world.clock, world.client)
    wrong = []
    for row in rows:
        for who in WHO:
            if is_page(row["path"]):
                found = await browsers.ask(row["method"], row["path"], who)
            else:
                found = str(await ask(world, row, who, boss))
            if found != row[who]:
                wrong.append(f"{row['method']} {row['path']} {who}: {found}, not {row[who]}")
    return wrong


@ALL_ROUTES
async def test_every_route_has_a_row_and_every_row_a_route(app: FastAPI) -> None:
    rows = [(row["method"], row["path"]) for row in ROWS]
    assert len(rows) == len(set(rows))
    assert without_row(app) == set()
    assert without_route(app, ROWS) == set()


@ALL_ROUTES
@pytest.mark.asvs("V8.2.1", "V8.2.2", "V8.3.1")
@pytest.mark.parametrize("path", sorted({row["path"] for row in ROWS if not is_page(row["path"])}))
async def test_each_cell_is_what_the_server_answers(app: FastAPI, clock: TravellingClock, path: str) -> None:
    async with world_of(app, clock) as world:
        assert await wrong_cells(world, [row for row in ROWS if row["path"] == path]) == []


@ALL_ROUTES
@pytest.mark.asvs("V8.2.1", "V8.2.2", "V8.3.1")
@pytest.mark.parametrize("part", sorted({part_of(row) for row in ROWS if is_page(row["path"])}))
async def test_each_cell_of_a_page_is_what_the_server_answers(app: FastAPI, clock: TravellingClock, part: str) -> None:
    async with world_of(app, clock) as world:
        assert await wrong_cells(world, [row for row in ROWS if is_page(row["path"]) and part_of(row) == part]) == []


@pytest.mark.parametrize("asked", [("GET", "/users/"), ("GET", "/admin/users"), ("POST", "/account/")], ids=" ".join)
async def test_a_wrong_cell_is_found(app: FastAPI, clock: TravellingClock, asked: tuple[str, str]) -> None:
    """The control: each cell of a row in turn says something else."""
    (row,) = (row for row in ROWS if (row["method"], row["path"]) == asked)
    async with world_of(app, clock) as world:
        found = await wrong_cells(world, [row | dict.fromkeys(WHO, "418")])
    assert len(found) == len(WHO)


@pytest.mark.parametrize("path", ["/users/everything", "/account/everything", "/admin/everything", "/.well-known/everything"])
async def test_a_route_without_a_row_is_found(app: FastAPI, path: str) -> None:
    """The control."""

    async def nothing() -> None: ...

    app.add_api_route(path, nothing, methods=["DELETE"])
    assert without_row(app) == {("DELETE", path)}


@ALL_ROUTES
@pytest.mark.parametrize("path", ["/users/nothing", "/account/nothing", "/admin/nothing"])
async def test_a_row_without_a_route_is_found(app: FastAPI, path: str) -> None:
    """The control."""
    assert without_route(app, [*ROWS, {"method": "GET", "path": path}]) == {("GET", path)}


def test_each_role_holds_what_is_written_here() -> None:
    assert {role.value: {permission.value for permission in held} for role, held in HELD.items()} == PERMISSIONS
