"""What staff do for people over the API: accounts made and changed, addresses vouched for, sessions ended, waits lifted."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.permissions import Role
from app.core.server import Server
from tests.auth.scene import assert_dead, events, sid_of, status_of
from tests.permissions.scene import new_staff
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import links_in


@pytest.fixture
async def support(app: FastAPI, client: AsyncClient) -> api.User:
    return await new_staff(app, client, Role.SUPPORT)


async def fail_until_stopped(client: AsyncClient, user: api.User, clock: TravellingClock) -> None:
    """Fifty failures of a stranger, one after the other, who waits as long as it takes."""
    client.cookies.clear()  # no device that the account was signed in on
    for _ in range(50):
        clock.advance(seconds=901)
        form = {"username": user.username, "password": "wrong-password-1!"}
        assert (await client.post("/auth/login", data=form)).status_code == 401
    clock.advance(seconds=901)


def token_in(mail: Any) -> str:
    (link,) = {link for link in links_in(mail) if "token=" in link}
    return link.partition("token=")[2]


async def test_an_account_made_with_a_password_signs_in(client: AsyncClient, support: api.User, server: Server) -> None:
    name = api.new_username()
    body = {"username": name, "email": f"{name}@example.com", "password": api.PASSWORD, "locale": "de"}
    made = await client.post("/users/", json=body, headers=support.headers)
    assert (made.status_code, made.json()["role"], made.json()["email_verified"]) == (201, "user", False)
    assert api.PASSWORD not in made.text
    assert await status_of(client, await api.login(client, name)) == 200
    (event,) = await events(server, "user.created")
    assert (str(event.actor_id), str(event.subject_id), event.data) == (support.id, made.json()["id"], {"role": "user"})
    again = await client.post("/users/", json=body, headers=support.headers)
    assert (again.status_code, again.json()["code"]) == (409, "username_taken")
    other = body | {"username": api.new_username()}
    assert (await client.post("/users/", json=other, headers=support.headers)).json()["code"] == "email_taken"
    weak = other | {"password": "password", "email": f"{api.new_username()}@example.com"}
    assert (await client.post("/users/", json=weak, headers=support.headers)).json()["code"] == "password_rejected"


async def test_an_account_made_without_a_password_gets_a_link_to_choose_one(
    client: AsyncClient, support: api.User, clock: TravellingClock, smtp: Any, work: Any
) -> None:
    name = api.new_username()
    email = f"{name}@example.com"
    made = await client.post("/users/", json={"username": name, "email": email}, headers=support.headers)
    assert made.status_code == 201
    clock.advance(seconds=3)
    await work()
    mail = smtp.wait_for(email)
    assert mail["subject"] == "An account was made for you"
    clock.advance(seconds=6 * 86_400)
    chosen = {"token": token_in(mail), "new_password": api.PASSWORD}
    assert (await client.post("/auth/reset-password", json=chosen)).status_code == 204
    assert (await client.post("/auth/reset-password", json=chosen)).json()["code"] == "ticket_invalid"
    me = await client.get("/auth/me", headers=api.bearer(await api.login(client, name)))
    assert me.json()["email_verified"] is True


@pytest.mark.usefixtures("no_welcome_mail")
async def test_a_changed_address_is_unproved_and_the_old_one_takes_the_account_back(
    client: AsyncClient, support: api.User, server: Server, smtp: Any, work: Any
) -> None:
    user, thief = await api.new_user(client), f"{api.new_username()}@example.com"
    await client.post(f"/users/{user.id}/verify-email", headers=support.headers)
    changed = await client.patch(f"/users/{user.id}", json={"email": thief}, headers=support.headers)
    assert (changed.status_code, changed.json()["email"], changed.json()["email_verified"]) == (200, thief, False)
    (event,) = await events(server, "user.email.changed")
    assert (str(event.actor_id), str(event.subject_id)) == (support.id, user.id)
    moved = {"email_before": user.email, "email_after": thief}
    assert (event.data, event.personal) == ({"before": True, "after": False}, moved)
    await work()
    undo = {"token": token_in(smtp.wait_for(user.email))}
    assert (await client.post("/auth/me/email/undo", json=undo)).status_code == 204
    found = (await client.get(f"/users/{user.id}", headers=support.headers)).json()
    assert (found["email"], await status_of(client, user.tokens)) == (user.email, 401)


async def test_editing_is_all_or_nothing_and_finds_what_is_taken(client: AsyncClient, support: api.User, server: Server) -> None:
    user, other = await api.new_user(client), await api.new_user(client)
    both = {"display_name": "Another Name", "email": other.email}
    refused = await client.patch(f"/users/{user.id}", json=both, headers=support.headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "email_taken")
    found = (await client.get(f"/users/{user.id}", headers=support.headers)).json()
    assert (found["display_name"], found["email"]) == (None, user.email)
    taken = await client.patch(f"/users/{user.id}", json={"username": other.username}, headers=support.headers)
    assert taken.json()["code"] == "username_taken"
    same = await client.patch(f"/users/{user.id}", json={"email": user.email}, headers=support.headers)
    assert (same.status_code, await events(server, "user.email.changed")) == (200, [])
    none = await client.patch(f"/users/{user.id}", json={"email": None}, headers=support.headers)
    assert none.status_code == 422


async def test_editing_takes_a_fresh_proof(client: AsyncClient, support: api.User, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    clock.advance(seconds=660)
    answer = await client.patch(f"/users/{user.id}", json={"display_name": "Late"}, headers=support.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication")


@pytest.mark.asvs("V7.5.3")
async def test_giving_a_role_of_staff_and_deleting_take_a_fresh_proof(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    """A stolen session that is older makes nobody of the staff, by no way there is."""
    boss, user = await api.new_admin(app, client), await api.new_user(client)
    clock.advance(seconds=660)
    name = api.new_username()
    account = {"username": name, "email": f"{name}@example.com", "password": api.PASSWORD}
    for method, path, body in (
        ("PUT", f"/users/{user.id}/role", {"role": "admin"}),
        ("POST", "/users/", account | {"role": "support"}),
        ("POST", "/users/invitations", {"email": f"{name}@example.com", "role": "auditor"}),
        ("POST", "/users/bulk", {"action": "set_role", "role": "admin", "ids": [user.id]}),
        ("DELETE", f"/users/{user.id}", None),
    ):
        answer = await client.request(method, path, json=body, headers=boss.headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication"), (method, path)
    assert (await client.get(f"/users/{user.id}", headers=boss.headers)).json()["role"] == "user"
    assert await events(server, "user.invited") == []
    assert (await client.post("/users/", json=account, headers=boss.headers)).json()["role"] == "user"
    invited = {"email": f"{api.new_username()}@example.com"}
    assert (await client.post("/users/invitations", json=invited, headers=boss.headers)).status_code == 201


async def test_vouching_is_recorded_once(client: AsyncClient, support: api.User, server: Server) -> None:
    user = await api.new_user(client)
    for _ in range(2):
        answer = await client.post(f"/users/{user.id}/verify-email", headers=support.headers)
        assert (answer.status_code, answer.json()["email_verified"]) == (200, True)
    (event,) = await events(server, "user.email.verified")
    assert (str(event.actor_id), event.data) == (support.id, {"before": False, "after": True})


@pytest.mark.usefixtures("no_welcome_mail")
async def test_a_reset_is_mailed_and_does_not_say_where_staff_sit(
    client: AsyncClient, support: api.User, server: Server, clock: TravellingClock, smtp: Any, work: Any
) -> None:
    user = await api.new_user(client)
    assert (await client.post(f"/users/{user.id}/password-reset", headers=support.headers)).status_code == 202
    assert await status_of(client, user.tokens) == 200
    clock.advance(seconds=3)
    await work()
    assert smtp.wait_for(user.email)["subject"] == "Reset your password"
    (sent,) = await events(server, "user.password.reset_sent")
    (issued,) = await events(server, "user.password.reset_requested")
    assert (str(sent.actor_id), str(sent.subject_id), sent.address != "") == (support.id, user.id, True)
    assert (issued.address, issued.user_agent) == ("", "")
    await client.put(f"/users/{user.id}/status", json={"active": False}, headers=support.headers)
    closed = await client.post(f"/users/{user.id}/password-reset", headers=support.headers)
    assert (closed.status_code, closed.json()["code"]) == (409, "account_closed")


async def test_somebodys_sessions_are_seen_and_ended(client: AsyncClient, support: api.User, server: Server) -> None:
    user, bystander = await api.new_user(client), await api.new_user(client)
    second = await api.login(client, user.username)
    path = f"/users/{user.id}/sessions"
    seen = (await client.get(path, headers=support.headers)).json()
    assert {each["id"] for each in seen} == {str(sid_of(user.tokens)), str(sid_of(second))}
    assert not any(each["current"] for each in seen)
    other = await client.delete(f"{path}/{sid_of(bystander.tokens)}", headers=support.headers)
    assert (other.status_code, await status_of(client, bystander.tokens)) == (404, 200)
    for status in (204, 404):
        assert (await client.delete(f"{path}/{sid_of(second)}", headers=support.headers)).status_code == status
    await assert_dead(client, second)
    assert await status_of(client, user.tokens) == 200
    for _ in range(2):
        assert (await client.delete(path, headers=support.headers)).status_code == 204
    await assert_dead(client, user.tokens)
    one, everything = await events(server, "session.ended", subject_id=uuid.UUID(user.id))
    assert one.data == {"reason": "ended_by_staff", "ended": str(sid_of(second))}
    assert everything.data == {"reason": "ended_by_staff", "sessions": 1}


async def test_a_stop_is_seen_and_lifted(client: AsyncClient, support: api.User, server: Server, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    path = f"/users/{user.id}/lockouts"
    assert (await client.get(path, headers=support.headers)).json() == []
    await fail_until_stopped(client, user, clock)
    right = {"username": user.username, "password": user.password}
    assert (await client.post("/auth/login", data=right)).status_code == 401
    headers = api.bearer(await api.login(client, support.username))
    found = {each["kind"]: each for each in (await client.get(path, headers=headers)).json()}
    assert set(found) == {"username", "account"}
    assert found["account"]["until"] is not None
    (stop,) = (await client.get("/lockouts", headers=headers)).json()
    assert (stop["user_id"], stop["username"], stop["until"]) == (user.id, user.username, found["account"]["until"])
    for _ in range(2):
        assert (await client.delete(path, headers=headers)).status_code == 204
    assert (await client.get(path, headers=headers)).json() == (await client.get("/lockouts", headers=headers)).json() == []
    assert (await client.post("/auth/login", data=right)).status_code == 200
    (event,) = await events(server, "user.lockouts.lifted")
    assert (str(event.actor_id), event.data) == (support.id, {"kinds": ["username", "account"]})


async def test_a_stop_that_ran_out_is_none(client: AsyncClient, support: api.User, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    await fail_until_stopped(client, user, clock)
    clock.advance(timedelta(days=30, minutes=1))
    headers = api.bearer(await api.login(client, support.username))
    assert (await client.get("/lockouts", headers=headers)).json() == []
    assert (await client.get(f"/users/{user.id}/lockouts", headers=headers)).json() == []


async def test_nobody_is_not_found(client: AsyncClient, support: api.User) -> None:
    nobody = uuid.uuid4()
    for method, path, body in (
        ("PATCH", "", {"display_name": "Nobody"}),
        ("POST", "/verify-email", None),
        ("POST", "/password-reset", None),
        ("GET", "/sessions", None),
        ("DELETE", "/sessions", None),
        ("DELETE", f"/sessions/{nobody}", None),
        ("GET", "/lockouts", None),
        ("DELETE", "/lockouts", None),
    ):
        answer = await client.request(method, f"/users/{nobody}{path}", json=body, headers=support.headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path)
