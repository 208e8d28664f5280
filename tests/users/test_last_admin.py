"""Somebody can always administer the server: the last active admin stays one, on every path and in every race."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.server import Server
from app.users import repository
from app.users.models import User
from tests.auth.scene import events, execute, sid_of, status_of, two_clients
from tests.support import api
from tests.support.clock import TravellingClock

Ask = tuple[str, str, Any]


def demote(user: api.User) -> Ask:
    return ("PUT", f"/users/{user.id}/role", {"role": "user"})


def disable(user: api.User) -> Ask:
    return ("PUT", f"/users/{user.id}/status", {"active": False})


def remove(user: api.User) -> Ask:
    return ("DELETE", f"/users/{user.id}", None)


async def active_admins(server: Server) -> int:
    async with server.database.read() as db:
        counted = select(func.count()).select_from(User).where(User.role == "admin", User.disabled_at.is_(None))
        return await db.scalar(counted) or 0


@pytest.mark.parametrize("ask", [demote, disable, remove])
async def test_the_last_admin_stays(app: FastAPI, client: AsyncClient, server: Server, ask: Any) -> None:
    admin, disabled = await api.new_admin(app, client), await api.new_admin(app, client)
    user = await api.new_user(client)
    await execute(server, update(User).where(User.username == disabled.username).values(disabled_at=server.clock()))
    method, path, body = ask(admin)
    refused = await client.request(method, path, json=body, headers=admin.headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "last_admin")
    assert await status_of(client, admin.tokens, "/users/") == 200
    for fact in ("user.role.changed", "user.status.changed", "user.deleted"):
        assert await events(server, fact) == []
    (denied,) = await events(server, "access.denied")
    assert (str(denied.actor_id), str(denied.subject_id), denied.session_id) == (admin.id, admin.id, sid_of(admin.tokens))
    assert (denied.data, denied.request_id) == ({"reason": "last_admin"}, refused.headers["x-request-id"])
    for other in (disabled, user):  # neither is the last active one
        method, path, body = ask(other)
        assert (await client.request(method, path, json=body, headers=admin.headers)).status_code in {200, 204}
    assert await active_admins(server) == 1


@pytest.mark.parametrize("ask", [demote, disable, remove])
async def test_of_two_admins_one_may_go(app: FastAPI, client: AsyncClient, server: Server, ask: Any) -> None:
    one, two = await api.new_admin(app, client), await api.new_admin(app, client)
    method, path, body = ask(two)
    assert (await client.request(method, path, json=body, headers=one.headers)).status_code in {200, 204}
    method, path, body = ask(one)
    assert (await client.request(method, path, json=body, headers=one.headers)).status_code == 409
    assert await active_admins(server) == 1


@pytest.mark.asvs("V2.3.4")
async def test_two_admins_racing_on_two_replicas_never_leave_none(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock
) -> None:
    one, two = await api.new_admin(app, client), await api.new_admin(app, client)
    rounds: list[tuple[Ask, Ask]] = [
        (demote(two), demote(one)),
        (demote(one), demote(two)),
        (disable(two), disable(one)),
        (disable(one), disable(two)),
        (demote(one), disable(two)),
        (disable(two), demote(one)),
        (demote(two), disable(two)),
    ]
    outcomes: set[tuple[int, int]] = set()
    async with two_clients(app, env, clock) as clients:
        for n in range(20):
            tokens = [await api.login(each, user.username) for each, user in zip(clients, (one, two), strict=True)]
            asks = rounds[n % len(rounds)]
            answers = await asyncio.gather(
                *(
                    each.request(method, path, json=body, headers=api.bearer(pair))
                    for each, (method, path, body), pair in zip(clients, asks, tokens, strict=True)
                )
            )
            statuses = tuple(answer.status_code for answer in answers)
            assert set(statuses) <= {200, 401, 409}, [answer.text for answer in answers]
            assert 200 in statuses
            assert await active_admins(server) >= 1
            outcomes.add((min(statuses), max(statuses)))
            await execute(server, update(User).values(role="admin", disabled_at=None))
    assert outcomes <= {(200, 200), (200, 401), (200, 409)}
    assert len(outcomes) > 1


async def test_many_admins_deleting_each_other_leave_one(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock
) -> None:
    admins = [await api.new_admin(app, client) for _ in range(6)]
    async with two_clients(app, env, clock) as clients:
        asks = [(clients[n % 2], by, remove(whom)) for n, (by, whom) in enumerate(everybody_on_everybody(admins))]
        answers = await asyncio.gather(
            *(each.request(method, path, json=body, headers=by.headers) for each, by, (method, path, body) in asks)
        )
    assert {answer.status_code for answer in answers} <= {204, 401, 404, 409}, [answer.text for answer in answers]
    left = await active_admins(server)
    assert left >= 1
    assert sum(answer.status_code == 204 for answer in answers) == 6 - left


def everybody_on_everybody(admins: list[api.User]) -> Iterable[tuple[api.User, api.User]]:
    return [(by, admins[(n + step) % len(admins)]) for step in range(3) for n, by in enumerate(admins)]


async def test_looking_before_acting_would_leave_none(
    app: FastAPI,
    client: AsyncClient,
    server: Server,
    env: dict[str, str],
    clock: TravellingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control of the races above: a server broken on purpose, that reads the admins and does not hold them."""
    both_looked = asyncio.Barrier(2)

    async def look_only(db: AsyncSession, user_ids: Iterable[Any]) -> dict[Any, User]:
        query = select(User).where(or_(User.id.in_(list(user_ids)), repository.ACTIVE_ADMIN))
        found = {user.id: user for user in (await db.scalars(query)).all()}
        await both_looked.wait()
        return found

    monkeypatch.setattr(repository, "lock_users_and_admins", look_only)
    one, two = await api.new_admin(app, client), await api.new_admin(app, client)
    async with two_clients(app, env, clock) as clients:
        answers = await asyncio.gather(
            *(
                each.request(method, path, json=body, headers=user.headers)
                for each, user, (method, path, body) in zip(clients, (one, two), (demote(one), demote(two)), strict=True)
            )
        )
    assert [answer.status_code for answer in answers] == [200, 200]
    assert await active_admins(server) == 0
