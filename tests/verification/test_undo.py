"""Undoing a change of address: whoever reads the old mailbox gets the account back, whatever was done to it."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.core.server import Server
from app.models import User
from app.verification import changes
from tests.auth.scene import events
from tests.invitations.hosting import accept, invited
from tests.mail.postman import NEW_PASSWORD, RESET, Postman, rows_of, token_in
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in, text_of
from tests.verification.letters import (
    CHANGED,
    DEAD,
    UNDONE,
    change_token,
    confirm,
    facts_of,
    letter,
    log_in,
    refusal,
    twenty,
    undo,
    undo_token,
    user_of,
)

THIEF, FURTHER = "thief@example.org", "further.off@example.org"


async def test_it_restores_the_address_ends_all_sessions_voids_the_password_and_starts_a_reset(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    user, bystander = await api.new_user(client), await api.new_user(client)
    other = await api.login(client, user.username)
    token = await undo_token(postman, user, user.email, THIEF)
    done = await undo(client, token)
    assert (done.status_code, done.content) == (204, b"")
    row = await user_of(server, user.username)
    assert (row["email"], row["email_verified_at"] is not None) == (user.email, True)
    for pair in (user.tokens, other):
        assert (await client.get("/auth/me", headers=api.bearer(pair))).status_code == 401
        assert (await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})).status_code == 401
    assert (await client.get("/auth/me", headers=bystander.headers)).status_code == 200
    assert [str(row["user_id"]) for row in await rows_of(server, "known_devices")] == [bystander.id]
    refused = await log_in(client, user.email)
    assert refused.status_code == 401
    assert refused.json() == (await log_in(client, "nobody")).json()
    await postman.deliver()
    (mail,) = smtp.sent_to(user.email, RESET)
    assert (await postman.reset(token_in(mail))).status_code == 204
    assert (await log_in(client, user.email, NEW_PASSWORD)).status_code == 200
    told = smtp.sent_to(THIEF, UNDONE)
    assert len(told) == 1
    assert not any("?" in link for link in links_in(told[0]))
    (event,) = await events(server, "user.email.change_undone")
    assert (event.data, event.personal) == ({}, {"email_before": THIEF, "email_after": user.email})
    assert refusal(await undo(client, token)) == DEAD


async def test_nobody_comes_by_an_invitation_of_whoever_had_the_account(
    app: FastAPI, postman: Postman, client: AsyncClient
) -> None:
    victim, other = await api.new_admin(app, client), await api.new_admin(app, client)
    back = await undo_token(postman, victim, victim.email, THIEF)
    of_thief, of_other = await invited(postman, victim, FURTHER, "admin"), await invited(postman, other)
    assert (await undo(client, back)).status_code == 204
    assert refusal(await accept(client, of_thief, "accomplice")) == DEAD
    assert (await accept(client, of_other)).status_code == 201  # the control


async def test_a_void_password_costs_a_login_what_any_other_costs(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    before = (await user_of(server, user.username))["password_hash"]
    assert (await undo(client, await undo_token(postman, user, user.email, THIEF))).status_code == 204
    after = (await user_of(server, user.username))["password_hash"]
    assert after != before
    assert after[:7] == before[:7] == "$2b$04$"
    for password in (api.PASSWORD, "nobody has this password", "x"):
        assert (await log_in(client, user.username, password)).status_code == 401


async def test_neither_a_later_password_nor_a_later_change_keeps_the_owner_out(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = await undo_token(postman, user, user.email, THIEF)
    body = {"current_password": user.password, "new_password": NEW_PASSWORD}
    thief = await client.post("/auth/change-password", json=body, headers=user.headers)
    assert thief.status_code == 200
    stolen = api.User(user.id, user.username, THIEF, NEW_PASSWORD, thief.json())
    second = await undo_token(postman, stolen, THIEF, FURTHER)
    third = await change_token(postman, stolen, "even.further@example.org")
    assert (await undo(client, token)).status_code == 204
    assert (await client.get("/auth/me", headers=stolen.headers)).status_code == 401
    assert (await log_in(client, user.username, NEW_PASSWORD)).status_code == 401
    assert refusal(await undo(client, second)) == DEAD
    assert refusal(await confirm(client, third)) == DEAD
    await postman.deliver()
    assert (await postman.reset(token_in(postman.smtp.sent_to(user.email, RESET)[-1]))).status_code == 204
    assert (await log_in(client, user.email, NEW_PASSWORD)).status_code == 200


async def test_the_thief_who_undoes_the_second_change_does_not_keep_the_first_from_being_undone(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    user = await api.new_user(client)
    first = await undo_token(postman, user, user.email, THIEF)
    second = await undo_token(postman, user, THIEF, FURTHER)
    assert (await undo(client, second)).status_code == 204
    assert (await user_of(server, user.username))["email"] == THIEF
    assert (await undo(client, first)).status_code == 204
    assert (await user_of(server, user.username))["email"] == user.email


async def test_a_letter_about_an_undone_change_is_not_sent_any_more(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    """The second change's letter waits for the mail server; meanwhile the first change is undone."""
    user = await api.new_user(client)
    first = await undo_token(postman, user, user.email, THIEF)
    onward = await change_token(postman, user, FURTHER)
    smtp.set_mode("tempfail")
    assert (await confirm(client, onward)).status_code == 204
    await postman.deliver()
    assert (await undo(client, first)).status_code == 204
    smtp.set_mode("ok")
    await postman.deliver(timedelta(minutes=10))
    assert smtp.sent_to(THIEF, CHANGED) == []
    assert [job for job in await rows_of(server, "jobs") if job["kind"] == changes.MAIL_CHANGED] == []


async def test_the_link_lives_for_seven_days_from_its_sending(
    postman: Postman, client: AsyncClient, clock: TravellingClock, smtp: SmtpServer
) -> None:
    early, late = await api.new_user(client), await api.new_user(client)
    of_early = await undo_token(postman, early, early.email, THIEF)
    of_late = await undo_token(postman, late, late.email, FURTHER)
    assert "7 days" in text_of(smtp.sent_to(early.email, CHANGED)[0])
    clock.advance(timedelta(days=7) - timedelta(minutes=1))
    assert (await undo(client, of_early)).status_code == 204
    clock.advance(timedelta(minutes=1))
    assert refusal(await undo(client, of_late)) == DEAD


@pytest.mark.promise("P3")
async def test_of_twenty_who_undo_it_at_once_one_does(
    postman: Postman, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    user = await api.new_user(client)
    token = await undo_token(postman, user, user.email, THIEF)
    statuses = await twenty(client, twin, "/auth/me/email/undo", {"token": token})
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 400, 503}
    assert (await facts_of(server)).count("user.email.change_undone") == 1


async def test_who_was_about_to_leave_stays(postman: Postman, client: AsyncClient, server: Server) -> None:
    """A thief who asks for the account to be erased does not get it erased."""
    user = await api.new_user(client)
    token = await undo_token(postman, user, user.email, THIEF)
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username == user.username).values(leaving_at=server.clock()))
    assert (await undo(client, token)).status_code == 204
    assert (await user_of(server, user.username))["leaving_at"] is None


async def test_an_account_that_was_disabled_is_not_given_back(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    token = await undo_token(postman, user, user.email, THIEF)
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username == user.username).values(disabled_at=server.clock()))
    assert refusal(await undo(client, token)) == DEAD
    assert (await user_of(server, user.username))["email"] == THIEF


async def test_if_somebody_has_the_address_all_the_same_nothing_is_done(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    """It takes a hand in the database: while it can be undone, the address is kept."""
    user, other = await api.new_user(client), await api.new_user(client)
    token = await undo_token(postman, user, user.email, THIEF)
    async with server.database.write() as db:
        taken = {"email": user.email, "email_key": user.email}
        await db.execute(update(User).where(User.username == other.username).values(taken))
    assert refusal(await undo(client, token)) == DEAD
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200


async def test_links_of_other_kinds_undo_nothing(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    onward = await change_token(postman, user, THIEF)
    assert refusal(await undo(client, onward)) == DEAD
    assert (await confirm(client, onward)).status_code == 204
    token = token_in(await letter(postman, user.email, CHANGED))
    assert refusal(await confirm(client, token)) == DEAD
    assert refusal(await postman.reset(token)) == DEAD
    assert (await undo(client, token)).status_code == 204
