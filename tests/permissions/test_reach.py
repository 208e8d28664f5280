"""Nobody touches who holds more than they do, nor gives what they lack: over HTTP, and behind the lock."""

import uuid
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.caller import Caller
from app.core.client import Client
from app.core.errors import Forbidden
from app.core.permissions import Role
from app.core.server import Server
from app.mfa.policy import applies
from app.users import service as users
from app.users.holding import OutOfReach
from tests.auth.scene import events, sid_of, status_of
from tests.permissions.scene import give_role, new_staff
from tests.support import api
from tests.support.clock import TravellingClock


def touches(user_id: object) -> list[tuple[str, str, Any]]:
    """What somebody with users:write may do to an account that is not above them."""
    return [
        ("PUT", f"/users/{user_id}/status", {"active": False}),
        ("PATCH", f"/users/{user_id}", {"email": f"{api.new_username()}@example.com"}),
        ("PATCH", f"/users/{user_id}", {"display_name": "Somebody Else"}),
        ("POST", f"/users/{user_id}/verify-email", None),
        ("POST", f"/users/{user_id}/password-reset", None),
        ("DELETE", f"/users/{user_id}/sessions", None),
        ("DELETE", f"/users/{user_id}/sessions/{uuid.uuid4()}", None),
        ("DELETE", f"/users/{user_id}/lockouts", None),
    ]


@pytest.mark.asvs("V8.2.1", "V8.3.1")
@pytest.mark.parametrize("above", [Role.ADMIN, Role.AUDITOR])
async def test_support_touches_nobody_who_holds_more(app: FastAPI, client: AsyncClient, server: Server, above: Role) -> None:
    support, other = await new_staff(app, client, Role.SUPPORT), await new_staff(app, client, above)
    before = (await client.get(f"/users/{other.id}", headers=support.headers)).json()
    asked = touches(other.id)
    for method, path, body in asked:
        answer = await client.request(method, path, json=body, headers=support.headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path)
    assert (await client.get(f"/users/{other.id}", headers=support.headers)).json() == before
    assert await status_of(client, other.tokens) == 200
    denied = await events(server, "access.denied", subject_id=uuid.UUID(other.id))
    assert [(str(each.actor_id), each.session_id, each.data) for each in denied] == [
        (support.id, sid_of(support.tokens), {"reason": "outranked"})
    ] * len(asked)


async def test_support_touches_users_and_other_support(app: FastAPI, client: AsyncClient) -> None:
    support = await new_staff(app, client, Role.SUPPORT)
    for other in (await api.new_user(client), await new_staff(app, client, Role.SUPPORT)):
        for method, path, body in touches(other.id)[1:6]:
            answer = await client.request(method, path, json=body, headers=support.headers)
            assert answer.status_code in {200, 202, 204}, (method, path, answer.text)


@pytest.mark.asvs("V8.2.1")
async def test_nobody_gives_a_role_that_holds_more(app: FastAPI, client: AsyncClient, server: Server) -> None:
    support = await new_staff(app, client, Role.SUPPORT)
    for role, status in (("admin", 403), ("auditor", 403), ("support", 201), ("user", 201)):
        name = api.new_username()
        body = {"username": name, "email": f"{name}@example.com", "role": role}
        assert (await client.post("/users/", json=body, headers=support.headers)).status_code == status, role
        invited = {"email": f"{api.new_username()}@example.com", "role": role}
        assert (await client.post("/users/invitations", json=invited, headers=support.headers)).status_code == status, role
    assert len(await events(server, "access.denied")) == 4
    assert {each.data["role"] for each in await events(server, "user.created")} == {"support", "user"}


async def test_support_takes_no_invitation_back_that_gives_more(app: FastAPI, client: AsyncClient) -> None:
    boss, support = await api.new_admin(app, client), await new_staff(app, client, Role.SUPPORT)
    email = f"{api.new_username()}@example.com"
    made = await client.post("/users/invitations", json={"email": email, "role": "admin"}, headers=boss.headers)
    answers = [
        await client.delete(f"/users/invitations/{made.json()['id']}", headers=support.headers),
        await client.post("/users/invitations", json={"email": email}, headers=support.headers),
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    (still,) = (await client.get("/users/invitations", headers=boss.headers)).json()["items"]
    assert (still["id"], still["role"]) == (made.json()["id"], "admin")


@pytest.mark.asvs("V8.3.2")
async def test_what_the_row_says_behind_the_lock_counts(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    """Whoever was demoted since the request began does nothing, though the session lives and the caller says admin."""
    boss, user = await api.new_admin(app, client), await api.new_user(client)
    await api.new_admin(app, client)
    async with server.database.read() as db:
        account = (await users.get_user(db, uuid.UUID(boss.id))).account()
    caller = Caller(account, sid_of(boss.tokens), "", None, Client("192.0.2.1", "test", "request"))
    await give_role(app, boss.username, Role.SUPPORT)
    with pytest.raises(OutOfReach):
        async with server.database.write() as db:
            await users.set_role(db, caller, uuid.UUID(user.id), Role.ADMIN, clock())
    with pytest.raises(Forbidden):
        async with server.database.write() as db:
            await users.delete_user(db, caller, uuid.UUID(user.id), clock())
    assert (await client.get("/auth/me", headers=user.headers)).json()["role"] == "user"
    assert [each.data for each in await events(server, "access.denied")] == [{"reason": "permission"}] * 2


async def test_a_demoted_inviters_invitation_gives_nothing(app: FastAPI, client: AsyncClient, smtp: Any, work: Any) -> None:
    from tests.support.smtp import links_in

    boss = await api.new_admin(app, client)
    email = f"{api.new_username()}@example.com"
    await client.post("/users/invitations", json={"email": email, "role": "admin"}, headers=boss.headers)
    await work()
    (link,) = {link for link in links_in(smtp.wait_for(email)) if "token=" in link}
    await give_role(app, boss.username, Role.SUPPORT)  # by the row alone: else the invitation would be withdrawn
    body = {"token": link.partition("token=")[2], "username": api.new_username(), "password": api.PASSWORD}
    assert (await client.post("/auth/invitations/accept", json=body)).json()["code"] == "ticket_invalid"


def test_mfa_for_admins_means_all_staff() -> None:
    from types import SimpleNamespace

    kit: Any = SimpleNamespace(rule="admins")
    owing: list[Any] = [SimpleNamespace(role=role) for role in Role]
    assert [account.role for account in owing if applies(kit, account)] == [Role.SUPPORT, Role.AUDITOR, Role.ADMIN]
