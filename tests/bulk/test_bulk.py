"""Starting, doing and watching: each action on many accounts, and who may begin what."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import insert

from app.auth.models import RememberedDevice
from app.core.server import Server
from app.users import service as users
from app.users.holding import Held, hold_with_admins
from tests.bulk.scene import ask, begun, counts, events, look, new_staff, people, refusal
from tests.mail.postman import RESET, Postman, rows_of
from tests.support import api
from tests.support.clock import TravellingClock

Worker = Callable[[], Awaitable[int]]


async def test_a_selection_is_disabled_and_the_rest_is_not(
    admin: api.User, client: AsyncClient, server: Server, work: Worker
) -> None:
    ids = await people(server, 5)
    answer = await ask(client, admin, action="disable", ids=[ids[0], ids[2], ids[2]])
    assert answer.status_code == 201
    body = answer.json()
    assert (body["state"], body["left"], counts(body)) == ("running", 2, (2, 0, 0, 0, 0))
    assert (body["started_by"], body["acting_id"], body["ended_at"]) == (admin.id, admin.id, None)
    await work()
    found = await look(client, admin, body["id"])
    assert (found["state"], found["left"], counts(found)) == ("done", 0, (2, 2, 0, 0, 0))
    assert found["ended_at"] is not None
    disabled = {str(row["id"]) for row in await rows_of(server, "users") if row["disabled_at"] is not None}
    assert disabled == {ids[0], ids[2]}


async def test_every_act_is_recorded_as_the_starters_under_the_id_of_the_bulk_action(
    admin: api.User, client: AsyncClient, server: Server, work: Worker
) -> None:
    ids = await people(server, 3)
    bulk_id = await begun(client, admin, action="disable", ids=ids)
    await work()
    rows = await events(server, "user.status.changed")
    assert sorted(str(row["subject_id"]) for row in rows) == ids
    assert {(str(row["actor_id"]), row["request_id"]) for row in rows} == {(admin.id, uuid.UUID(bulk_id).hex)}
    (started,) = await events(server, "bulk.started")
    assert (str(started["actor_id"]), started["data"]) == (admin.id, {"bulk": bulk_id, "action": "disable", "total": 3})
    (ended,) = await events(server, "bulk.ended")
    assert ended["data"] == {"bulk": bulk_id, "total": 3, "done": 3, "skipped": 0, "refused": 0, "failed": 0}


async def test_a_filter_means_who_matches_it_by_then_and_nobody_who_came_later(
    admin: api.User, client: AsyncClient, server: Server, work: Worker, monkeypatch: pytest.MonkeyPatch, clock: TravellingClock
) -> None:
    monkeypatch.setattr("app.bulk.running.COLLECTED_AT_ONCE", 4)
    ids = await people(server, 10, "robot")
    await people(server, 3, "human")
    await people(server, 2, "robot-x", role="auditor")
    bulk_id = await begun(client, admin, action="disable", filter={"q": "ROBOT", "role": "user", "active": True})
    assert (await look(client, admin, bulk_id))["state"] == "collecting"
    await people(server, 1, "robot-late", created_at=clock() + timedelta(seconds=1))
    await work()
    found = await look(client, admin, bulk_id)
    assert (found["state"], counts(found)) == ("done", (10, 10, 0, 0, 0))
    disabled = sorted(str(row["id"]) for row in await rows_of(server, "users") if row["disabled_at"] is not None)
    assert disabled == ids
    (row,) = await rows_of(server, "bulk_actions")
    assert row["filter"] is None  # it may have been somebody's address
    (started,) = await events(server, "bulk.started")
    assert "robot" not in repr(started["data"]).lower()


async def test_log_out_ends_every_session_at_once(admin: api.User, client: AsyncClient, server: Server, work: Worker) -> None:
    one, other = await api.new_user(client), await api.new_user(client)
    await begun(client, admin, action="log_out", ids=[one.id])
    await work()
    assert (await client.get("/auth/me", headers=one.headers)).status_code == 401
    assert (await client.get("/auth/me", headers=other.headers)).status_code == 200
    assert (await client.get("/auth/me", headers=admin.headers)).status_code == 200


async def test_send_reset_mails_each_once(admin: api.User, client: AsyncClient, server: Server, postman: Postman) -> None:
    users = [await api.new_user(client) for _ in range(3)]
    (off,) = await people(server, 1, disabled_at=postman.clock())
    bulk_id = await begun(client, admin, action="send_reset", ids=[*(user.id for user in users), off])
    await postman.work()
    await postman.deliver()
    assert [len(postman.smtp.sent_to(user.email, RESET)) for user in users] == [1, 1, 1]
    found = await look(client, admin, bulk_id)
    assert found["reasons"] == [{"state": "skipped", "reason": "not_usable", "count": 1}]
    assert [(each["user_id"], each["reason"]) for each in found["not_done"]] == [(off, "not_usable")]


async def test_each_act_leaves_what_the_single_act_leaves(
    admin: api.User, client: AsyncClient, server: Server, postman: Postman
) -> None:
    """Who had a link mailed, what an address was before; and a browser that was remembered is so no more."""
    user = await api.new_user(client)
    async with server.database.write() as db:
        values = {"id": uuid.uuid4(), "user_id": uuid.UUID(user.id), "user_agent": "test", "created_at": server.clock()}
        await db.execute(insert(RememberedDevice).values(values | {"expires_at": server.clock() + timedelta(days=1)}))
    for action in ("send_reset", "verify_email", "log_out"):
        bulk_id = await begun(client, admin, action=action, ids=[user.id])
        await postman.work()
        assert counts(await look(client, admin, bulk_id)) == (1, 1, 0, 0, 0), action
    (sent,) = await events(server, "user.password.reset_sent")
    assert (str(sent["actor_id"]), str(sent["subject_id"])) == (admin.id, user.id)
    (vouched,) = await events(server, "user.email.verified")
    assert (str(vouched["actor_id"]), vouched["data"]) == (admin.id, {"before": False, "after": True})
    assert await rows_of(server, "remembered_devices") == []


async def test_verify_role_factor_and_delete(admin: api.User, client: AsyncClient, server: Server, work: Worker) -> None:
    ids = await people(server, 2)
    for action, more in (
        ("verify_email", {}),
        ("require_factor", {}),
        ("release_factor", {}),
        ("set_role", {"role": "support"}),
        ("enable", {}),
        ("delete", {}),
    ):
        bulk_id = await begun(client, admin, action=action, ids=ids, **more)
        await work()
        found = await look(client, admin, bulk_id)
        expected = (2, 0, 2, 0, 0) if action == "enable" else (2, 2, 0, 0, 0)
        assert (action, found["state"], counts(found)) == (action, "done", expected)
        rows = [row for row in await rows_of(server, "users") if str(row["id"]) in ids]
        if action == "verify_email":
            assert all(row["email_verified_at"] for row in rows)
        if action == "set_role":
            assert [row["role"] for row in rows] == ["support", "support"]
    assert rows == []
    required = [each["data"]["required"] for each in await events(server, "user.factors.required")]
    assert sorted(required) == [False, False, True, True]
    assert len(await events(server, "user.deleted")) == 2


async def test_the_own_account_the_last_admin_who_is_gone_and_who_is_so_already_are_skipped(
    app: FastAPI, admin: api.User, client: AsyncClient, server: Server, work: Worker
) -> None:
    (off,) = await people(server, 1, disabled_at=server.clock())
    gone = str(uuid.uuid4())
    bulk_id = await begun(client, admin, action="disable", ids=[admin.id, off, gone])
    await work()
    found = await look(client, admin, bulk_id)
    assert {each["user_id"]: each["reason"] for each in found["not_done"]} == {
        admin.id: "own_account",
        off: "unchanged",
        gone: "gone",
    }
    assert counts(found) == (3, 0, 3, 0, 0)
    assert (await client.get("/auth/me", headers=admin.headers)).status_code == 200


@pytest.mark.parametrize(("action", "more"), [("disable", {}), ("delete", {}), ("set_role", {"role": "user"})])
async def test_whom_the_service_finds_to_be_the_last_admin_is_skipped_and_that_is_recorded(
    admin: api.User,
    client: AsyncClient,
    server: Server,
    work: Worker,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    more: dict[str, Any],
) -> None:
    """Nobody but an admin reaches an admin, so there are two: the rule is made to see one."""

    async def see_one(db: Any, caller: Any, user_id: uuid.UUID, now: Any, permission: Any) -> Held:
        return replace(await hold_with_admins(db, caller, user_id, now, permission), admins=frozenset({user_id}))

    (other,) = await people(server, 1, role="admin")
    bulk_id = await begun(client, admin, action=action, ids=[other], **more)
    monkeypatch.setattr(users, "hold_with_admins", see_one)
    await work()
    found = await look(client, admin, bulk_id)
    assert (found["state"], counts(found)) == ("done", (1, 0, 1, 0, 0))
    assert found["not_done"] == [{"user_id": other, "state": "skipped", "reason": "last_admin"}]
    (denied,) = await events(server, "access.denied")
    assert (str(denied["actor_id"]), str(denied["subject_id"])) == (admin.id, other)
    assert (denied["data"], denied["request_id"]) == ({"reason": "last_admin"}, uuid.UUID(bulk_id).hex)
    (row,) = [row for row in await rows_of(server, "users") if str(row["id"]) == other]
    assert (row["role"], row["disabled_at"]) == ("admin", None)


async def test_nobody_touches_an_account_above_their_own(
    app: FastAPI, admin: api.User, client: AsyncClient, server: Server, work: Worker
) -> None:
    support = await new_staff(app, client, "support")
    (person,) = await people(server, 1)
    bulk_id = await begun(client, support, action="disable", ids=[admin.id, person])
    await work()
    found = await look(client, support, bulk_id)
    assert [(each["user_id"], each["state"]) for each in found["not_done"]] == [(admin.id, "refused")]
    assert counts(found) == (2, 1, 0, 1, 0)
    assert (await client.get("/auth/me", headers=admin.headers)).status_code == 200
    (denied,) = await events(server, "access.denied")
    assert (str(denied["actor_id"]), str(denied["subject_id"])) == (support.id, admin.id)
    assert (denied["data"], denied["request_id"]) == ({"reason": "outranked"}, uuid.UUID(bulk_id).hex)


@pytest.mark.parametrize(
    ("role", "action", "more", "status"),
    [
        ("support", "disable", {}, 201),
        ("support", "verify_email", {}, 201),
        ("support", "delete", {}, 403),
        ("support", "set_role", {"role": "user"}, 403),
        ("support", "require_factor", {}, 403),
        ("auditor", "disable", {}, 403),
        ("user", "disable", {}, 403),
        ("admin", "set_role", {"role": "admin"}, 201),
    ],
)
async def test_an_action_needs_the_permission_of_the_single_act(
    app: FastAPI, client: AsyncClient, server: Server, role: str, action: str, more: dict[str, Any], status: int
) -> None:
    staff = await new_staff(app, client, role)
    answer = await ask(client, staff, action=action, ids=[str(uuid.uuid4())], **more)
    assert answer.status_code == status
    assert len(await events(server, "access.denied")) == (1 if status == 403 else 0)
    assert len(await rows_of(server, "bulk_actions")) == (0 if status == 403 else 1)


async def test_starting_and_resuming_need_a_fresh_proof(
    admin: api.User, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    bulk_id = await begun(client, admin, action="disable", ids=[str(uuid.uuid4())])
    clock.advance(timedelta(minutes=10, seconds=1))
    code = (401, "insufficient_user_authentication")
    assert refusal(await ask(client, admin, action="disable", ids=[str(uuid.uuid4())])) == code
    stopped = await client.post(f"/users/bulk/{bulk_id}/stop", headers=admin.headers)
    assert stopped.status_code == 200
    assert refusal(await client.post(f"/users/bulk/{bulk_id}/resume", headers=admin.headers)) == code


async def test_odd_bodies_are_refused(admin: api.User, client: AsyncClient, server: Server) -> None:
    one = str(uuid.uuid4())
    for body in (
        {},
        {"action": "disable"},
        {"action": "disable", "ids": []},
        {"action": "disable", "ids": [one], "filter": {}},
        {"action": "explode", "ids": [one]},
        {"action": "disable", "ids": ["x"]},
        {"action": "disable", "ids": [one], "role": "admin"},
        {"action": "set_role", "ids": [one]},
        {"action": "set_role", "ids": [one], "role": "root"},
        {"action": "disable", "ids": [str(uuid.uuid4()) for _ in range(1001)]},
        {"action": "disable", "filter": {"q": "a\x00b"}},
        {"action": "disable", "filter": {"q": "x" * 255}},
        {"action": "disable", "filter": {"active": "yes"}},
        {"action": "disable", "filter": {"other": 1}},
        {"action": "disable", "filter": {}},  # everybody, by a mistake
        {"action": "disable", "filter": {"q": ""}},
        {"action": "disable", "filter": {"role": None, "active": None}},
        {"action": "disable", "filter": {"everybody": False}},
        {"action": "disable", "filter": {"everybody": True, "active": True}},
    ):
        assert refusal(await ask(client, admin, **body))[0] == 422, body
    for odd in ("x", "7"):
        assert (await client.get(f"/users/bulk/{odd}", headers=admin.headers)).status_code == 422
    for method, path in (("GET", ""), ("POST", "/stop"), ("POST", "/resume")):
        answer = await client.request(method, f"/users/bulk/{one}{path}", headers=admin.headers)
        assert refusal(answer) == (404, "not_found")
    assert await rows_of(server, "bulk_actions") == []


async def test_four_run_side_by_side_and_a_fifth_waits(
    admin: api.User, client: AsyncClient, server: Server, work: Worker
) -> None:
    (person,) = await people(server, 1)
    for _ in range(4):
        await begun(client, admin, action="log_out", ids=[person])
    assert refusal(await ask(client, admin, action="log_out", ids=[person])) == (409, "bulk_busy")
    await work()
    await begun(client, admin, action="log_out", ids=[person])


async def test_the_list_is_paged_newest_first(admin: api.User, client: AsyncClient, server: Server) -> None:
    made = [await begun(client, admin, action="enable", ids=[str(uuid.uuid4())]) for _ in range(3)]
    first = (await client.get("/users/bulk?limit=2", headers=admin.headers)).json()
    second = (await client.get("/users/bulk", params={"cursor": first["next_cursor"]}, headers=admin.headers)).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None
    assert (await client.get("/users/bulk?cursor=x", headers=admin.headers)).status_code == 422


async def test_everybody_is_said_and_who_proved_their_address_can_be_chosen(
    admin: api.User, client: AsyncClient, server: Server, work: Worker, clock: TravellingClock
) -> None:
    proved, not_proved = await people(server, 2, "proved", email_verified_at=clock()), await people(server, 3, "open")
    some = await begun(client, admin, action="require_factor", filter={"verified": True, "role": "user"})
    await work()
    assert counts(await look(client, admin, some)) == (2, 2, 0, 0, 0)
    required = {str(each["subject_id"]) for each in await events(server, "user.factors.required")}
    assert required == set(proved)
    everybody = await begun(client, admin, action="disable", filter={"everybody": True})
    await work()
    found = await look(client, admin, everybody)
    assert counts(found) == (len(proved) + len(not_proved) + 1, 5, 1, 0, 0)  # all but the admin's own
