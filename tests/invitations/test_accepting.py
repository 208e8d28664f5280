"""Accepting an invitation: the account it makes, what spends nothing, and what it is worth without its inviter."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.config import load_settings
from app.core.clock import system_clock
from app.core.permissions import Role
from app.core.server import Server
from app.invitations import service
from app.invitations.deps import InvitationKit
from app.main import create_app
from app.models import Invitation, User
from app.tickets import service as tickets
from app.tickets.service import TicketInvalid
from app.users import service as users
from tests.invitations.hosting import DEAD, GUEST, accept, invite, invited, open_ones, refusal
from tests.mail.postman import Postman, dump_of, rows_of
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.smtp import SmtpServer
from tests.verification.letters import log_in, sign_up, twenty


async def test_it_makes_the_account_with_its_address_proved_and_signs_nobody_in(
    admin: api.User, postman: Postman, client: AsyncClient, server: Server
) -> None:
    done = await accept(client, await invited(postman, admin, "Guest@example.org"), "Guest1")
    assert done.status_code == 201
    assert "set-cookie" not in done.headers
    body = done.json()
    assert (body["username"], body["email"], body["role"]) == ("Guest1", "Guest@example.org", "user")
    assert body["email_verified"] is True
    assert (await log_in(client, "guest@example.org")).status_code == 200
    (event,) = [row for row in await rows_of(server, "audit_events") if row["fact"] == "user.invitation.accepted"]
    assert str(event["subject_id"]) == body["id"]
    assert await open_ones(client, admin) == []


async def test_a_link_is_good_once(admin: api.User, postman: Postman, client: AsyncClient, server: Server) -> None:
    token = await invited(postman, admin)
    assert (await accept(client, token)).status_code == 201
    assert refusal(await accept(client, token, "guest2")) == DEAD
    assert len(await rows_of(server, "users")) == 2


@pytest.mark.promise("P3")
async def test_of_twenty_who_accept_at_once_one_does(
    admin: api.User, postman: Postman, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    body = {"token": await invited(postman, admin), "username": "guest1", "password": api.PASSWORD}
    statuses = await twenty(client, twin, "/auth/invitations/accept", body)
    assert statuses.count(201) == 1
    assert set(statuses) <= {201, 400, 409, 503}
    assert len(await rows_of(server, "users")) == 2


async def test_what_breaks_a_rule_spends_nothing(admin: api.User, postman: Postman, client: AsyncClient) -> None:
    token, taken = await invited(postman, admin), await api.register(client)
    assert refusal(await accept(client, token, taken["username"].upper())) == (409, "username_taken")
    assert (await accept(client, token, "administrator")).status_code == 422
    assert refusal(await accept(client, token, password="Password1!")) == (422, "password_rejected")
    assert refusal(await accept(client, token, "guestguest", f"{GUEST}!")) == (422, "password_rejected")
    assert (await accept(client, token, "x")).status_code == 422
    assert (await accept(client, token)).status_code == 201


async def test_looking_spends_nothing(admin: api.User, postman: Postman, client: AsyncClient, server: Server) -> None:
    token = await invited(postman, admin, role="admin")
    kit = server.kit(InvitationKit)
    for _ in range(2):
        async with server.database.read() as db:
            found = await service.preview(db, kit, token, server.clock())
        assert (found.email, found.role) == (GUEST, "admin")
    assert (await accept(client, token)).status_code == 201
    async with server.database.read() as db:
        with pytest.raises(TicketInvalid):
            await service.preview(db, kit, token, server.clock())


@pytest.mark.parametrize("mode", ["open", "invite", "closed"])
@pytest.mark.parametrize("verification", ["optional", "required"])
async def test_it_is_accepted_unless_there_are_no_new_accounts_at_all(mode: str, verification: str, env: dict[str, str]) -> None:
    settings = load_settings(env | {"REGISTRATION": mode, "EMAIL_VERIFICATION": verification}, env_file=None)
    async with running(create_app(settings)) as app, client_of(app) as client:
        server: Server = app.state.server
        kit, now = server.kit(InvitationKit), system_clock()
        async with server.database.write() as db:
            boss = await _boss(server, db)
            row = Invitation(id=boss.id, email=GUEST, email_key=GUEST, role="user", invited_by=boss.id, created_at=now)
            row.expires_at = now + kit.life
            db.add(row)
            await db.flush()
            token = await tickets.issue(db, kit.key, row.id, service.PURPOSE, row.id, GUEST, now, kit.life)
        assert token is not None
        accepted = await accept(client, token)
        assert accepted.status_code == (403 if mode == "closed" else 201)
        assert (await log_in(client, "guest1")).status_code == (401 if mode == "closed" else 200)
        stranger = await sign_up(client, "stranger", "stranger@example.org")
        expected = {"open": 201 if verification == "optional" else 202}.get(mode, 403)
        assert stranger.status_code == expected


async def test_an_invitation_waits_while_there_are_no_new_accounts(
    admin: api.User, postman: Postman, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await invited(postman, admin)
    with monkeypatch.context() as patch:
        patch.setitem(server.kits, InvitationKit, replace(server.kit(InvitationKit), open=False))
        for _ in range(2):
            assert refusal(await accept(client, token)) == (403, "registration_closed")
            assert refusal(await accept(client, token[:-1])) == (403, "registration_closed")
        page = await client.get("/account/invitation", params={"token": token})
        assert (page.status_code, "No new accounts" in page.text) == (403, True)
        assert refusal(await invite(client, admin, "second@example.org")) == (403, "registration_closed")
        assert await open_ones(client, admin) == [GUEST]
    assert (await accept(client, token)).status_code == 201


async def _boss(server: Server, db: AsyncSession) -> User:
    more = {"password_hash": "$2b$04$x", "scheme": "bcrypt/04", "role": Role.ADMIN, "now": server.clock()}
    return await users.create_user(db, username="boss", email="boss@example.org", **more)  # type: ignore[arg-type]  # as named


async def _demoted(postman: Postman, app: FastAPI, admin: api.User, other: api.User) -> None:
    url = f"/users/{admin.id}/role"
    assert (await postman.client.put(url, json={"role": "user"}, headers=other.headers)).status_code == 200


async def _disabled(postman: Postman, app: FastAPI, admin: api.User, other: api.User) -> None:
    url = f"/users/{admin.id}/status"
    assert (await postman.client.put(url, json={"active": False}, headers=other.headers)).status_code == 200


async def _deleted(postman: Postman, app: FastAPI, admin: api.User, other: api.User) -> None:
    assert (await postman.client.delete(f"/users/{admin.id}", headers=other.headers)).status_code == 204


@pytest.mark.parametrize("end", [_demoted, _disabled, _deleted], ids=lambda end: end.__name__.strip("_"))
@pytest.mark.parametrize("role", ["user", "admin"])
async def test_an_invitation_is_worth_nothing_once_its_inviter_is_no_admin_any_more(
    end: Callable[..., Awaitable[None]],
    role: str,
    admin: api.User,
    postman: Postman,
    app: FastAPI,
    client: AsyncClient,
    server: Server,
) -> None:
    other = await api.new_admin(app, client)
    token = await invited(postman, admin, role=role)
    await end(postman, app, admin, other)
    assert await open_ones(client, other) == []
    assert refusal(await accept(client, token)) == DEAD
    assert "guest1" not in [row["username"] for row in await rows_of(server, "users")]


async def test_nor_if_nobody_withdrew_it_then(admin: api.User, postman: Postman, client: AsyncClient, server: Server) -> None:
    """The inviter's row is asked as well, under its lock."""
    token = await invited(postman, admin, role="admin")
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username == admin.username).values(role="user"))
    assert refusal(await accept(client, token)) == DEAD
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username == admin.username).values(role="admin"))
    assert (await accept(client, token)).json()["role"] == "admin"


Spoil = Callable[[Postman, Server, api.User, str], Awaitable[str]]


async def _expired(postman: Postman, server: Server, admin: api.User, token: str) -> str:
    postman.clock.advance(timedelta(days=7))
    return token


async def _taken_meanwhile(postman: Postman, server: Server, admin: api.User, token: str) -> str:
    await api.register(postman.client, email=GUEST)
    return token


async def _of_a_reset(postman: Postman, server: Server, admin: api.User, token: str) -> str:
    return await postman.fetch_token(admin.email)


async def _of_another_invitation(postman: Postman, server: Server, admin: api.User, token: str) -> str:
    other = await invited(postman, admin, "other@example.org")
    return other[:22] + token[22:]


async def _whose_row_names_another_address(postman: Postman, server: Server, admin: api.User, token: str) -> str:
    async with server.database.write() as db:
        await db.execute(update(Invitation).values(email="x@example.org", email_key="x@example.org"))
    return token


@pytest.mark.parametrize(
    "spoil",
    [_expired, _taken_meanwhile, _of_a_reset, _of_another_invitation, _whose_row_names_another_address],
    ids=lambda spoil: spoil.__name__.strip("_"),
)
async def test_a_link_makes_no_account_when(
    spoil: Spoil, admin: api.User, postman: Postman, client: AsyncClient, server: Server
) -> None:
    token = await spoil(postman, server, admin, await invited(postman, admin))
    before = len(await rows_of(server, "users"))
    assert refusal(await accept(client, token)) == DEAD
    assert len(await rows_of(server, "users")) == before


async def test_an_invitation_opens_nothing_else(admin: api.User, postman: Postman, client: AsyncClient) -> None:
    token = await invited(postman, admin)
    for path in ("/auth/verify-email", "/auth/me/email/confirm", "/auth/me/email/undo"):
        assert refusal(await client.post(path, json={"token": token})) == DEAD
    assert refusal(await postman.reset(token)) == DEAD
    assert (await accept(client, token)).status_code == 201


async def test_it_is_exported_and_erased_with_the_account_though_that_has_another_address_by_now(
    admin: api.User, postman: Postman, client: AsyncClient, server: Server
) -> None:
    account = (await accept(client, await invited(postman, admin))).json()
    moved = {"email": "moved@example.org", "email_key": "moved@example.org"}
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username_key == "guest1").values(**moved))
    own = api.bearer(await api.login(client, "guest1"))
    (received,) = (await client.get("/auth/me/export", headers=own)).json()["data"]["invitations"]["received"]
    assert received["email"] == GUEST
    assert (await client.delete(f"/users/{account['id']}", headers=admin.headers)).status_code == 204
    assert GUEST not in await dump_of(server)


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_INVITATION="2/hour")
async def test_tries_have_a_limit_by_client_address(client: AsyncClient) -> None:
    assert [(await accept(client, "x")).status_code for _ in range(3)] == [400, 400, 429]


@pytest.mark.promise("P9")
async def test_neither_job_nor_audit_log_holds_the_token_or_the_log_the_address(
    admin: api.User, postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    smtp.set_mode("tempfail")
    await invite(client, admin)
    await postman.deliver()
    (job,) = [row for row in await rows_of(server, "jobs") if row["kind"] == service.KIND]
    assert set(job["payload"]) == {"subject", "ticket"}
    smtp.set_mode("ok")
    await postman.deliver(timedelta(minutes=1))
    events = str(await rows_of(server, "audit_events"))
    assert GUEST not in events
