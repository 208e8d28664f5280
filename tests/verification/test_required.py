"""EMAIL_VERIFICATION=required: no account before the address is proved, and nobody learns which addresses have one."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import select

from app.auth.deps import AuthKit
from app.config import load_settings
from app.core.permissions import Role
from app.core.server import Server
from app.main import create_app
from app.models import User
from app.users import service as users
from app.users.errors import UsernameTaken
from app.verification import service
from app.verification.deps import VerificationKit
from tests.auth.holding import Crowd, pool_of
from tests.mail.postman import Postman, rows_of, token_in
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, text_of
from tests.timing.test_statements import heard
from tests.verification.letters import (
    DEAD,
    TAKEN,
    VERIFY,
    code_in,
    facts_of,
    letter,
    log_in,
    refusal,
    resend,
    sign_up,
    twenty,
    user_of,
    verify,
    words,
)

pytestmark = pytest.mark.env(EMAIL_VERIFICATION="required")
OWNED, FREE = "owned@example.com", "freed@example.com"  # as long as each other


@pytest.fixture
async def owner(server: Server) -> User:
    """Somebody who has the address OWNED."""
    return await account(server, "owner", OWNED)


async def account(server: Server, username: str, email: str, role: Role = Role.USER) -> User:
    """Made as the operator makes them."""
    kit, now = server.kit(AuthKit), server.clock()
    async with server.database.write() as db:
        return await users.create_user(
            db,
            username=username,
            email=email,
            password_hash=kit.passwords.hash(api.PASSWORD),
            scheme=kit.passwords.label,
            role=role,
            now=now,
        )


async def test_the_account_is_made_when_the_link_is_spent(postman: Postman, client: AsyncClient, server: Server) -> None:
    done = await sign_up(client, "Ada", "Ada@example.com")
    assert done.status_code == 202
    assert set(done.json()) == {"detail"}
    assert await rows_of(server, "users") == []
    mail = await letter(postman, "Ada@example.com")
    assert "Ada" in text_of(mail)
    assert (await log_in(client, "ada")).status_code == 401
    verified = await verify(client, token=token_in(mail))
    assert (verified.status_code, verified.json()) == (200, {"username": "Ada"})
    row = await user_of(server, "Ada")
    assert (row["email"], row["role"], row["email_verified_at"] is not None) == ("Ada@example.com", "user", True)
    assert (await log_in(client, "ada")).status_code == 200
    assert await rows_of(server, "pending_registrations") == []
    expected = ["user.registration.started", "user.login.failed", "user.registered", "user.email.verified"]
    assert (await facts_of(server))[:4] == expected
    assert refusal(await verify(client, token=token_in(mail))) == DEAD


async def test_or_when_the_code_is(postman: Postman, client: AsyncClient) -> None:
    await sign_up(client, "ada", FREE)
    mail = await letter(postman, FREE)
    assert (await verify(client, email=FREE, code=code_in(mail))).json() == {"username": "ada"}
    assert (await log_in(client, "ada")).status_code == 200


async def test_the_owner_of_a_taken_address_is_told_and_nothing_spendable_is_made(
    owner: User, postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    assert (await sign_up(client, "intruder", OWNED.upper())).status_code == 202
    await postman.deliver()
    (mail,) = smtp.messages
    assert (mail["Subject"], mail["Delivered-To"].lower()) == (TAKEN, OWNED)
    assert "owner" in text_of(mail)
    assert "intruder" not in mail.as_string()
    assert "token=" not in mail.as_string()
    assert await rows_of(server, "tickets") == []


async def both_worlds(client: AsyncClient, server: Server, email: str, name: str) -> tuple[list[Any], list[list[str]]]:
    """What a stranger does with an address, call by call: the answers, and what the database was asked."""
    answers, asked_each = [], []
    with heard(server.database) as asked:
        calls: list[Callable[[], Awaitable[Response]]] = [
            lambda: sign_up(client, name, email),
            lambda: sign_up(client, name.upper(), "other@example.com"),
            lambda: log_in(client, name),
            lambda: log_in(client, name, "not the password 1!"),
            lambda: resend(client, email),
            lambda: verify(client, email=email, code="2222-2222"),
            lambda: sign_up(client, f"x{name[1:]}", email),
            lambda: resend(client, email),
            lambda: resend(client, email),
        ]
        for call in calls:
            asked.clear()
            answers.append(words(await call()))
            asked_each.append(list(asked))
    return answers, asked_each


@pytest.mark.promise("P8")
@pytest.mark.env(EMAIL_VERIFICATION="required", RATE_LIMIT_RESEND_ACCOUNT="3/hour")
async def test_a_stranger_learns_nothing_of_an_address_by_answer_or_by_what_the_database_is_asked(
    owner: User, client: AsyncClient, server: Server
) -> None:
    await both_worlds(client, server, "warm@example.com", "warmup")  # statements are compiled, connections there
    free, taken = await both_worlds(client, server, FREE, "freename"), await both_worlds(client, server, OWNED, "takename")
    assert free[0] == taken[0]
    assert [answer[0] for answer in free[0]] == [202, 409, 401, 401, 202, 400, 202, 202, 202]
    assert free[1] == taken[1]
    assert all("commit" in asked for asked in (free[1][0], free[1][4], free[1][5]))
    of_free = [job["payload"] for job in await rows_of(server, "jobs") if job["payload"].get("email") == FREE]
    of_taken = [job["payload"] for job in await rows_of(server, "jobs") if job["payload"].get("email") == OWNED]
    assert len(of_free) == len(of_taken) == 1  # the second registration was the third mail


@pytest.mark.promise("P8")
async def test_both_worlds_hash_the_same(owner: User, client: AsyncClient, server: Server) -> None:
    async with pool_of(server) as pool:
        for number, email in enumerate([FREE, OWNED]):
            pool.done.clear()
            assert (await sign_up(client, f"name{number}", email)).status_code == 202
            assert pool.done == {"hash": 1}
            assert (await log_in(client, f"name{number}")).status_code == 401
            assert pool.done == {"hash": 1, "check": 1}


async def test_control_a_server_that_looks_the_address_up_is_heard(
    owner: User, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    careful = service.PendingRegistrations.__call__

    async def hasty(self: Any, db: Any, applicant: Any, client: Any, now: datetime) -> None:
        if await users.find_by_key(db, applicant.email) is None:
            await careful(self, db, applicant, client, now)

    monkeypatch.setattr(service.PendingRegistrations, "__call__", hasty)
    await both_worlds(client, server, "warm@example.com", "warmup")
    free, taken = await both_worlds(client, server, FREE, "freename"), await both_worlds(client, server, OWNED, "takename")
    assert free[0] != taken[0]
    assert free[1] != taken[1]


async def test_an_accounts_name_is_taken_and_so_is_one_that_waits_for_24_hours(
    owner: User, postman: Postman, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    assert refusal(await sign_up(client, "OWNER", FREE)) == (409, "username_taken")
    for name, email in (("first", FREE), ("second", OWNED)):
        assert (await sign_up(client, name, email)).status_code == 202
    mail = await letter(postman, FREE)
    clock.advance(timedelta(hours=23, minutes=59))
    for name in ("first", "second"):
        assert refusal(await sign_up(client, name, "third@example.com")) == (409, "username_taken")
        with pytest.raises(UsernameTaken):
            await account(server, name, f"{name}@example.org")
    clock.advance(timedelta(minutes=1))
    assert refusal(await verify(client, token=token_in(mail))) == DEAD
    for name in ("first", "second"):
        assert (await sign_up(client, name, f"{name}@example.net")).status_code == 202
    assert (await verify(client, token=token_in(await letter(postman, "first@example.net")))).status_code == 200


async def test_each_registration_of_an_address_has_a_link_of_its_own_and_the_first_spent_gets_it(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    for name in ("mine", "theirs"):
        assert (await sign_up(client, name, FREE)).status_code == 202
    await postman.deliver()
    mails = {("mine" if "mine" in text_of(mail) else "theirs"): mail for mail in smtp.sent_to(FREE, VERIFY)}
    kit = server.kit(VerificationKit)
    for name, mail in mails.items():
        async with server.database.read() as db:
            assert await service.preview(db, kit, token_in(mail), server.clock()) == name
    assert (await verify(client, email=FREE, code=code_in(mails["mine"]))).json() == {"username": "mine"}
    assert refusal(await verify(client, token=token_in(mails["theirs"]))) == DEAD
    assert [row["username"] for row in await rows_of(server, "users")] == ["mine"]


async def test_a_resend_writes_once_more_for_each_that_waits(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    for name in ("mine", "theirs"):
        await sign_up(client, name, FREE)
    await postman.deliver()
    smtp.clear()
    assert (await resend(client, FREE)).status_code == 202
    await postman.deliver()
    mails = smtp.sent_to(FREE, VERIFY)
    assert len(mails) == 2
    assert {(await verify(client, token=token_in(mail))).status_code for mail in mails} == {200, 400}


@pytest.mark.promise("P3")
async def test_of_twenty_who_spend_it_at_once_one_makes_one_account(
    postman: Postman, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    await sign_up(client, "ada", FREE)
    statuses = await twenty(client, twin, "/auth/verify-email", {"token": token_in(await letter(postman, FREE))})
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 400, 503}
    assert len(await rows_of(server, "users")) == 1


@pytest.mark.promise("P1")
async def test_of_twenty_with_one_name_at_once_one_gets_it(client: AsyncClient, server: Server) -> None:
    async with pool_of(server, before=Crowd(20)):
        answers = await asyncio.gather(*(sign_up(client, "ada" if n % 2 else "ADA", f"a{n}@example.com") for n in range(20)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 409: 19}
    assert len(await rows_of(server, "pending_registrations")) == 1


async def test_twenty_links_of_one_address_at_once_make_one_account(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(service, "may_mail", always)
    for number in range(20):
        await sign_up(client, f"ada{number}", FREE)
    await postman.deliver()
    tokens = [token_in(mail) for mail in smtp.sent_to(FREE, VERIFY)]
    assert len(tokens) == 20
    statuses = [answer.status_code for answer in await asyncio.gather(*(verify(client, token=token) for token in tokens))]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 400, 503}
    assert len(await rows_of(server, "users")) == 1


async def test_a_link_whose_address_or_name_somebody_has_by_now_is_good_for_nothing(
    postman: Postman, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_up(client, "ada", FREE)
    token = token_in(await letter(postman, FREE))
    await account(server, "bob", FREE)
    assert refusal(await verify(client, token=token)) == DEAD
    assert len(await rows_of(server, "pending_registrations")) == 1  # rolled back whole
    (ticket,) = await rows_of(server, "tickets")
    assert ticket["spent_at"] is None


async def test_a_hash_of_yesterdays_scheme_is_known_to_the_logins_of_tomorrow(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    await sign_up(client, "ada", FREE)
    await verify(client, token=token_in(await letter(postman, FREE)))
    assert [row["scheme"] for row in await rows_of(server, "hash_schemes")] == ["bcrypt/04"]


async def test_rules_are_those_of_any_registration(client: AsyncClient, server: Server) -> None:
    assert (await sign_up(client, "admin", FREE)).status_code == 422
    assert refusal(await sign_up(client, "ada", FREE, "Password1!")) == (422, "password_rejected")
    assert await rows_of(server, "pending_registrations") == []


async def test_the_daily_round_forgets_what_nobody_finished(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    await sign_up(client, "ada", FREE)
    for hours, left in ((23, 1), (1, 0)):
        clock.advance(timedelta(hours=hours))
        async with server.database.write() as db:
            await service.tidy(db, clock())
        assert len(await rows_of(server, "pending_registrations")) == left


@pytest.mark.parametrize("mode", ["closed", "invite"])
@pytest.mark.parametrize("verification", ["optional", "required"])
async def test_where_registration_is_not_open_it_is_refused_before_any_work(
    mode: str, verification: str, env: dict[str, str], server: Server
) -> None:
    settings = load_settings(env | {"REGISTRATION": mode, "EMAIL_VERIFICATION": verification}, env_file=None)
    async with running(create_app(settings)) as app, client_of(app) as client:
        closed: Server = app.state.server
        async with pool_of(closed) as pool:
            with heard(closed.database) as asked:
                for name in ("ada", "admin", "owner"):
                    assert refusal(await sign_up(client, name, FREE)) == (403, "registration_closed")
                assert asked == []
            assert not pool.done


async def test_no_password_is_kept_in_clear(client: AsyncClient, server: Server) -> None:
    await sign_up(client, "ada", FREE)
    async with server.database.read() as db:
        assert (await db.scalars(select(User))).all() == []
    (row,) = await rows_of(server, "pending_registrations")
    assert row["password_hash"].startswith("$2b$04$")
    assert api.PASSWORD not in str(row)
