"""One's own sessions: seen, told apart, ended; never another's. A write opens with a second look at its session."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import func, select

from app.audit.models import AuditEvent
from app.auth.credentials import SessionCredentials
from app.auth.models import Session
from app.core.caller import CREDENTIALS
from app.core.ports import LiveSession
from app.core.server import Server
from app.users.models import User
from tests.auth.scene import SOME_CREDENTIAL, assert_dead, end_in_database, events, session_row, sid_of, status_of
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock

FIELDS = {"id", "device", "address", "created_at", "last_used_at", "expires_at", "current", "user_agent", "place", "impersonated"}


async def list_of(client: AsyncClient, tokens: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.get("/auth/sessions", headers=api.bearer(tokens))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


@pytest.mark.asvs("V15.3.1", "V14.3.2")
async def test_the_list_shows_where_i_am_signed_in(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    await api.new_user(client)
    clock.advance(seconds=60)
    async with client_of(app, "203.0.113.9") as phone:
        phone.headers["User-Agent"] = "Phone/1.0"
        second = await api.login(phone, user.username)
    answer = await client.get("/auth/sessions", headers=user.headers)
    assert answer.headers["cache-control"] == "no-store"
    newest, oldest = answer.json()
    assert newest.keys() == oldest.keys() == FIELDS
    assert (newest["id"], newest["device"], newest["address"], newest["current"]) == (
        str(sid_of(second)),
        "Phone",
        "203.0.113.9",
        False,
    )
    assert (oldest["id"], oldest["address"], oldest["current"]) == (str(sid_of(user.tokens)), "127.0.0.1", True)
    row = await session_row(server, sid_of(second))
    assert datetime.fromisoformat(newest["created_at"]) == row.created_at
    assert datetime.fromisoformat(newest["expires_at"]) == row.created_at + timedelta(days=30)
    assert datetime.fromisoformat(newest["last_used_at"]) == row.created_at
    assert [each["current"] for each in await list_of(client, second)] == [True, False]


async def test_a_user_agent_is_cut_and_cleaned(client: AsyncClient) -> None:
    account = await api.register(client)
    form = {"username": account["username"], "password": api.PASSWORD}
    answer = await client.post("/auth/login", data=form, headers={"User-Agent": "<b>\x1b[31m" + "x" * 5000})
    (session,) = await list_of(client, answer.json())
    assert session["user_agent"] == "<b>[31m" + "x" * 249
    assert session["device"] == "Unknown device"


async def test_last_used_is_kept_to_five_minutes(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    sid = sid_of(user.tokens)
    opened = (await session_row(server, sid)).used_at
    credentials = CREDENTIALS.one(server.parts)
    assert isinstance(credentials, SessionCredentials)

    async def used_after(seconds: float) -> datetime:
        clock.advance(seconds=seconds)
        assert await status_of(client, user.tokens) == 200
        await credentials.close()  # waits for what is written beside the request
        return (await session_row(server, sid)).used_at

    assert await used_after(290) == opened
    used = await used_after(11)
    assert timedelta(seconds=300) < used - opened < timedelta(seconds=310)
    assert await used_after(280) == used
    assert datetime.fromisoformat((await list_of(client, user.tokens))[0]["last_used_at"]) == used


@pytest.mark.asvs("V7.5.2")
async def test_i_can_end_another_session_of_mine(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    second = await api.login(client, user.username)
    gone = await client.delete(f"/auth/sessions/{sid_of(second)}", headers=user.headers)
    assert (gone.status_code, gone.content) == (204, b"")
    await assert_dead(client, second)
    assert [each["id"] for each in await list_of(client, user.tokens)] == [str(sid_of(user.tokens))]
    assert (await session_row(server, sid_of(second))).end_reason == "revoked"
    (event,) = await events(server, "session.ended")
    assert (str(event.actor_id), event.session_id, event.data["reason"]) == (user.id, sid_of(second), "revoked")


async def test_i_can_end_the_session_i_am_using(client: AsyncClient) -> None:
    user = await api.new_user(client)
    assert (await client.delete(f"/auth/sessions/{sid_of(user.tokens)}", headers=user.headers)).status_code == 204
    await assert_dead(client, user.tokens)


@pytest.mark.asvs("V8.2.2")
async def test_anothers_session_is_not_found_and_lives_on(client: AsyncClient, server: Server) -> None:
    me, other = await api.new_user(client), await api.new_user(client)
    refused = await client.delete(f"/auth/sessions/{sid_of(other.tokens)}", headers=me.headers)
    unknown = await client.delete(f"/auth/sessions/{uuid.uuid4()}", headers=me.headers)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert refused.json() == unknown.json()
    assert await status_of(client, other.tokens) == 200
    assert (await session_row(server, sid_of(other.tokens))).ended_at is None
    assert str(sid_of(other.tokens)) not in [each["id"] for each in await list_of(client, me.tokens)]


async def test_an_ended_or_expired_session_is_neither_listed_nor_found(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    second = await api.login(client, user.username)
    path = f"/auth/sessions/{sid_of(second)}"
    assert (await client.delete(path, headers=user.headers)).status_code == 204
    assert (await client.delete(path, headers=user.headers)).status_code == 404
    assert len(await list_of(client, user.tokens)) == 1
    clock.advance(timedelta(days=31))
    fresh = await api.login(client, user.username)
    assert [each["id"] for each in await list_of(client, fresh)] == [str(sid_of(fresh))]
    assert len(await events(server, "session.ended")) == 1


async def test_a_session_id_that_is_none_is_refused(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for path in ("/auth/sessions/1", "/auth/sessions/' OR 1=1 --", "/auth/sessions/%00"):
        assert (await client.delete(path, headers=user.headers)).status_code in {404, 422}
    assert await status_of(client, user.tokens) == 200


@pytest.mark.asvs("V8.3.1")
async def test_anonymous_callers_see_no_sessions(client: AsyncClient) -> None:
    for answer in (await client.get("/auth/sessions"), await client.delete(f"/auth/sessions/{uuid.uuid4()}")):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


# Writing on a caller's behalf: the session ends between the check of the token and the write.

WRITES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/auth/logout-all", None),
    ("POST", "/auth/reauthenticate", {"password": api.PASSWORD}),
    ("PATCH", "/auth/me", {"display_name": "Ada"}),
    ("DELETE", "/auth/me", None),
    ("DELETE", "/auth/sessions", None),
    ("DELETE", "/auth/sessions/{second}", None),
    ("POST", "/auth/change-password", {"current_password": api.PASSWORD, "new_password": "quite another 1!"}),
    ("PUT", "/users/{user}/role", {"role": "admin"}),
    ("PUT", "/users/{user}/status", {"active": False}),
    ("DELETE", "/users/{user}", None),
    ("POST", "/auth/me/email", {"new_email": "new.home@example.org"}),
    ("POST", "/users/invitations", {"email": "guest@example.org", "role": "user"}),
    ("DELETE", "/users/invitations/{invitation}", None),
    ("POST", "/auth/mfa/totp", None),
    ("POST", "/auth/mfa/totp/confirm", {"code": "123456"}),
    ("DELETE", "/auth/mfa/totp", None),
    ("POST", "/auth/mfa/recovery-codes", None),
    ("DELETE", "/auth/mfa/remembered-devices", None),
    ("PUT", "/users/{user}/mfa", {"required": True}),
    ("POST", "/users/{user}/impersonate", {"reason": "ticket 4711"}),
    ("POST", "/users/", {"username": "somebody71", "email": "somebody71@example.org"}),
    ("PATCH", "/users/{user}", {"display_name": "Ada"}),
    ("POST", "/users/{user}/verify-email", None),
    ("POST", "/users/{user}/password-reset", None),
    ("DELETE", "/users/{user}/sessions", None),
    ("DELETE", "/users/{user}/sessions/{theirs}", None),
    ("DELETE", "/users/{user}/lockouts", None),
    ("POST", "/users/bulk", {"action": "disable", "filter": {"active": True}}),
    ("POST", "/users/bulk/{bulk}/stop", None),
    ("POST", "/users/bulk/{bulk}/resume", None),
    ("POST", "/jobs/{job}/retry", None),
    ("DELETE", "/jobs/{job}", None),
    ("POST", "/webhooks", {"url": "https://93.184.216.34/", "facts": ["user.registered"]}),
    ("PATCH", "/webhooks/{webhook}", {"enabled": False}),
    ("DELETE", "/webhooks/{webhook}", None),
    ("POST", "/webhooks/{webhook}/rotate-secret", {}),
    ("POST", "/webhooks/{webhook}/test", None),
    ("POST", "/webhooks/{webhook}/deliveries/{delivery}/replay", None),
    ("POST", "/auth/passkeys/options", None),
    ("POST", "/auth/passkeys", {"credential": SOME_CREDENTIAL}),
    ("PATCH", "/auth/passkeys/{passkey}", {"name": "Key"}),
    ("DELETE", "/auth/passkeys/{passkey}", None),
    ("POST", "/auth/reauthenticate/passkey/options", None),
]
# Only a session that was proved by a passkey gets as far as that: tests/passkeys/test_passwordless.py.
BY_PASSKEY = {("DELETE", "/auth/password")}


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1")
@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=[f"{method} {path}" for method, path, _ in WRITES])
async def test_a_write_whose_session_ended_after_the_check_is_refused_and_writes_nothing(
    app: FastAPI,
    client: AsyncClient,
    server: Server,
    clock: TravellingClock,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    admin, user = await api.new_admin(app, client), await api.new_user(client)
    second = await api.login(client, admin.username)
    passed = await hook_check(server, monkeypatch, sid_of(admin.tokens), clock)
    before = await everything(server)
    others = dict.fromkeys(("invitation", "passkey", "bulk", "job", "webhook", "delivery"), user.id)
    path = path.format(second=sid_of(second), theirs=sid_of(user.tokens), user=user.id, **others)
    refused = await client.request(method, path, headers=admin.headers, json=body)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
    assert passed() == 1  # the check had let it in
    after = await everything(server)
    assert after == before
    assert await status_of(client, second) == await status_of(client, user.tokens) == 200


async def test_without_the_second_look_that_write_would_go_through(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: a server broken on purpose."""
    admin, user = await api.new_admin(app, client), await api.new_user(client)

    async def look_away(*_: object) -> None:
        return None

    monkeypatch.setattr(CREDENTIALS.one(server.parts), "confirm", look_away)
    await hook_check(server, monkeypatch, sid_of(admin.tokens), clock)
    assert (await client.delete(f"/users/{user.id}", headers=admin.headers)).status_code == 204


async def test_every_write_of_the_api_is_among_those_tried(app: FastAPI) -> None:
    writes = {
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") and method != "get" and path != "/auth/logout"
    }
    names = {"second": "{session_id}", "theirs": "{session_id}", "user": "{user_id}", "invitation": "{invitation_id}"}
    names |= {"passkey": "{passkey_id}", "bulk": "{bulk_id}", "job": "{job_id}"}
    names |= {"webhook": "{webhook_id}", "delivery": "{delivery_id}"}
    assert writes - BY_PASSKEY == {(method, path.format(**names)) for method, path, _ in WRITES}


async def hook_check(
    server: Server, monkeypatch: pytest.MonkeyPatch, session_id: uuid.UUID, clock: TravellingClock
) -> Callable[[], int]:
    """End the session, as another replica would, right after it was found alive; returns how often that was so."""
    find_live: Callable[..., Awaitable[LiveSession | None]] = server.sessions.find_live
    let_in: list[uuid.UUID] = []

    async def find_then_end(asked: uuid.UUID, now: datetime) -> LiveSession | None:
        found = await find_live(asked, now)
        if asked == session_id and found is not None:
            let_in.append(asked)
            await end_in_database(server, session_id, clock())
        return found

    monkeypatch.setattr(server.sessions, "find_live", find_then_end)
    return lambda: len(let_in)


async def everything(server: Server) -> dict[str, Any]:
    """What these writes would change."""
    async with server.database.read() as db:
        users = (
            await db.execute(select(User.id, User.role, User.disabled_at, User.password_hash, User.epoch).order_by(User.id))
        ).all()
        alive = await db.scalar(select(func.count()).select_from(Session).where(Session.end_reason.is_(None)))
        other_ends = await db.scalar(select(func.count()).select_from(Session).where(Session.end_reason != "test"))
        recorded = await db.scalar(select(func.count()).select_from(AuditEvent))
    return {"users": users, "ended": other_ends, "recorded": recorded, "some alive": bool(alive)}
