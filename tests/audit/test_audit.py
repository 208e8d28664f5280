"""The audit log: each security event exactly one row, in order, with who, whom, whence and by which request, and no secret."""

import asyncio
import json
import uuid
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.audit import service as audit
from app.audit.facts import Fact
from app.core.client import Client
from app.core.server import Server
from tests.mail.postman import NEW_PASSWORD, Postman, dump_of, near, rows_of, token_in
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock

AGENT = "Harbour/1.0 (test)"


async def events_of(server: Server, user_id: str) -> list[dict[str, Any]]:
    """What is on record of an account, in order."""
    rows = sorted(await rows_of(server, "audit_events"), key=lambda row: int(row["id"]))
    return [row for row in rows if str(row["subject_id"]) == user_id]


def request_id(answer: Response) -> str:
    return str(answer.headers["x-request-id"])


@pytest.mark.promise("P10")
@pytest.mark.asvs("V16.2.1", "V16.3.1")
async def test_a_whole_journey_leaves_one_row_for_each_event_in_order(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    client.headers["User-Agent"] = AGENT
    body = {"username": "ada", "email": "ada@example.com", "password": api.PASSWORD}
    registered = await client.post("/auth/register", json=body)
    user_id = registered.json()["id"]
    expected: list[tuple[str, Response, str | None]] = [("user.registered", registered, user_id)]

    async def step(fact: str | None, answer: Response, status: int, actor: str | None = user_id) -> Response:
        assert answer.status_code == status, answer.text
        if fact:
            expected.append((fact, answer, actor))
        return answer

    good, bad = {"username": "ada", "password": api.PASSWORD}, {"username": "ada", "password": "wrong"}
    await step("user.login.failed", await client.post("/auth/login", data=bad), 401, None)
    first = (await step("user.login.succeeded", await client.post("/auth/login", data=good), 200)).json()
    await step(None, await client.get("/auth/me", headers=api.bearer(first)), 200)
    await step("access.denied", await client.get("/users/", headers=api.bearer(first)), 403)
    await step(None, await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}), 200)
    change = {"current_password": "wrong", "new_password": NEW_PASSWORD}
    await step(
        "user.password.change_failed", await client.post("/auth/change-password", json=change, headers=api.bearer(first)), 400
    )
    change["current_password"] = api.PASSWORD
    second = (
        await step(
            "user.password.changed", await client.post("/auth/change-password", json=change, headers=api.bearer(first)), 200
        )
    ).json()
    asked = await postman.ask("ada@example.com")
    expected.append(("user.password.reset_requested", asked, None))
    await postman.deliver()

    token = token_in(postman.smtp.sent_to("ada@example.com", "Reset")[0])
    await step(None, await postman.reset(token, "weak"), 422)
    done = await step("user.email.verified", await postman.reset(token, "a third thing 3!"), 204)
    expected.append(("user.password.reset", done, None))
    await step(None, await postman.reset(token, "a fourth thing 4!"), 400)
    await step(None, await client.get("/auth/me", headers=api.bearer(second)), 401)
    again = {"username": "ada@example.com", "password": "a third thing 3!"}
    third = (await step("user.login.succeeded", await client.post("/auth/login", data=again), 200)).json()
    await step("session.ended", await client.post("/auth/logout", headers=api.bearer(third)), 204)
    await step(None, await client.post("/auth/logout", headers=api.bearer(third)), 401)

    found = await events_of(server, user_id)
    assert [event["fact"] for event in found] == [fact for fact, _, _ in expected]
    for event, (fact, answer, actor) in zip(found, expected, strict=True):
        assert event["request_id"] == request_id(answer), fact
        assert event["address"] == "127.0.0.1", fact
        assert event["user_agent"] == AGENT, fact
        assert (str(event["actor_id"]) if event["actor_id"] else None) == actor, fact
        assert near(event["at"], postman.clock(), 60), fact
    assert [event["at"] for event in found] == sorted(event["at"] for event in found)


@pytest.mark.promise("P10")
async def test_a_login_names_the_session_it_opened_and_an_end_the_session_it_ended(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    (session,) = await rows_of(server, "sessions")
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    by_fact = {event["fact"]: event for event in await events_of(server, user.id)}
    assert by_fact["session.ended"]["session_id"] == session["id"]
    assert by_fact["session.ended"]["data"] == {"reason": "logout"}
    assert by_fact["user.login.succeeded"]["session_id"] == session["id"]


@pytest.mark.promise("P10")
@pytest.mark.asvs("V16.3.3")
async def test_a_stolen_refresh_token_is_recorded_once_however_often_it_is_replayed(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    old = {"refresh_token": user.tokens["refresh_token"]}
    assert (await client.post("/auth/refresh", json=old)).status_code == 200
    clock.advance(seconds=30)
    replays = await asyncio.gather(*(client.post("/auth/refresh", json=old) for _ in range(5)))
    assert {answer.status_code for answer in replays} == {401}
    thefts = [event for event in await events_of(server, user.id) if event["fact"] == "session.theft_detected"]
    assert len(thefts) == 1
    (session,) = await rows_of(server, "sessions")
    assert thefts[0]["session_id"] == session["id"]
    assert thefts[0]["request_id"] in {request_id(answer) for answer in replays}


@pytest.mark.promise("P10")
@pytest.mark.asvs("V16.3.2")
async def test_what_an_admin_does_to_somebody_names_both(app: FastAPI, client: AsyncClient, server: Server) -> None:
    admin, user = await api.new_admin(app, client), await api.new_user(client)
    before = len(await events_of(server, user.id))
    path = f"/users/{user.id}"
    answers = [
        await client.put(f"{path}/role", json={"role": "admin"}, headers=admin.headers),
        await client.put(f"{path}/role", json={"role": "admin"}, headers=admin.headers),  # changes nothing, records nothing
        await client.put(f"{path}/status", json={"active": False}, headers=admin.headers),
        await client.put(f"{path}/status", json={"active": True}, headers=admin.headers),
        await client.delete(path, headers=admin.headers),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 204]
    found = (await events_of(server, user.id))[before:]
    facts = ["user.role.changed", "user.status.changed", "user.status.changed", "user.deleted"]
    assert [event["fact"] for event in found] == facts
    assert [event["data"] for event in found] == [
        {"before": "user", "after": "admin"},
        {"before": True, "after": False},
        {"before": False, "after": True},
        {},
    ]
    assert {str(event["actor_id"]) for event in found} == {admin.id}
    assert [event["request_id"] for event in found] == [request_id(answers[number]) for number in (0, 2, 3, 4)]
    assert len({event["session_id"] for event in found}) == 1


@pytest.mark.promise("P10")
async def test_a_failed_login_of_nobody_is_recorded_without_what_was_typed(client: AsyncClient, server: Server) -> None:
    form = {"username": "my-password-typed-into-the-wrong-field", "password": "x"}
    assert (await client.post("/auth/login", data=form)).status_code == 401
    (event,) = await rows_of(server, "audit_events")
    assert (event["fact"], event["subject_id"], event["actor_id"]) == ("user.login.failed", None, None)
    assert form["username"] not in repr(event)


@pytest.mark.promise("P10")
async def test_events_of_an_account_are_in_order_through_two_replicas_at_once(
    client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    user = await api.new_user(client)
    async with client_of(twin) as elsewhere:
        pairs = [await api.login(client, user.username) for _ in range(6)]
        await asyncio.gather(
            *(
                (client, elsewhere)[number % 2].post("/auth/logout", headers=api.bearer(pair))
                for number, pair in enumerate(pairs)
            ),
            client.post("/auth/logout-all", headers=user.headers),
        )
    found = await events_of(server, user.id)
    ended = [event for event in found if event["fact"] == "session.ended"]
    sessions = {row["id"]: row for row in await rows_of(server, "sessions")}
    by_logout = [event for event in ended if event["data"]["reason"] == "logout"]
    rows_by_logout = [sid for sid, row in sessions.items() if row["end_reason"] == "logout"]
    assert sorted(event["session_id"] for event in by_logout) == sorted(rows_by_logout)
    everywhere = [event for event in ended if event["data"]["reason"] == "logout_all"]
    assert len(everywhere) == 1
    assert all(event["id"] < everywhere[0]["id"] for event in by_logout)  # whoever came after it was too late


async def test_a_change_that_is_rolled_back_leaves_no_row(server: Server, clock: TravellingClock) -> None:
    who = Client("127.0.0.1", AGENT, "abc")
    with suppress(LookupError):
        async with server.database.write() as db:
            await audit.record(db, Fact.PASSWORD_RESET, who, clock(), subject=uuid.uuid4())
            raise LookupError
    assert await rows_of(server, "audit_events") == []


@pytest.mark.promise("P9")
@pytest.mark.asvs("V16.2.5")
async def test_no_row_after_a_whole_journey_holds_a_secret_and_no_event_a_mail_address(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    passwords = ["Canary-one-1 sings!", "Canary-two-2 sings!", "Canary-three-3 sings!", "canary wrong 4!"]
    user = await api.new_user(client, passwords[0])
    secrets = [*passwords, *secrets_of(user.tokens)]
    refreshed = (await client.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]})).json()
    await client.post("/auth/login", data={"username": user.email, "password": passwords[3]})
    changed = await client.post(
        "/auth/change-password",
        json={"current_password": passwords[0], "new_password": passwords[1]},
        headers=api.bearer(refreshed),
    )
    token = await postman.fetch_token(user.email)
    assert (await postman.reset(token, passwords[2])).status_code == 204
    again = await api.login(client, user.username, passwords[2])
    assert (await client.post("/auth/logout", json={"refresh_token": again["refresh_token"]})).status_code == 204
    secrets += [token, token[22:], *secrets_of(refreshed), *secrets_of(changed.json()), *secrets_of(again)]

    everything = await dump_of(server)
    assert "user.password.reset" in everything
    assert [secret for secret in secrets if secret in everything] == []
    rows = [
        {name: value for name, value in row.items() if not isinstance(value, bytes)}
        for row in await rows_of(server, "audit_events")
    ]
    events = json.dumps(rows, default=str)
    assert user.email not in events
    assert user.email.partition("@")[0] not in events
    assert "@" not in events


def secrets_of(pair: dict[str, Any]) -> list[str]:
    """Tokens and what makes them tokens: their signatures."""
    tokens = [str(pair["access_token"]), str(pair["refresh_token"])]
    device = [str(pair["device"])] if pair.get("device") else []
    return [*tokens, *(token.rpartition(".")[2] for token in tokens), *device]


@pytest.mark.asvs("V16.4.1")
async def test_what_a_client_calls_itself_can_forge_no_line(client: AsyncClient, server: Server) -> None:
    agent = 'evil\x1b[31m\tagent\u202e {"event": "forged"}' + "x" * 500
    raw = [(b"user-agent", agent.encode())]
    form = {"username": "ada", "password": "x"}
    assert (await client.post("/auth/login", data=form, headers=raw)).status_code == 401
    (event,) = await rows_of(server, "audit_events")
    assert event["user_agent"].isprintable()
    assert len(event["user_agent"]) <= 256
