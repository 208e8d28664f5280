"""Signing in by a mailed link or code: once, soon, by whoever reads the mail, in the browser that asked."""

import asyncio
import re
import uuid
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import select, update

from app.auth.deps import AuthKit
from app.auth.models import LoginFailure
from app.auth.service import STOP_AT, account_lane_of
from app.core.server import Server
from app.jobs import service as jobs
from app.jobs.models import Job
from app.magiclinks import service
from app.magiclinks.deps import MagicKit
from app.tickets.models import CodeGuess, Ticket
from app.users.models import User
from tests.auth.scene import claims_of, events, execute
from tests.mail.postman import Postman, token_in
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in, text_of

ASK, VERIFY = "/auth/magic-link", "/auth/magic-link/verify"
SUBJECT = "Sign in to your account"
APP, EVIL = "https://app.example.com", "https://evil.example.net"
DEAD = (400, "ticket_invalid")
pytestmark = pytest.mark.env(MAGIC_LINK="true")


async def ask(client: AsyncClient, email: str, **headers: str) -> Response:
    answer = await client.post(ASK, json={"email": email}, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer


async def letter(postman: Postman, email: str) -> EmailMessage:
    await postman.deliver()
    return postman.smtp.sent_to(email, SUBJECT)[-1]


def code_in(message: EmailMessage) -> str:
    (code,) = re.findall(r"^([2-9A-Z]{4}-[2-9A-Z]{4})\r?$", text_of(message), re.MULTILINE)
    return str(code)


async def asked(client: AsyncClient, postman: Postman, email: str) -> tuple[str, str, str]:
    """Token, code, and the secret of who asked, whose cookie the client does not keep."""
    client.cookies.clear()
    request = (await ask(client, email)).json()["request"]
    client.cookies.clear()
    mail = await letter(postman, email)
    return token_in(mail), code_in(mail), request


async def sign_in(client: AsyncClient, headers: dict[str, str] | None = None, **proof: Any) -> Response:
    client.cookies.clear()
    answer = await client.post(VERIFY, json=proof, headers=headers or {})
    client.cookies.clear()
    return answer


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.env(MAGIC_LINK="false")
async def test_switched_off_there_is_no_such_path(client: AsyncClient, server: Server, postman: Postman) -> None:
    for path in (ASK, VERIFY):
        assert refusal(await client.post(path, json={"email": "x@example.com"})) == (404, "not_found")
    # What was asked for before is dropped, and kept as no failure.
    async with server.database.write() as db:
        await jobs.enqueue(db, service.KIND, {"email": "x@example.com"}, server.clock())
    await postman.deliver()
    async with server.database.read() as db:
        assert (await db.scalars(select(Job))).all() == []


@pytest.mark.asvs("V7.2.4")
async def test_a_link_opens_a_session_once(client: AsyncClient, server: Server, postman: Postman) -> None:
    account = await api.register(client)
    token, _, request = await asked(client, postman, account["email"])
    answer = await sign_in(client, token=token, request=request)
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "device"}
    me = (await client.get("/auth/me", headers=api.bearer(tokens))).json()
    assert (me["id"], me["email_verified"]) == (account["id"], True)  # the mail was read
    assert claims_of(tokens["access_token"])["amr"] == ["mail"]
    assert (await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).status_code == 200
    assert refusal(await sign_in(client, token=token, request=request)) == DEAD
    (event,) = await events(server, "user.login.succeeded")
    assert (str(event.subject_id), event.data) == (account["id"], {"by": "mail"})
    (requested,) = await events(server, "user.magic_link.requested")
    assert str(requested.subject_id) == account["id"]


async def test_a_code_opens_a_session_once_however_it_is_typed(client: AsyncClient, postman: Postman) -> None:
    account = await api.register(client)
    token, code, request = await asked(client, postman, account["email"])
    typed = f" {code.lower().replace('-', ' ')} "
    answer = await sign_in(client, email=account["email"].upper(), code=typed, request=request)
    assert answer.status_code == 200
    assert refusal(await sign_in(client, email=account["email"], code=code, request=request)) == DEAD
    assert refusal(await sign_in(client, token=token, request=request)) == DEAD


@pytest.mark.asvs("V3.3.2", "V3.3.4")
async def test_a_browser_that_asked_is_known_by_its_cookie(client: AsyncClient, postman: Postman) -> None:
    account = await api.register(client)
    client.cookies.clear()
    answer = await ask(client, account["email"])
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith(f"authkeep-magic={answer.json()['request']};")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=4200"} <= set(cookie.split("; "))
    again = await ask(client, account["email"])
    assert again.json()["request"] == answer.json()["request"]  # the same browser: an older mail is no stranger's
    token = token_in(await letter(postman, account["email"]))
    done = await client.post(VERIFY, json={"token": token})
    assert done.status_code == 200
    assert 'authkeep-magic="";' in " ".join(done.headers.get_list("set-cookie"))


@pytest.mark.asvs("V6.5.1", "V6.6.2")
async def test_a_link_that_was_carried_off_opens_nothing_in_another_browser(
    client: AsyncClient, server: Server, postman: Postman
) -> None:
    account, other = await api.register(client), await api.register(client)
    token, code, request = await asked(client, postman, account["email"])
    _, _, theirs = await asked(client, postman, other["email"])
    secrets: tuple[dict[str, Any], ...] = ({}, {"request": theirs}, {"request": "x"}, {"request": request[:-1]})
    for secret in secrets:
        for proof in ({"token": token}, {"email": account["email"], "code": code}):
            assert refusal(await sign_in(client, **proof, **secret)) == (403, "other_browser")
            by_cookie = await sign_in(client, {"Cookie": f"authkeep-magic={theirs}"}, **proof)
            assert refusal(by_cookie) == (403, "other_browser")
    assert await events(server, "user.login.succeeded") == []
    # The control: nothing was spent, and the browser that asked gets in.
    assert (await sign_in(client, {"Cookie": f"authkeep-magic={request}"}, token=token)).status_code == 200


async def test_a_person_who_was_told_may_confirm(client: AsyncClient, server: Server, postman: Postman) -> None:
    """Asked for on the computer, opened on the phone."""
    account = await api.register(client)
    token, _, _ = await asked(client, postman, account["email"])
    kit = server.kit(MagicKit)
    async with server.database.read() as db:
        assert await service.preview(db, kit, token, (None,), server.clock()) == (account["username"], False)
    assert (await sign_in(client, token=token, confirm=True)).status_code == 200


async def test_who_made_the_account_for_somebody_elses_address_is_shut_out(
    client: AsyncClient, server: Server, postman: Postman
) -> None:
    """Who never proved the address knows the password, and waits for its owner to come in."""
    squatter = await api.new_user(client)
    token, _, request = await asked(client, postman, squatter.email)
    owner = (await sign_in(client, token=token, request=request)).json()
    assert (await client.get("/auth/me", headers=api.bearer(owner))).json()["email_verified"] is True
    assert (await client.get("/auth/me", headers=squatter.headers)).status_code == 401
    body = {"username": squatter.username, "password": squatter.password, "device": squatter.tokens["device"]}
    assert refusal(await client.post("/auth/login", json=body)) == (401, "login_failed")
    again = await client.post("/auth/reauthenticate", json={"password": squatter.password}, headers=api.bearer(owner))
    assert refusal(again) == (400, "password_wrong")
    assert len(await events(server, "user.password.voided")) == 1
    await postman.deliver()
    assert len(postman.smtp.sent_to(squatter.email, "Your old password no longer works")) == 1


async def test_a_password_stays_on_its_own_device_and_once_the_address_is_proved(
    client: AsyncClient, server: Server, postman: Postman
) -> None:
    user = await api.new_user(client)
    token, _, request = await asked(client, postman, user.email)
    assert (await sign_in(client, token=token, request=request, device=user.tokens["device"])).status_code == 200
    token, _, request = await asked(client, postman, user.email)
    assert (await sign_in(client, token=token, request=request)).status_code == 200  # somewhere else
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    assert (await client.post("/auth/login", json={"username": user.username, "password": user.password})).status_code == 200
    assert await events(server, "user.password.voided") == []


async def test_without_the_binding_the_carried_off_link_would_open(
    client: AsyncClient, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a server broken on purpose."""
    account = await api.register(client)
    token, _, _ = await asked(client, postman, account["email"])
    monkeypatch.setattr(service, "_is_own", lambda *_: True)
    assert (await sign_in(client, token=token)).status_code == 200


@pytest.mark.promise("P3")
async def test_of_twenty_on_two_replicas_one_gets_in(
    app: FastAPI, twin: FastAPI, client: AsyncClient, server: Server, postman: Postman
) -> None:
    account = await api.register(client)
    for by_code in (False, True):
        token, code, request = await asked(client, postman, account["email"])
        proof = {"email": account["email"], "code": code} if by_code else {"token": token}
        async with client_of(app) as one, client_of(twin) as two:
            tries = [(one, two)[number % 2].post(VERIFY, json={**proof, "request": request}) for number in range(20)]
            statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
        assert statuses.count(200) == 1, statuses
        assert set(statuses) <= {200, 400, 503}
    assert len(await events(server, "user.login.succeeded")) == 2


@pytest.mark.promise("P3")
@pytest.mark.asvs("V6.6.3")
async def test_a_code_is_guessed_five_times_across_mails_and_replicas(
    app: FastAPI, twin: FastAPI, client: AsyncClient, server: Server, postman: Postman
) -> None:
    account = await api.register(client)
    email = account["email"]
    _, _, request = await asked(client, postman, email)
    async with client_of(app) as one, client_of(twin) as two:
        for number in range(5):
            wrong = await (one, two)[number % 2].post(VERIFY, json={"email": email, "code": "2222-2222", "request": request})
            assert refusal(wrong) == DEAD
    async with server.database.read() as db:
        assert (await db.scalars(select(CodeGuess.guesses))).all() == [5]  # the refusals are kept
    token, code, request = await asked(client, postman, email)
    assert refusal(await sign_in(client, email=email, code=code, request=request)) == DEAD  # the right one, but a sixth
    assert (await sign_in(client, token=token, request=request)).status_code == 200


@pytest.mark.asvs("V6.5.5", "V6.6.2")
async def test_a_link_dies_with_time_a_newer_one_and_a_new_password(
    client: AsyncClient, postman: Postman, clock: TravellingClock
) -> None:
    account = await api.register(client)
    first, older, mine = await asked(client, postman, account["email"])
    second, code, mine = await asked(client, postman, account["email"])
    assert refusal(await sign_in(client, token=first, request=mine)) == DEAD
    assert refusal(await sign_in(client, email=account["email"], code=older, request=mine)) == DEAD
    clock.advance(timedelta(minutes=10))
    assert refusal(await sign_in(client, token=second, request=mine)) == DEAD
    assert refusal(await sign_in(client, email=account["email"], code=code, request=mine)) == DEAD
    third, _, mine = await asked(client, postman, account["email"])
    reset = await postman.fetch_token(account["email"])
    assert (await postman.reset(reset)).status_code == 204
    assert refusal(await sign_in(client, token=third, request=mine)) == DEAD


async def test_a_link_is_of_one_kind(client: AsyncClient, postman: Postman) -> None:
    user = await api.new_user(client)
    reset = await postman.fetch_token(user.email)
    token, _, request = await asked(client, postman, user.email)
    assert refusal(await sign_in(client, token=reset, request=request)) == DEAD
    assert refusal(await postman.reset(token)) == DEAD
    for path in ("/auth/verify-email", "/auth/end-session"):
        assert refusal(await client.post(path, json={"token": token})) == DEAD
    for wrong in (token[:-2], token + "AA", str(uuid.uuid4()), "a" * 4000, user.tokens["access_token"]):
        assert refusal(await sign_in(client, token=wrong, request=request)) == DEAD
    assert (await sign_in(client, token=token, request=request)).status_code == 200


@pytest.mark.promise("P8")
async def test_known_and_unknown_addresses_get_the_same(
    client: AsyncClient, server: Server, postman: Postman, smtp: SmtpServer
) -> None:
    known, disabled = [await api.register(client) for _ in range(2)]
    await execute(server, update(User).where(User.username == disabled["username"]).values(disabled_at=server.clock()))
    seen = []
    for email in (known["email"], "nobody@example.com", disabled["email"]):
        for _ in range(4):  # the fourth is dropped
            client.cookies.clear()
            answer = await ask(client, email)
            headers = sorted(name for name in answer.headers if name != "x-request-id")
            seen.append((answer.status_code, headers, len(answer.content), answer.json()["detail"]))
    assert seen == [seen[0]] * 12
    async with server.database.read() as db:
        payloads = (await db.scalars(select(Job.payload).where(Job.kind == service.KIND))).all()
    assert [sorted(each) for each in payloads] == [sorted(payloads[0])] * 9
    await postman.deliver()
    assert len(smtp.sent_to(known["email"], SUBJECT)) == 3
    assert smtp.sent_to("nobody@example.com") == smtp.sent_to(disabled["email"], SUBJECT) == []
    wrong = [await sign_in(client, email=email, code="2222-2222") for email in (known["email"], "nobody@example.com")]
    assert wrong[0].content == wrong[1].content
    assert [refusal(answer) for answer in wrong] == [DEAD, DEAD]


async def test_who_may_not_sign_in_may_not_by_mail(client: AsyncClient, server: Server, postman: Postman) -> None:
    account = await api.register(client)
    token, _, request = await asked(client, postman, account["email"])
    switch = update(User).where(User.username == account["username"])
    await execute(server, switch.values(disabled_at=server.clock()))
    assert refusal(await sign_in(client, token=token, request=request)) == DEAD
    await execute(server, switch.values(disabled_at=None))
    assert (await sign_in(client, token=token, request=request)).status_code == 200


async def test_who_left_comes_back_within_seven_days_and_not_later(
    client: AsyncClient, server: Server, postman: Postman, clock: TravellingClock
) -> None:
    user, late = await api.new_user(client), await api.new_user(client)
    for who in (user, late):
        assert (await client.request("DELETE", "/auth/me", headers=who.headers)).status_code == 202
    token, _, request = await asked(client, postman, user.email)
    answer = await sign_in(client, token=token, request=request)
    assert answer.status_code == 200
    assert len(await events(server, "user.leaving.cancelled", subject_id=uuid.UUID(user.id))) == 1
    clock.advance(timedelta(days=7, seconds=1))
    await ask(client, late.email)
    await postman.deliver()
    assert postman.smtp.sent_to(late.email, SUBJECT) == []


async def test_a_stop_by_failed_passwords_bars_no_mail_and_is_not_lifted_by_it(
    client: AsyncClient, server: Server, postman: Postman
) -> None:
    account = await api.register(client)
    await execute(server, update(User).values(email_verified_at=server.clock()))
    kit = server.kit(AuthKit)
    lane = account_lane_of(kit, uuid.UUID(account["id"]))
    async with server.database.write() as db:
        moment = server.clock()
        row = LoginFailure(key=lane, failures=STOP_AT + 1, next_at=moment, forget_at=moment + timedelta(days=30))
        db.add(row)
    by_password = {"username": account["username"], "password": api.PASSWORD}
    assert (await client.post("/auth/login", json=by_password)).status_code == 401
    token, _, request = await asked(client, postman, account["email"])
    tokens = (await sign_in(client, token=token, request=request)).json()
    assert (await client.get("/auth/me", headers=api.bearer(tokens))).status_code == 200
    client.cookies.clear()
    assert (await client.post("/auth/login", json=by_password)).status_code == 401
    known = {**by_password, "device": tokens["device"]}
    assert (await client.post("/auth/login", json=known)).status_code == 200  # but this device is known from now on


async def test_a_new_device_is_told_of_here_too(client: AsyncClient, postman: Postman) -> None:
    user = await api.new_user(client)
    token, _, request = await asked(client, postman, user.email)
    assert (await sign_in(client, token=token, request=request, device=user.tokens["device"])).status_code == 200
    await postman.deliver()
    assert postman.smtp.sent_to(user.email, "A new sign-in to your account") == []
    token, _, request = await asked(client, postman, user.email)
    assert (await sign_in(client, token=token, request=request)).status_code == 200
    await postman.deliver()
    assert len(postman.smtp.sent_to(user.email, "A new sign-in to your account")) == 1


@pytest.mark.env(CORS_ORIGINS=APP)
async def test_a_page_may_keep_the_refresh_token_as_a_cookie_and_no_other_page_may_ask(
    client: AsyncClient, postman: Postman
) -> None:
    account = await api.register(client)
    token, _, request = await asked(client, postman, account["email"])
    proof = {"token": token, "request": request, "transport": "cookie"}
    assert refusal(await sign_in(client, {"Origin": EVIL}, **proof)) == (403, "csrf_refused")
    client.cookies.clear()
    answer = await client.post(VERIFY, json=proof, headers={"Origin": APP})
    assert (answer.status_code, answer.json()["refresh_token"]) == (200, None)
    assert claims_of(answer.cookies["authkeep-refresh"])["sub"] == account["id"]


@pytest.mark.promise("P4", "P9")
async def test_neither_job_nor_ticket_holds_a_secret(
    client: AsyncClient, server: Server, postman: Postman, smtp: SmtpServer, clock: TravellingClock
) -> None:
    account = await api.register(client)
    client.cookies.clear()
    request = (await ask(client, account["email"])).json()["request"]
    async with server.database.read() as db:
        (payload,) = (await db.scalars(select(Job.payload).where(Job.kind == service.KIND))).all()
    assert set(payload) == {"email", "ticket", "browser", "address", "agent", "request"}
    assert request not in str(payload)
    smtp.set_mode("drop")
    await postman.deliver()
    smtp.set_mode("ok")
    await postman.deliver(timedelta(minutes=11))  # longer than a link lives: its time begins when it is sent
    mails = [mail for mail in [*smtp.dropped, *smtp.messages] if mail["Subject"] == SUBJECT]
    assert len({(token_in(mail), code_in(mail)) for mail in mails}) == 1
    async with server.database.read() as db:
        (ticket,) = (await db.scalars(select(Ticket).where(Ticket.purpose == service.PURPOSE))).all()
    assert request.encode() != ticket.binding
    assert links_in(mails[0])[0].startswith("http://localhost:8000/account/magic-link?token=")
    assert (await sign_in(client, token=token_in(mails[0]), request=request)).status_code == 200


@pytest.mark.asvs("V2.2.1")
async def test_odd_input_is_refused(client: AsyncClient) -> None:
    odd_asks: tuple[dict[str, Any], ...] = (
        {},
        {"email": "x"},
        {"email": 5},
        {"email": "x@example.com", "more": 1},
        {"email": ""},
    )
    for body in odd_asks:
        assert (await client.post(ASK, json=body)).status_code == 422, body
    odd: tuple[dict[str, Any], ...] = (
        {},
        {"email": "x@example.com"},
        {"code": "2222-2222"},
        {"token": "x", "email": "x@example.com"},
        {"token": "x", "code": "2222-2222"},
        {"token": "\u00e9"},
        {"token": "a" * 5000},
        {"email": "x@example.com", "code": "2" * 50},
        {"email": "x@example.com", "code": "\x00"},
        {"token": "x", "request": ""},
        {"token": "x", "confirm": "yes"},
        {"token": "x", "transport": "letter"},
        {"token": "x", "more": 1},
    )
    for body in odd:
        assert (await client.post(VERIFY, json=body)).status_code == 422, body
    for cookie in ("x", "\u00e9".encode().decode("latin-1"), "a" * 20_000, '"\\000"'):
        client.cookies.clear()
        sent = [(b"Cookie", f"authkeep-magic={cookie}".encode("latin-1"))]
        assert (await client.post(ASK, json={"email": "x@example.com"}, headers=sent)).status_code == 202
        assert (await client.post(VERIFY, json={"token": "x"}, headers=sent)).status_code == 400


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_MAGIC_LINK="2/hour", RATE_LIMIT_MAGIC_LINK_VERIFY="2/hour")
async def test_both_are_limited_by_address(client: AsyncClient) -> None:
    for path, body, first in ((ASK, {"email": "x@example.com"}, 202), (VERIFY, {"token": "x"}, 400)):
        answers = [await client.post(path, json=body) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [first, first, 429]
        assert int(answers[-1].headers["retry-after"]) > 0


async def test_a_crash_between_spending_and_opening_spends_nothing(
    client: AsyncClient, server: Server, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await api.register(client)
    token, _, request = await asked(client, postman, account["email"])

    async def crash(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    with monkeypatch.context() as patch:
        patch.setattr("app.auth.service.let_in", crash)
        assert (await sign_in(client, token=token, request=request)).status_code == 500
    assert (await sign_in(client, token=token, request=request)).status_code == 200
