"""Role, status, deletion: what an admin may do; the person is signed out when the answer leaves (promise P2)."""

import asyncio
import uuid
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import func, select

from app.auth.models import KnownDevice, Session
from app.core.server import Server
from app.users.models import User
from tests.auth.scene import assert_dead, claims_of, events, refresh, session_row, sid_of, status_of
from tests.support import api
from tests.support.clock import TravellingClock


@pytest.fixture
async def admin(app: FastAPI, client: AsyncClient) -> api.User:
    return await api.new_admin(app, client)


async def put(client: AsyncClient, admin: api.User, user_id: object, what: str, **body: Any) -> Response:
    return await client.put(f"/users/{user_id}/{what}", json=body, headers=admin.headers)


@pytest.mark.asvs("V15.3.1")
async def test_an_admin_reads_one_account(client: AsyncClient, admin: api.User) -> None:
    account = await api.register(client)
    answer = await client.get(f"/users/{account['id']}", headers=admin.headers)
    assert answer.json() == {**account, "active": True, "last_login_at": None, "leaving_at": None}
    assert answer.headers["cache-control"] == "no-store"
    await api.login(client, account["username"])
    assert (await client.get(f"/users/{account['id']}", headers=admin.headers)).json()["last_login_at"] is not None


async def test_an_unknown_account_is_not_found_on_every_path(client: AsyncClient, admin: api.User, server: Server) -> None:
    nobody = uuid.uuid4()
    answers = [
        await client.get(f"/users/{nobody}", headers=admin.headers),
        await put(client, admin, nobody, "role", role="admin"),
        await put(client, admin, nobody, "status", active=False),
        await client.delete(f"/users/{nobody}", headers=admin.headers),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 4
    for fact in ("user.role.changed", "user.status.changed", "user.deleted"):
        assert await events(server, fact) == []


@pytest.mark.promise("P2", "P10")
@pytest.mark.asvs("V7.2.4")
async def test_a_role_change_ends_the_persons_sessions_at_once(client: AsyncClient, admin: api.User, server: Server) -> None:
    user, bystander = await api.new_user(client), await api.new_user(client)
    sessions = [user.tokens, await api.login(client, user.username)]
    answer = await put(client, admin, user.id, "role", role="admin")
    assert (answer.status_code, answer.json()["role"]) == (200, "admin")
    for tokens in sessions:
        await assert_dead(client, tokens)
        assert (await session_row(server, sid_of(tokens))).end_reason == "role_changed"
    assert await status_of(client, bystander.tokens) == 200
    fresh = await api.login(client, user.username)
    assert claims_of(fresh["access_token"])["role"] == "admin"
    assert await status_of(client, fresh, "/users/") == 200
    assert (await put(client, admin, user.id, "role", role="user")).status_code == 200
    await assert_dead(client, fresh)
    assert await status_of(client, await api.login(client, user.username), "/users/") == 403
    first, second = await events(server, "user.role.changed")
    assert (str(first.actor_id), str(first.subject_id), first.session_id) == (admin.id, user.id, sid_of(admin.tokens))
    assert (first.data, second.data) == ({"before": "user", "after": "admin"}, {"before": "admin", "after": "user"})


@pytest.mark.promise("P2", "P10")
@pytest.mark.asvs("V7.4.2")
async def test_disabling_ends_everything_and_enabling_brings_no_session_back(
    client: AsyncClient, admin: api.User, server: Server
) -> None:
    user = await api.new_user(client)
    second = await api.login(client, user.username)
    answer = await put(client, admin, user.id, "status", active=False)
    assert (answer.status_code, answer.json()["active"]) == (200, False)
    form = {"username": user.username, "password": user.password}
    for tokens in (user.tokens, second):
        await assert_dead(client, tokens)
    assert (await client.post("/auth/login", data=form)).json()["code"] == "login_failed"
    assert (await put(client, admin, user.id, "status", active=True)).json()["active"] is True
    for tokens in (user.tokens, second):
        await assert_dead(client, tokens)
    assert await status_of(client, await api.login(client, user.username)) == 200
    changes = await events(server, "user.status.changed", subject_id=uuid.UUID(user.id))
    assert [change.data for change in changes] == [{"before": True, "after": False}, {"before": False, "after": True}]


async def test_what_is_so_already_changes_nothing(client: AsyncClient, admin: api.User, server: Server) -> None:
    user = await api.new_user(client)
    assert (await put(client, admin, user.id, "role", role="user")).status_code == 200
    assert (await put(client, admin, user.id, "status", active=True)).status_code == 200
    assert await status_of(client, user.tokens) == 200
    assert await events(server, "user.role.changed") == await events(server, "user.status.changed") == []


@pytest.mark.asvs("V15.3.3", "V15.3.5", "V8.2.3")
@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("role", {"role": "king"}),
        ("role", {"role": "Admin"}),
        ("role", {"role": ["admin"]}),
        ("role", {"role": None}),
        ("role", {}),
        ("role", {"role": "admin", "active": True}),
        ("role", {"role": "admin", "email_verified": True}),
        ("status", {"active": "false"}),
        ("status", {"active": 0}),
        ("status", {"active": None}),
        ("status", {}),
        ("status", {"active": False, "role": "admin"}),
    ],
)
async def test_a_bad_body_changes_nothing(client: AsyncClient, admin: api.User, what: str, body: dict[str, Any]) -> None:
    user = await api.new_user(client)
    answer = await put(client, admin, user.id, what, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    now = (await client.get(f"/users/{user.id}", headers=admin.headers)).json()
    assert (now["role"], now["active"]) == ("user", True)
    assert await status_of(client, user.tokens) == 200


@pytest.mark.promise("P2", "P10")
@pytest.mark.asvs("V7.4.2")
async def test_a_deleted_account_is_gone_its_session_rows_stay_and_its_name_is_free(
    client: AsyncClient, admin: api.User, server: Server
) -> None:
    user = await api.new_user(client)
    second = await api.login(client, user.username)
    gone = await client.delete(f"/users/{user.id}", headers=admin.headers)
    assert (gone.status_code, gone.content) == (204, b"")
    for tokens in (user.tokens, second):
        await assert_dead(client, tokens)
        row = await session_row(server, sid_of(tokens))
        assert (str(row.user_id), row.end_reason) == (user.id, "deleted")
    assert (await client.get(f"/users/{user.id}", headers=admin.headers)).status_code == 404
    assert (await client.delete(f"/users/{user.id}", headers=admin.headers)).status_code == 404
    form = {"username": user.username, "password": user.password}
    assert (await client.post("/auth/login", data=form)).status_code == 401
    async with server.database.read() as db:
        assert (
            await db.scalar(select(func.count()).select_from(KnownDevice).where(KnownDevice.user_id == uuid.UUID(user.id))) == 0
        )
        assert await db.get(User, uuid.UUID(user.id)) is None
    again = await api.register(client, user.username, user.email)
    assert again["id"] != user.id
    fresh = await api.login(client, user.username)
    assert claims_of(fresh["access_token"])["sub"] == again["id"]
    for tokens in (user.tokens, second):
        await assert_dead(client, tokens)
    (event,) = await events(server, "user.deleted")
    assert (str(event.actor_id), str(event.subject_id)) == (admin.id, user.id)


@pytest.mark.usefixtures("no_welcome_mail")
async def test_a_reset_link_mailed_before_dies_with_the_account(
    client: AsyncClient, admin: api.User, server: Server, clock: TravellingClock, smtp: Any, work: Any
) -> None:
    from tests.support.smtp import links_in

    users = [await api.new_user(client) for _ in range(3)]
    for user in users:
        await client.post("/auth/forgot-password", json={"email": user.email})
    clock.advance(seconds=3)
    await work()
    assert (await client.delete(f"/users/{users[0].id}", headers=admin.headers)).status_code == 204
    await put(client, admin, users[1].id, "status", active=False)
    for user, status in zip(users, (400, 400, 204), strict=True):
        (link,) = {link for link in links_in(smtp.wait_for(user.email)) if "token=" in link}
        body = {"token": link.partition("token=")[2], "new_password": "quite another 1!"}
        assert (await client.post("/auth/reset-password", json=body)).status_code == status


async def test_admins_may_give_up_their_own_role_and_are_none_at_once(app: FastAPI, client: AsyncClient, admin: api.User) -> None:
    other = await api.new_admin(app, client)
    assert (await put(client, admin, admin.id, "role", role="user")).json()["role"] == "user"
    await assert_dead(client, admin.tokens)
    assert await status_of(client, await api.login(client, admin.username), "/users/") == 403
    assert await status_of(client, other.tokens, "/users/") == 200


@pytest.mark.promise("P2")
async def test_an_admin_whose_session_ended_changes_nothing(client: AsyncClient, admin: api.User, server: Server) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/logout", headers=admin.headers)).status_code == 204
    for answer in (
        await put(client, admin, user.id, "role", role="admin"),
        await put(client, admin, user.id, "status", active=False),
        await client.delete(f"/users/{user.id}", headers=admin.headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    assert (await client.get("/auth/me", headers=user.headers)).json()["role"] == "user"


@pytest.mark.promise("P2", "P3")
async def test_a_refresh_or_login_racing_with_disabling_leaves_nothing_alive(
    client: AsyncClient, admin: api.User, server: Server
) -> None:
    for _ in range(5):
        user = await api.new_user(client)
        form = {"username": user.username, "password": user.password}
        refreshed, logged_in, disabled, again = await asyncio.gather(
            refresh(client, user.tokens),
            client.post("/auth/login", data=form),
            put(client, admin, user.id, "status", active=False),
            client.post("/auth/login", data=form),
        )
        assert disabled.status_code == 200
        for answer in (refreshed, logged_in, again):
            assert answer.status_code in {200, 401}
            if answer.status_code == 200:
                await assert_dead(client, answer.json())
        async with server.database.read() as db:
            alive = (
                select(func.count()).select_from(Session).where(Session.user_id == uuid.UUID(user.id), Session.ended_at.is_(None))
            )
            assert await db.scalar(alive) == 0
