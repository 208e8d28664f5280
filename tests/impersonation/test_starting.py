"""Who may act as whom, why, and what comes of it."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.permissions import Role
from app.core.server import Server
from tests.auth.scene import claims_of, events, execute, session_row
from tests.impersonation.scene import REASON, act, ask, parent_of, set_role, somebody
from tests.mfa.app_of import enrol
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer

# Written by hand: who may act as whom.
MAY = {
    ("admin", "user"),
    ("admin", "support"),
    ("admin", "auditor"),
    ("support", "user"),
}
ROLES = ("user", "support", "auditor", "admin")


async def test_support_acts_as_a_person_and_the_token_says_so(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    body = acting.answer
    assert set(body) == {"access_token", "token_type", "expires_in", "session_id", "expires_at"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 1800)
    claims = claims_of(body["access_token"])
    assert (claims["sub"], claims["act"]) == (acting.person.id, {"sub": acting.staff.id})
    assert (claims["auth_time"], claims["amr"], claims["acr"], claims["role"]) == (0, [], "none", "user")
    assert claims["exp"] - claims["iat"] == 1800
    me = (await client.get("/auth/me", headers=acting.headers)).json()
    own = (await client.get("/auth/me", headers=acting.person.headers)).json()
    assert me == {**own, "impersonated_by": acting.staff.id}
    assert "impersonated_by" not in own


@pytest.mark.parametrize("way", ["", "/below", "/envoy/x"])
async def test_a_gateway_is_told_who_acts(client: AsyncClient, server: Server, way: str) -> None:
    acting = await act(server, client)
    forged = {"X-Auth-Actor": str(uuid.uuid4())}
    told = await client.get(f"/auth/verify{way}", headers={**acting.headers, **forged})
    assert (told.status_code, told.headers["x-auth-user"]) == (200 if "envoy" in way else 204, acting.person.id)
    assert told.headers["x-auth-actor"] == acting.staff.id
    own = await client.get(f"/auth/verify{way}", headers={**acting.person.headers, **forged})
    assert "x-auth-actor" not in own.headers


async def test_a_gateway_that_asks_for_a_proof_or_for_staff_gets_a_no(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client, "admin", "support")
    asked = {"acr=aal1": 403, "max_age=999999999": 403, "role=support": 403, "role=user": 403, "other=1": 204, "": 204}
    for query, status in asked.items():
        answer = await client.get(f"/auth/verify?{query}", headers=acting.headers)
        assert answer.status_code == status, query
    refused = await events(server, "access.denied", subject_id=uuid.UUID(acting.person.id))
    assert len(refused) == 4
    plain = await act(server, client)
    assert (await client.get("/auth/verify?role=user", headers=plain.headers)).status_code == 204


@pytest.mark.parametrize("mine", ROLES)
async def test_every_role_against_every_other(client: AsyncClient, server: Server, mine: str) -> None:
    assert {role.value for role in Role} == set(ROLES)
    one = await somebody(server, client, mine)
    for theirs in ROLES:
        other = await somebody(server, client, theirs)
        answer = await ask(client, one.headers, other.id)
        assert answer.status_code == (201 if (mine, theirs) in MAY else 403), (mine, theirs)
    assert (await ask(client, one.headers, one.id)).status_code == 403
    denied = await events(server, "access.denied", actor_id=uuid.UUID(one.id))
    assert len(denied) == 5 - sum(mine == each for each, _ in MAY)


async def test_an_account_of_a_role_that_is_not_known_here_is_nobodys_to_act_as(client: AsyncClient, server: Server) -> None:
    boss, other = await somebody(server, client, "admin"), await somebody(server, client, "user")
    await set_role(server, other.id, "of-a-newer-version")
    assert (await ask(client, boss.headers, other.id)).status_code == 403


async def test_nobody_is_acted_as_who_is_not_there(client: AsyncClient, server: Server) -> None:
    staff = await somebody(server, client, "support")
    unknown = await ask(client, staff.headers, str(uuid.uuid4()))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (await ask(client, staff.headers, "no-uuid")).status_code == 422
    assert (await ask(client, {}, staff.id)).status_code == 401
    for column in ("disabled_at", "leaving_at"):
        person = await somebody(server, client, "user")
        value = {"who": person.username}
        await execute(server, f"UPDATE users SET {column} = created_at WHERE username = :who", **value)
        closed = await ask(client, staff.headers, person.id)
        assert (closed.status_code, closed.json()["code"]) == (409, "account_closed")


async def test_it_takes_a_fresh_proof(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    staff, person = await somebody(server, client, "support"), await somebody(server, client, "user")
    clock.advance(seconds=601)
    old = await ask(client, staff.headers, person.id)
    assert (old.status_code, old.json()["code"]) == (401, "insufficient_user_authentication")
    proved = await client.post("/auth/reauthenticate", json={"password": staff.password}, headers=staff.headers)
    assert (await ask(client, api.bearer(proved.json()), person.id)).status_code == 201


async def test_who_has_a_second_factor_gives_it(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    staff, person = await somebody(server, client, "support"), await somebody(server, client, "user")
    guarded = await enrol(client, clock, staff)
    assert (await ask(client, guarded.headers, person.id)).status_code == 201
    clock.advance(seconds=601)
    weak = await client.post("/auth/reauthenticate", json={"password": staff.password}, headers=guarded.headers)
    assert weak.status_code == 401
    answer = await ask(client, guarded.headers, person.id)
    assert (answer.status_code, 'acr_values="aal2"' in answer.headers["www-authenticate"]) == (401, True)


async def test_nobody_acts_as_another_from_within_acting(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client, "admin", "support")
    third = await somebody(server, client, "user")
    nested = await ask(client, acting.headers, third.id)
    assert (nested.status_code, nested.json()["code"]) == (403, "impersonated")
    again = await ask(client, acting.headers, acting.staff.id)
    assert (again.status_code, again.json()["code"]) == (403, "impersonated")


HOSTILE: list[Any] = [
    "",
    "   ",
    "ab",
    "...---...",
    "\u200b\u200b\u200b\u200b",
    "a\x00bcd",
    "abc\ndef",
    "\u202eabcdef",
    "x" * 201,
    "x" * 60_000,
    None,
    4711,
    ["abc"],
    {"a": "b"},
]


async def test_an_odd_reason_is_refused(client: AsyncClient, server: Server) -> None:
    staff, person = await somebody(server, client, "support"), await somebody(server, client, "user")
    for reason in HOSTILE:
        answer = await ask(client, staff.headers, person.id, reason)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), reason
    more = {"reason": REASON, "minutes": 600}
    assert (await client.post(f"/users/{person.id}/impersonate", json=more, headers=staff.headers)).status_code == 422
    assert (await client.post(f"/users/{person.id}/impersonate", headers=staff.headers)).status_code == 422
    assert await events(server, "impersonation.started") == []
    for kept in ("  “Öffnet nicht” – <b>#4711</b>  ", "😀 why", "x" * 200):
        assert (await ask(client, staff.headers, person.id, kept)).status_code == 201
    reasons = [event.said["stated_reason"] for event in await events(server, "impersonation.started")]
    assert reasons == ["“Öffnet nicht” – <b>#4711</b>", "😀 why", "x" * 200]


async def test_it_is_recorded_by_whom_as_whom_and_why(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    (started,) = await events(server, "impersonation.started")
    assert (started.actor_id, started.subject_id) == (uuid.UUID(acting.staff.id), uuid.UUID(acting.person.id))
    assert started.session_id == uuid.UUID(acting.answer["session_id"])
    assert (started.personal, started.data["parent"]) == ({"stated_reason": REASON}, parent_of(acting))
    assert (started.address, started.user_agent != "") == ("127.0.0.1", True)
    assert acting.answer["access_token"] not in str(started.data)


async def test_the_person_sees_it_and_not_where_the_staff_sits(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    sessions = (await client.get("/auth/sessions", headers=acting.person.headers)).json()
    (marked,) = [each for each in sessions if each["impersonated"]]
    assert (marked["id"], marked["address"], marked["user_agent"]) == (acting.answer["session_id"], "", "")
    exported = (await client.get("/auth/me/export", headers=acting.person.headers)).json()["data"]
    (session,) = [each for each in exported["sessions"] if each["impersonated"]]
    assert (session["id"], session["address"]) == (acting.answer["session_id"], "")
    (event,) = [each for each in exported["events"] if each["fact"] == "impersonation.started"]
    assert (event["by"], event["about"], event["data"]["stated_reason"]) == ("somebody else", "you", REASON)
    assert "address" not in event
    assert acting.staff.id not in str(exported)
    assert acting.staff.username not in str(exported)


async def test_the_person_ends_it(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    sid = acting.answer["session_id"]
    assert (await client.delete(f"/auth/sessions/{sid}", headers=acting.person.headers)).status_code == 204
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 401
    assert (await client.get("/auth/me", headers=acting.staff.headers)).status_code == 200


async def test_erasing_the_person_takes_the_reason_away(app: FastAPI, client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    boss = await api.new_admin(app, client)
    assert (await client.delete(f"/users/{acting.person.id}", headers=boss.headers)).status_code == 204
    (started,) = await events(server, "impersonation.started")
    assert not started.personal
    assert started.data["parent"] == parent_of(acting)
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 401


async def test_the_person_is_told_by_mail(
    client: AsyncClient, server: Server, smtp: SmtpServer, work: Callable[[], Awaitable[int]], clock: TravellingClock
) -> None:
    acting = await act(server, client)
    clock.advance(seconds=5)
    await work()
    (mail,) = [each for each in smtp.messages if each["Subject"] == "Our support looked at your account"]
    assert mail["To"] == acting.person.email
    for part in mail.walk():
        if not part.is_multipart():
            assert acting.staff.username not in part.get_content()
            assert acting.person.username in part.get_content()
            assert REASON not in part.get_content()


@pytest.mark.env(IMPERSONATION_MAIL="false")
async def test_nobody_is_told_by_mail_where_that_is_so_set(
    client: AsyncClient, server: Server, smtp: SmtpServer, work: Callable[[], Awaitable[int]]
) -> None:
    await act(server, client)
    await work()
    assert "Our support looked at your account" not in [each["Subject"] for each in smtp.messages]
    assert len(await events(server, "impersonation.started")) == 1


@pytest.mark.env(RATE_LIMIT_IMPERSONATE="2/hour", RATE_LIMIT_ENABLED="true")
async def test_it_is_limited(client: AsyncClient, server: Server) -> None:
    staff, person = await somebody(server, client, "support"), await somebody(server, client, "user")
    assert [(await ask(client, staff.headers, person.id)).status_code for _ in range(3)] == [201, 201, 429]


async def test_a_parent_that_is_about_to_end_bounds_it(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    staff, person = await somebody(server, client, "support"), await somebody(server, client, "user")
    parent = uuid.UUID(claims_of(staff.tokens["access_token"])["sid"])
    left = (await session_row(server, parent)).expires_at - clock() - timedelta(minutes=5)
    clock.advance(seconds=left.total_seconds())
    again = await client.post("/auth/refresh", json={"refresh_token": staff.tokens["refresh_token"]})
    proved = await client.post("/auth/reauthenticate", json={"password": staff.password}, headers=api.bearer(again.json()))
    answer = await ask(client, api.bearer(proved.json()), person.id)
    assert answer.status_code == 201
    assert 290 <= answer.json()["expires_in"] <= 300
    clock.advance(seconds=280)
    assert (await client.get("/auth/me", headers=api.bearer(answer.json()))).status_code == 200
    clock.advance(seconds=20)
    assert (await client.get("/auth/me", headers=api.bearer(answer.json()))).status_code == 401
