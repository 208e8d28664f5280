"""Changing one's address: nothing moves before the new one is proved, and nobody learns whether it is taken."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.core.server import Server
from app.models import EmailChange, User
from app.users import repository as users
from app.verification import changes, service
from tests.auth.proving import enrol
from tests.auth.scene import events
from tests.mail.postman import Postman, rows_of, token_in
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in, text_of
from tests.timing.test_statements import heard
from tests.verification.letters import (
    CHANGE,
    CHANGED,
    DEAD,
    TAKEN,
    ask_change,
    change_token,
    confirm,
    facts_of,
    letter,
    log_in,
    refusal,
    resend,
    sign_up,
    twenty,
    undo,
    user_of,
    verify,
    words,
)

NEW = "new.home@example.org"


async def test_the_address_changes_when_the_new_one_is_proved(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    user = await api.new_user(client)
    asked = await ask_change(client, user, NEW)
    assert asked.status_code == 202
    mail = await letter(postman, NEW, CHANGE)
    (link,) = links_in(mail)
    assert link.startswith("http://localhost:8000/account/email-confirm?token=")
    assert user.username in text_of(mail)
    assert (await client.get("/auth/me", headers=user.headers)).json()["email"] == user.email
    done = await confirm(client, token_in(mail))
    assert (done.status_code, done.content) == (204, b"")
    me = (await client.get("/auth/me", headers=user.headers)).json()
    assert (me["email"], me["email_verified"]) == (NEW, True)
    assert (await log_in(client, user.email)).status_code == 401
    assert (await log_in(client, NEW)).status_code == 200
    told = await letter(postman, user.email, CHANGED)
    assert "/account/email-undo?token=" in text_of(told)
    assert NEW not in told.as_string()
    facts = await facts_of(server)
    assert facts.count("user.email.change_requested") == facts.count("user.email.changed") == 1
    (event,) = await events(server, "user.email.changed")
    moved = {"email_before": user.email, "email_after": NEW}
    assert (event.data, event.personal) == ({"before": False, "after": True}, moved)
    assert refusal(await confirm(client, token_in(mail))) == DEAD


async def test_it_takes_a_fresh_proof(postman: Postman, client: AsyncClient, clock: TravellingClock, server: Server) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/me/email", json={"new_email": NEW})).status_code == 401
    clock.advance(timedelta(minutes=11))
    refused = await ask_change(client, user, NEW)
    assert refusal(refused) == (401, "insufficient_user_authentication")
    assert "max_age=600" in refused.headers["www-authenticate"]
    assert await rows_of(server, "email_changes") == []


async def test_the_own_address_in_whatever_case_is_no_change(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    refused = await ask_change(client, user, user.email.upper())
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "email_unchanged")
    for odd in ("", "no address", f"{NEW}\r\nBcc: x@example.com", 7, None):
        answer = await client.post("/auth/me/email", json={"new_email": odd}, headers=user.headers)
        assert answer.status_code == 422, odd
    assert await rows_of(server, "email_changes") == []


@pytest.mark.promise("P8")
async def test_a_taken_address_gets_the_same_answer_and_its_owner_word(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    user, other = await api.new_user(client), await api.register(client, "other", "other.one@example.org")
    await postman.deliver()
    smtp.clear()
    await ask_change(client, user, "warm@example.org")
    answers, asked_each = [], []
    for email in (NEW, other["email"]):
        with heard(server.database) as asked:
            answers.append(words(await ask_change(client, user, email)))
            asked_each.append(list(asked))
    assert answers[0] == answers[1]
    assert answers[0][0] == 202
    assert asked_each[0] == asked_each[1]
    await postman.deliver()
    (told,) = smtp.sent_to(other["email"])
    assert told["Subject"] == TAKEN
    assert "other" in text_of(told)
    assert user.username not in told.as_string()
    assert "token=" not in told.as_string()


async def test_mails_to_one_address_are_limited_and_dropped_in_silence(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    users_ = [await api.new_user(client) for _ in range(4)]
    for user in users_:
        assert (await ask_change(client, user, NEW)).status_code == 202
    await postman.deliver()
    assert len(smtp.sent_to(NEW)) == 3


async def test_a_newer_request_voids_the_link_of_the_older(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    older = await change_token(postman, user, "older@example.org")
    newer = await change_token(postman, user, NEW)
    assert refusal(await confirm(client, older)) == DEAD
    assert (await confirm(client, newer)).status_code == 204


@pytest.mark.promise("P3")
async def test_of_twenty_who_confirm_at_once_one_does(
    postman: Postman, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    user = await api.new_user(client)
    token = await change_token(postman, user, NEW)
    statuses = await twenty(client, twin, "/auth/me/email/confirm", {"token": token})
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 400, 503}
    assert (await facts_of(server)).count("user.email.changed") == 1


async def test_of_many_who_proved_one_address_at_once_one_gets_it(
    postman: Postman, client: AsyncClient, twin: FastAPI, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(changes, "may_mail", always)
    tokens = [await change_token(postman, await api.new_user(client), NEW) for _ in range(6)]
    async with client_of(twin) as other:
        done = await asyncio.gather(*(confirm((client, other)[number % 2], token) for number, token in enumerate(tokens)))
    statuses = [answer.status_code for answer in done]
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 400, 503}
    assert [row["email"] for row in await rows_of(server, "users")].count(NEW) == 1


async def test_control_without_the_constraints_they_would_not_be_told_apart(
    postman: Postman, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a swap whose outcome nobody looks at says yes to the second, too."""
    careful = users.set_unique

    async def careless(*args: object) -> bool:
        await careful(*args)  # type: ignore[arg-type]
        return True

    monkeypatch.setattr(users, "set_unique", careless)
    tokens = [await change_token(postman, await api.new_user(client), NEW) for _ in range(2)]
    assert [(await confirm(client, token)).status_code for token in tokens] == [204, 204]


Spoil = Callable[[Postman, Server, api.User, str], Awaitable[str]]


async def _expired(postman: Postman, server: Server, user: api.User, token: str) -> str:
    postman.clock.advance(timedelta(hours=24))
    return token


async def _taken_meanwhile(postman: Postman, server: Server, user: api.User, token: str) -> str:
    await api.register(postman.client, email=NEW)
    return token


async def _from_before_a_change_of_password(postman: Postman, server: Server, user: api.User, token: str) -> str:
    body = {"current_password": user.password, "new_password": "some thing else 2!"}
    assert (await postman.client.post("/auth/change-password", json=body, headers=user.headers)).status_code == 200
    return token


async def _from_before_a_reset(postman: Postman, server: Server, user: api.User, token: str) -> str:
    assert (await postman.reset(await postman.fetch_token(user.email))).status_code == 204
    return token


async def _disabled(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return await _set(server, user, token, disabled_at=server.clock())


async def _leaving(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return await _set(server, user, token, leaving_at=server.clock())


async def _of_an_older_epoch(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return await _set(server, user, token, epoch=7)


async def _set(server: Server, user: api.User, token: str, **values: object) -> str:
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username == user.username).values(values))
    return token


async def _of_a_verification(postman: Postman, server: Server, user: api.User, token: str) -> str:
    await resend(postman.client, user.email)
    return token_in(await letter(postman, user.email))


@pytest.mark.parametrize(
    "spoil",
    [
        _expired,
        _taken_meanwhile,
        _from_before_a_change_of_password,
        _from_before_a_reset,
        _disabled,
        _leaving,
        _of_an_older_epoch,
        _of_a_verification,
    ],
    ids=lambda spoil: spoil.__name__.strip("_"),
)
async def test_a_link_changes_nothing_when(spoil: Spoil, postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    token = await spoil(postman, server, user, await change_token(postman, user, NEW))
    assert refusal(await confirm(client, token)) == DEAD
    assert (await user_of(server, user.username))["email"] == user.email
    assert "user.email.changed" not in await facts_of(server)


async def test_a_link_still_unsent_when_the_password_is_changed_is_never_sent(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    """Who has the password asks for another address; the owner changes the password before the mail leaves."""
    user = await api.new_user(client)
    assert (await ask_change(client, user, NEW)).status_code == 202
    body = {"current_password": user.password, "new_password": "some thing else 2!"}
    assert (await client.post("/auth/change-password", json=body, headers=user.headers)).status_code == 200
    await postman.deliver()
    assert smtp.sent_to(NEW) == []


async def test_a_change_of_address_voids_the_links_that_the_old_one_was_sent(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    verification = token_in(await letter(postman, user.email))
    reset = await postman.fetch_token(user.email)
    assert (await confirm(client, await change_token(postman, user, NEW))).status_code == 204
    assert refusal(await verify(client, token=verification)) == DEAD
    assert refusal(await postman.reset(reset)) == DEAD


async def test_the_old_address_is_kept_from_everybody_but_the_one_who_gave_it_up(
    postman: Postman, client: AsyncClient, server: Server, clock: TravellingClock, smtp: SmtpServer
) -> None:
    user, other = await api.new_user(client), await api.new_user(client)
    assert (await confirm(client, await change_token(postman, user, NEW))).status_code == 204
    assert refusal(await sign_up(client, "stranger", user.email.upper())) == (409, "email_taken")
    assert (await ask_change(client, other, user.email)).status_code == 202
    assert (await letter(postman, user.email, TAKEN))["Subject"] == TAKEN
    back = await change_token(postman, user, user.email)
    assert (await confirm(client, back)).status_code == 204
    assert refusal(await sign_up(client, "stranger", NEW)) == (409, "email_taken")
    clock.advance(timedelta(days=10))
    async with server.database.write() as db:
        await service.tidy(db, clock())
    assert [row["confirmed_at"] for row in await rows_of(server, "email_changes")] == [None]
    assert (await sign_up(client, "stranger", NEW)).status_code == 201


async def test_the_address_of_a_deleted_account_is_kept_for_nobody(postman: Postman, app: FastAPI, client: AsyncClient) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)
    assert (await confirm(client, await change_token(postman, user, NEW))).status_code == 204
    assert (await client.delete(f"/users/{user.id}", headers=admin.headers)).status_code == 204
    assert (await sign_up(client, "stranger", user.email)).status_code == 201


async def test_what_was_asked_for_before_the_first_factor_is_not_confirmed_after_it(
    postman: Postman, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    """A thief with the password may have asked, who could not ask any more."""
    user = await api.new_user(client)
    sent = await change_token(postman, user, NEW)
    assert (await ask_change(client, user, "later@example.org")).status_code == 202
    _, headers = await enrol(client, clock, user.headers)
    assert refusal(await confirm(client, sent)) == DEAD
    await postman.deliver()
    assert postman.smtp.sent_to("later@example.org") == []  # what was not sent yet is not sent
    assert (await client.get("/auth/me", headers=headers)).json()["email"] == user.email
    user.tokens["access_token"] = headers["Authorization"].removeprefix("Bearer ")
    assert (await confirm(client, await change_token(postman, user, NEW))).status_code == 204


async def test_a_hold_is_seen_by_the_registration_that_waited_for_the_very_change(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    """The look-up before the hash finds the address free of holds; the one behind the insert decides."""
    user = await api.new_user(client)
    assert (await confirm(client, await change_token(postman, user, NEW))).status_code == 204
    original = service.KeptNames.holds_email
    seen: list[bool] = []

    async def first_blind(self: service.KeptNames, *args: object) -> bool:
        seen.append(await original(self, *args))  # type: ignore[arg-type]
        return seen[-1] and len(seen) > 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.KeptNames, "holds_email", first_blind)
        assert refusal(await sign_up(client, "stranger", user.email)) == (409, "email_taken")
    assert seen == [True, True]


async def test_another_persons_change_is_out_of_reach(postman: Postman, client: AsyncClient, server: Server) -> None:
    """A token is of one change: with the id of another it is none."""
    mine, theirs = await api.new_user(client), await api.new_user(client)
    token, other = await change_token(postman, mine, NEW), await change_token(postman, theirs, "their.home@example.org")
    assert refusal(await confirm(client, other[:22] + token[22:])) == DEAD
    assert refusal(await undo(client, token)) == DEAD
    async with server.database.write() as db:
        await db.execute(update(EmailChange).where(EmailChange.user_id == uuid.UUID(theirs.id)).values(new_email=NEW))
    assert refusal(await confirm(client, other)) == DEAD
    assert (await confirm(client, token)).status_code == 204


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_CHANGE_EMAIL="2/hour", RATE_LIMIT_CONFIRM_EMAIL="2/hour")
async def test_each_call_has_a_limit_by_client_address(client: AsyncClient) -> None:
    user = await api.new_user(client)
    assert [(await ask_change(client, user, f"a{n}@example.org")).status_code for n in range(3)] == [202, 202, 429]
    assert [(await act(client, "x")).status_code for act in (confirm, undo, confirm)] == [400, 400, 429]
