"""Two replicas: beginning to act against what ends it, at the same moment. Whichever comes first, nothing outlives it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import func, select

from app.auth.models import is_held_up
from app.core.server import Server
from app.models import Session
from tests.auth.scene import events, two_clients
from tests.impersonation.scene import ask, somebody
from tests.support import api
from tests.support.clock import TravellingClock

ROUNDS = 20


@dataclass(frozen=True)
class Match:
    """Who is in a race."""

    client: AsyncClient
    staff: api.User
    person: api.User
    boss: api.User


Against = Callable[[Match], Awaitable[Response]]
AGAINST: dict[str, Against] = {
    "logout": lambda m: m.client.post("/auth/logout", headers=m.staff.headers),
    "logout-all": lambda m: m.client.post("/auth/logout-all", headers=m.staff.headers),
    "staff disabled": lambda m: m.client.put(f"/users/{m.staff.id}/status", json={"active": False}, headers=m.boss.headers),
    "staff's role": lambda m: m.client.put(f"/users/{m.staff.id}/role", json={"role": "user"}, headers=m.boss.headers),
    "person's role": lambda m: m.client.put(f"/users/{m.person.id}/role", json={"role": "auditor"}, headers=m.boss.headers),
    "person disabled": lambda m: m.client.put(f"/users/{m.person.id}/status", json={"active": False}, headers=m.boss.headers),
    "person deleted": lambda m: m.client.delete(f"/users/{m.person.id}", headers=m.boss.headers),
    "person leaves": lambda m: m.client.delete("/auth/me", headers=m.person.headers),
}


async def late(chance: random.Random, what: Awaitable[Response]) -> Response:
    await asyncio.sleep(chance.uniform(0, 0.02))
    return await what


async def alive_of(server: Server) -> int:
    """How many sessions there are in which somebody acts as another."""
    async with server.database.read() as db:
        acting = is_held_up(server.clock()) & Session.parent_id.is_not(None)
        return await db.scalar(select(func.count()).select_from(Session).where(acting)) or 0


@pytest.mark.promise("P2")
@pytest.mark.parametrize("name", AGAINST)
async def test_nothing_outlives_what_ends_it(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock, name: str
) -> None:
    chance, outcomes = random.Random(name), set()
    boss = await api.new_admin(app, client)
    async with two_clients(app, env, clock) as both:
        for number in range(ROUNDS):
            staff, person = await somebody(server, client, "support"), await somebody(server, client, "user")
            match = Match(both[number % 2], staff, person, boss)
            starting = late(chance, ask(both[(number + 1) % 2], staff.headers, person.id))
            started, ended = await asyncio.gather(starting, late(chance, AGAINST[name](match)))
            assert ended.status_code in {200, 202, 204}, ended.text
            assert started.status_code in {201, 401, 403, 404, 409}, started.text
            outcomes.add(started.status_code)
            if started.status_code == 201:
                for each in both:
                    assert (await each.get("/auth/me", headers=api.bearer(started.json()))).status_code == 401
            assert await alive_of(server) == 0
    assert outcomes  # each of them is right; which came first is chance's


async def test_twenty_at_once_leave_one(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock
) -> None:
    staff, person = await somebody(server, client, "support"), await somebody(server, client, "user")
    async with two_clients(app, env, clock) as both:
        started = await asyncio.gather(*(ask(both[n % 2], staff.headers, person.id) for n in range(20)))
        assert {each.status_code for each in started} == {201}
        alive = [(await client.get("/auth/me", headers=api.bearer(each.json()))).status_code for each in started]
        assert sorted(alive) == [200] + [401] * 19
    assert await alive_of(server) == 1
    assert len(await events(server, "impersonation.started")) == 20
    assert len(await events(server, "impersonation.ended")) == 19
