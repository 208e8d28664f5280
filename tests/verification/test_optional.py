"""An account that is there at once is asked to prove its address: by link, by code, again and again."""

import base64
import io
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import delete, update

from app.core.server import Server
from app.models import User
from app.passwords.deps import ResetKit
from app.tickets import service as tickets
from app.verification import service
from app.verification.deps import VerificationKit
from tests.mail.postman import Postman, dump_of, rows_of, token_in
from tests.support import api
from tests.support.smtp import SmtpServer, links_in, text_of
from tests.verification.letters import DEAD, VERIFY, code_in, facts_of, letter, refusal, resend, twenty, user_of, verify, words

WRONG = "2222-2222"


async def test_registering_mails_a_link_and_a_code(postman: Postman, client: AsyncClient, server: Server) -> None:
    account = await api.register(client, "ada", "Ada@example.com")
    assert account["email_verified"] is False
    mail = await letter(postman, "Ada@example.com")
    (link,) = links_in(mail)
    assert link.startswith("http://localhost:8000/account/verify?token=")
    assert "ada" in text_of(mail)
    assert "24 hours" in text_of(mail)
    assert code_in(mail)
    assert await facts_of(server) == ["user.registered"]


async def test_the_link_proves_the_address_once_and_signs_nobody_in(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    user = await api.new_user(client)
    token = token_in(await letter(postman, user.email))
    done = await verify(client, token=token)
    assert (done.status_code, done.json()) == (200, {"username": user.username})
    assert "set-cookie" not in done.headers
    assert (await client.get("/auth/me", headers=user.headers)).json()["email_verified"] is True
    assert (await facts_of(server))[-1] == "user.email.verified"
    assert refusal(await verify(client, token=token)) == DEAD
    assert (await facts_of(server)).count("user.email.verified") == 1


async def test_the_code_proves_the_address_however_it_is_typed(postman: Postman, client: AsyncClient) -> None:
    ways: list[Callable[[str], str]] = [str, str.lower, lambda code: code.replace("-", " "), lambda code: code.replace("-", "")]
    for number, typed in enumerate(ways):
        user = await api.register(client, f"user{number}")
        code = code_in(await letter(postman, user["email"]))
        done = await verify(client, email=user["email"].upper(), code=typed(code))
        assert (done.status_code, done.json()) == (200, {"username": user["username"]})


async def test_looking_spends_nothing(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.register(client)
    mail = await letter(postman, user["email"])
    kit = server.kit(VerificationKit)
    for _ in range(3):
        async with server.database.read() as db:
            assert await service.preview(db, kit, token_in(mail), server.clock()) == user["username"]
        async with server.database.write() as db:
            assert await service.preview_code(db, kit, user["email"], code_in(mail), server.clock()) == user["username"]
    assert (await verify(client, token=token_in(mail))).status_code == 200


async def test_a_newer_mail_voids_link_and_code_of_the_older(postman: Postman, client: AsyncClient) -> None:
    user = await api.register(client)
    older = await letter(postman, user["email"])
    assert (await resend(client, user["email"])).status_code == 202
    newer = await letter(postman, user["email"])
    assert code_in(newer) != code_in(older)
    assert refusal(await verify(client, token=token_in(older))) == DEAD
    assert refusal(await verify(client, email=user["email"], code=code_in(older))) == DEAD
    assert (await verify(client, email=user["email"], code=code_in(newer))).status_code == 200


async def test_a_resend_answers_everybody_alike_and_writes_to_those_who_wait(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    waiting, verified, disabled = [await api.register(client) for _ in range(3)]
    await postman.deliver()
    assert (await verify(client, token=token_in(smtp.sent_to(verified["email"])[0]))).status_code == 200
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username == disabled["username"]).values(disabled_at=server.clock()))
    smtp.clear()
    addresses = ["nobody@example.com", waiting["email"], verified["email"], disabled["email"]]
    answers = [words(await resend(client, address)) for address in addresses]
    assert answers == [answers[0]] * 4
    assert answers[0][0] == 202
    jobs = await rows_of(server, "jobs")
    assert {(job["kind"], tuple(sorted(job["payload"]))) for job in jobs} == {(service.MAIL_AGAIN, ("email", "ticket"))}
    assert all(0 <= (job["run_at"] - job["created_at"]).total_seconds() <= 2 for job in jobs)
    await postman.deliver()
    assert [mail["To"] for mail in smtp.messages] == [waiting["email"]]
    assert await rows_of(server, "jobs") == []


async def test_the_fourth_mail_in_an_hour_for_an_address_is_dropped_in_silence(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    user = await api.register(client, "ada", "ada@example.com")
    await postman.deliver()
    for spelling in ("ada@example.com", "ADA@example.com", "Ada@EXAMPLE.com", "aDA@example.com"):
        assert (await resend(client, spelling)).status_code == 202
    await postman.deliver()
    mails = smtp.sent_to(user["email"], VERIFY)
    assert len(mails) == 1 + 3
    assert [(await verify(client, token=token_in(mail))).status_code for mail in mails].count(200) == 1


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_RESEND="2/hour", RATE_LIMIT_VERIFY_EMAIL="2/hour")
async def test_each_call_has_a_limit_by_client_address(client: AsyncClient) -> None:
    assert [(await resend(client, f"a{n}@example.com")).status_code for n in range(3)] == [202, 202, 429]
    assert [(await verify(client, token="x")).status_code for _ in range(3)] == [400, 400, 429]


@pytest.mark.promise("P3")
@pytest.mark.parametrize("by", ["token", "code"])
async def test_of_twenty_at_once_one_proves_it(
    by: str, postman: Postman, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    user = await api.register(client)
    mail = await letter(postman, user["email"])
    body = {"token": token_in(mail)} if by == "token" else {"email": user["email"], "code": code_in(mail)}
    statuses = await twenty(client, twin, "/auth/verify-email", body)
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 400, 503}
    assert (await facts_of(server)).count("user.email.verified") == 1


async def test_five_wrong_codes_and_the_right_one_is_refused_in_the_same_words_known_or_not(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    user = await api.register(client)
    mail = await letter(postman, user["email"])
    known = [words(await verify(client, email=user["email"], code=WRONG)) for _ in range(5)]
    known.append(words(await verify(client, email=user["email"], code=code_in(mail))))
    unknown = [words(await verify(client, email="nobody@example.com", code=WRONG)) for _ in range(6)]
    assert known == unknown == [known[0]] * 6
    assert known[0][0] == 400
    assert sorted(row["guesses"] for row in await rows_of(server, "code_guesses")) == [5, 5]
    await resend(client, user["email"])
    again = await letter(postman, user["email"])
    assert refusal(await verify(client, email=user["email"], code=code_in(again))) == DEAD
    assert (await verify(client, token=token_in(again))).status_code == 200


Spoil = Callable[[Postman, Server, api.User, str], Awaitable[str]]


async def _expired(postman: Postman, server: Server, user: api.User, token: str) -> str:
    postman.clock.advance(timedelta(hours=24))
    return token


async def _of_a_disabled_account(postman: Postman, server: Server, user: api.User, token: str) -> str:
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username == user.username).values(disabled_at=server.clock()))
    return token


async def _of_a_deleted_account(postman: Postman, server: Server, user: api.User, token: str) -> str:
    async with server.database.write() as db:
        await db.execute(delete(User).where(User.username == user.username))
    return token


async def _for_an_address_since_given_up(postman: Postman, server: Server, user: api.User, token: str) -> str:
    new = f"new.{user.email}"
    async with server.database.write() as db:
        await db.execute(update(User).where(User.username == user.username).values(email=new, email_key=new))
    return token


async def _from_before_a_change_of_password(postman: Postman, server: Server, user: api.User, token: str) -> str:
    body = {"current_password": user.password, "new_password": "some thing else 2!"}
    assert (await postman.client.post("/auth/change-password", json=body, headers=user.headers)).status_code == 200
    return token


async def _of_a_reset(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return await postman.fetch_token(user.email)


async def _made_with_the_key_of_resets(postman: Postman, server: Server, user: api.User, token: str) -> str:
    key, now, life = server.kit(ResetKit).key, server.clock(), timedelta(minutes=5)
    async with server.database.write() as db:
        other = await tickets.issue(db, key, uuid.uuid4(), service.PURPOSE, uuid.UUID(user.id), user.email, now, life)
    assert other is not None
    return other


async def _an_access_token(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return str(user.tokens["access_token"])


async def _the_bare_id(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return token[:22]


@pytest.mark.parametrize(
    "spoil",
    [
        _expired,
        _of_a_disabled_account,
        _of_a_deleted_account,
        _for_an_address_since_given_up,
        _from_before_a_change_of_password,
        _of_a_reset,
        _made_with_the_key_of_resets,
        _an_access_token,
        _the_bare_id,
    ],
    ids=lambda spoil: spoil.__name__.strip("_"),
)
async def test_a_link_is_good_for_nothing_when(spoil: Spoil, postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    token = await spoil(postman, server, user, token_in(await letter(postman, user.email)))
    assert refusal(await verify(client, token=token)) == DEAD
    assert "user.email.verified" not in await facts_of(server)


async def test_a_verification_link_opens_nothing_else(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = token_in(await letter(postman, user.email))
    assert refusal(await postman.reset(token)) == DEAD
    for path in ("/auth/me/email/confirm", "/auth/me/email/undo"):
        assert refusal(await client.post(path, json={"token": token})) == DEAD
    accepted = {"token": token, "username": "somebody", "password": api.PASSWORD}
    assert refusal(await client.post("/auth/invitations/accept", json=accepted)) == DEAD
    assert (await verify(client, token=token)).status_code == 200


ODD: list[dict[str, object]] = [
    {},
    {"email": "a@example.com"},
    {"code": "ABCD-EFGH"},
    {"token": "x", "code": "ABCD-EFGH"},
    {"token": "x", "email": "a@example.com", "code": "ABCD-EFGH"},
    {"token": None},
    {"token": ""},
    {"token": "a b"},
    {"token": "x" * 5000},
    {"email": "a@example.com", "code": ""},
    {"email": "a@example.com", "code": "A" * 33},
    {"email": "a@example.com", "code": "ABCD\x00EFG"},
    {"email": "a@example.com\r\nBcc: b@example.com", "code": "ABCD-EFGH"},
    {"email": 7, "code": 7},
    {"token": "x", "more": 1},
]


async def test_odd_bodies_are_refused_and_charge_nothing(client: AsyncClient, server: Server) -> None:
    for body in ODD:
        assert (await client.post("/auth/verify-email", json=body)).status_code == 422, body
    for code in ("\u202e", "ABCD-EFGHJ", "é" * 8, "0O1IL0O1"):
        answer = await client.post("/auth/verify-email", json={"email": "a@example.com", "code": code})
        assert answer.status_code in {400, 422}, ascii(code)
    assert len(await rows_of(server, "code_guesses")) == 1


@pytest.mark.promise("P4")
async def test_the_mail_arrives_when_the_server_is_back_as_one_link_that_lives_from_then(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    smtp.set_mode("drop")
    user = await api.register(client)
    (job,) = await rows_of(server, "jobs")
    for _ in range(3):
        await postman.deliver(timedelta(hours=11))
    smtp.set_mode("ok")
    await postman.deliver(timedelta(hours=1))
    (arrived,) = smtp.messages
    tried = [*smtp.dropped, arrived]
    assert {mail["Message-ID"] for mail in tried} == {f"<{job['id']}@example.com>"}
    assert len({token_in(mail) for mail in tried}) == 1
    postman.clock.advance(timedelta(hours=23))
    assert (await verify(client, token=token_in(arrived))).status_code == 200
    assert (await user_of(server, user["username"]))["email_verified_at"] is not None


@pytest.mark.promise("P9")
@pytest.mark.env(LOG_LEVEL="DEBUG")
async def test_no_row_and_no_log_ever_holds_token_or_code(
    postman: Postman, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    (handler,) = [each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler]
    monkeypatch.setattr(handler, "stream", log)
    user = await api.register(client)
    mail = await letter(postman, user["email"])
    token, code = token_in(mail), code_in(mail)
    await verify(client, email=user["email"], code=WRONG)
    dumps = [await dump_of(server)]
    assert (await verify(client, email=user["email"], code=code)).status_code == 200
    dumps.append(await dump_of(server))
    secret = base64.urlsafe_b64decode(token)[16:]
    for where in (*dumps, log.getvalue()):
        for form in (token, token[22:], secret.hex(), code, code.replace("-", "")):
            assert form not in where
    assert "/auth/verify-email" in log.getvalue()
    assert user["email"] not in log.getvalue()
