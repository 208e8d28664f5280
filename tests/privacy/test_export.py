"""GET /auth/me/export: everything, of the caller alone, without a secret."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import insert

from app.audit.facts import Fact
from app.audit.models import AuditEvent
from app.core.server import Server
from tests.auth.scene import events
from tests.mail.postman import Postman, rows_of, token_in
from tests.privacy.scene import ADDRESS, AGENT, NAME, as_actor, someone
from tests.support import api
from tests.support.clock import TravellingClock


async def export(client: AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    answer = await client.get("/auth/me/export", headers=headers)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_it_is_a_file_that_nobody_keeps(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    answer = await client.get("/auth/me/export", headers=user.headers)
    assert answer.headers["content-disposition"] == 'attachment; filename="personal-data.json"'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"exported_at", "data"}
    (event,) = await events(server, "user.data.exported")
    assert (str(event.actor_id), str(event.subject_id)) == (user.id, user.id)
    assert answer.json()["data"]["events"][-1]["fact"] == "user.data.exported"


@pytest.mark.asvs("V15.3.1")
async def test_it_says_what_there_is_and_no_secret(
    app: FastAPI, client: AsyncClient, server: Server, postman: Postman, smtp: Any
) -> None:
    who = await someone(app, server, postman)
    await as_actor(server, who)
    data = await export(client, who.headers)
    assert data["account"]["display_name"] == NAME
    assert data["password"]["scheme"] == "bcrypt/04"
    assert [each["failures"] for each in data["password"]["failed_tries"]]
    assert len(data["sessions"]) == 2
    assert {(each["address"], each["user_agent"]) for each in data["sessions"]} == {(ADDRESS, AGENT)}
    assert len(data["devices"]) == 1
    assert {each["purpose"] for each in data["links"]} >= {"password-reset"}
    assert "password-reset" in {each["kind"] for each in data["jobs"]}
    assert not {"ticket", "browser"} & {key for each in data["jobs"] for key in each["payload"]}
    whole = json.dumps(data)
    rows = {name: await rows_of(server, name) for name in ("users", "sessions", "known_devices", "pending_registrations")}
    secrets = [row["password_hash"] for row in rows["users"] + rows["pending_registrations"]]
    secrets += [row["digest"].hex() for row in rows["known_devices"]]
    secrets += [who.user.tokens["access_token"], who.user.tokens["refresh_token"], who.user.tokens["device"]]
    secrets += [token_in(smtp.wait_for(who.user.email, subject="Reset your password"))]
    assert [secret for secret in secrets if secret in whole] == []


@pytest.mark.asvs("V8.2.2")
async def test_it_holds_nothing_of_other_people(app: FastAPI, client: AsyncClient, server: Server, postman: Postman) -> None:
    who, other = await someone(app, server, postman), await someone(app, server, postman)
    await as_actor(server, who)
    await as_actor(server, other)
    data = await export(client, who.headers)
    whole = json.dumps(data)
    assert other.user.username not in whole
    assert other.user.id not in whole
    by_an_admin = [event for event in data["events"] if event["by"] == "somebody else"]
    assert [(event["fact"], event["about"]) for event in by_an_admin] == [("user.status.changed", "you")]
    assert not {"address", "user_agent"} & set(by_an_admin[0])
    assert "198.51.100.9" not in whole
    to_others = [event["fact"] for event in data["events"] if event["about"] != "you"]
    assert to_others == ["user.role.changed", "user.deleted"]


async def test_every_record_is_in_it_however_many(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    row = {"at": server.clock(), "fact": Fact.LOGIN_FAILED, "actor_id": None, "session_id": None, "data": {}}
    row |= {"address": "192.0.2.1", "user_agent": "x", "request_id": "r"}
    me = (await rows_of(server, "users"))[0]["id"]
    async with server.database.write() as db:
        await db.execute(insert(AuditEvent), [row | {"subject_id": me} for _ in range(1_700)])
    data = await export(client, user.headers)
    ids = [event["id"] for event in data["events"]]
    assert len(ids) == len(await rows_of(server, "audit_events")) > 1_700
    assert ids == sorted(set(ids))


async def test_it_wants_a_fresh_proof(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    clock.advance(seconds=570)
    assert (await client.get("/auth/me/export", headers=user.headers)).status_code == 200
    clock.advance(seconds=31)
    answer = await client.get("/auth/me/export", headers=user.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication")
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_user_authentication", max_age=600'
    proof = await client.post("/auth/reauthenticate", json={"password": user.password}, headers=user.headers)
    fresh = {"Authorization": f"Bearer {proof.json()['access_token']}"}
    assert (await client.get("/auth/me/export", headers=fresh)).status_code == 200


async def test_nobody_else_gets_it(client: AsyncClient) -> None:
    user = await api.new_user(client)
    assert (await client.get("/auth/me/export")).status_code == 401
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    assert (await client.get("/auth/me/export", headers=user.headers)).status_code == 401


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_EXPORT="2/hour")
async def test_it_is_not_had_too_often(client: AsyncClient) -> None:
    user = await api.new_user(client)
    statuses = [(await client.get("/auth/me/export", headers=user.headers)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
