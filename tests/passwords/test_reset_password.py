"""Resetting the password by a mailed link: what it ends, what it tells whom, and which links are good for nothing."""

import asyncio
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import delete, update

from app.auth.deps import AuthKit
from app.auth.repository import charge_try
from app.auth.service import account_lane_of
from app.core.server import Server
from app.main import create_app
from app.models import User
from app.passwords.deps import ResetKit
from app.tickets import service as tickets
from tests.mail.postman import CHANGED, NEW_PASSWORD, Postman, rows_of
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, text_of

pytestmark = pytest.mark.usefixtures("no_welcome_mail")


def is_refused(answer: Response) -> bool:
    return (answer.status_code, answer.json()["code"]) == (400, "ticket_invalid")


async def can_log_in(client: AsyncClient, username: str, password: str) -> bool:
    answer = await client.post("/auth/login", data={"username": username, "password": password})
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.3")
async def test_a_reset_ends_every_session_and_every_known_device_and_signs_nobody_in(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    user = await api.new_user(client)
    other = await api.login(client, user.username)
    bystander = await api.new_user(client)
    done = await postman.reset(await postman.fetch_token(user.email))
    assert (done.status_code, done.content) == (204, b"")
    assert "set-cookie" not in done.headers
    for pair in (user.tokens, other):
        assert (await client.get("/auth/me", headers=api.bearer(pair))).status_code == 401
        assert (await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})).status_code == 401
    alive = [row for row in await rows_of(server, "sessions") if row["ended_at"] is None]
    assert [str(row["user_id"]) for row in alive] == [bystander.id]
    ended = [row for row in await rows_of(server, "sessions") if row["ended_at"] is not None]
    assert {row["end_reason"] for row in ended} == {"password_reset"}
    assert [str(row["user_id"]) for row in await rows_of(server, "known_devices")] == [bystander.id]
    assert (await client.get("/auth/me", headers=bystander.headers)).status_code == 200
    assert not await can_log_in(client, user.username, user.password)
    assert await can_log_in(client, user.username, NEW_PASSWORD)


async def test_a_reset_proves_the_address_it_was_mailed_to(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    for _ in range(2):
        assert (await postman.reset(await postman.fetch_token(user.email))).status_code == 204
        tokens = await api.login(client, user.username, NEW_PASSWORD)
        assert (await client.get("/auth/me", headers=api.bearer(tokens))).json()["email_verified"] is True
    assert [row["fact"] for row in await rows_of(server, "audit_events")].count("user.email.verified") == 1


@pytest.mark.promise("P2")
async def test_a_reset_on_one_replica_ends_sessions_on_the_other(postman: Postman, client: AsyncClient, twin: FastAPI) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    async with client_of(twin) as elsewhere:
        assert (await elsewhere.get("/auth/me", headers=user.headers)).status_code == 200
        assert (await postman.reset(token)).status_code == 204
        assert (await elsewhere.get("/auth/me", headers=user.headers)).status_code == 401


@pytest.mark.promise("P4")
@pytest.mark.asvs("V6.3.7")
async def test_the_owner_is_told_by_mail(postman: Postman, client: AsyncClient, smtp: SmtpServer) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    assert (await postman.reset(token)).status_code == 204
    moment = postman.clock()
    await postman.deliver()
    (mail,) = smtp.sent_to(user.email, CHANGED)
    text = text_of(mail)
    assert user.username in text
    assert f"{moment:%Y-%m-%d %H:}" in text
    assert "Was it not you" in text
    assert token not in mail.as_string()
    assert NEW_PASSWORD not in mail.as_string()


async def test_a_reset_whose_mail_cannot_be_sent_stands_all_the_same(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    smtp.set_mode("reject")
    assert (await postman.reset(token)).status_code == 204
    await postman.deliver()
    assert await can_log_in(client, user.username, NEW_PASSWORD)
    smtp.set_mode("ok")
    await postman.deliver(timedelta(minutes=1))
    assert len(smtp.sent_to(user.email, CHANGED)) == 1


Spoil = Callable[[Postman, Server, api.User, str], Awaitable[str]]


async def _spent(postman: Postman, server: Server, user: api.User, token: str) -> str:
    assert (await postman.reset(token)).status_code == 204
    return token


async def _expired(postman: Postman, server: Server, user: api.User, token: str) -> str:
    postman.clock.advance(timedelta(minutes=15))
    return token


async def _voided_by_a_newer(postman: Postman, server: Server, user: api.User, token: str) -> str:
    await postman.fetch_token(user.email)
    return token


async def _voided_by_a_change(postman: Postman, server: Server, user: api.User, token: str) -> str:
    body = {"current_password": user.password, "new_password": "some thing else 2!"}
    changed = await postman.client.post("/auth/change-password", json=body, headers=user.headers)
    assert changed.status_code == 200
    return token


async def _of_a_disabled_account(postman: Postman, server: Server, user: api.User, token: str) -> str:
    await _update(server, user, disabled_at=server.clock())
    return token


async def _disabled_and_enabled_again(postman: Postman, server: Server, user: api.User, token: str) -> str:
    admin = await api.new_admin(postman.app, postman.client)
    for active in (False, True):
        path = f"/users/{user.id}/status"
        answer = await postman.client.put(path, json={"active": active}, headers=admin.headers)
        assert answer.status_code == 200, answer.text
    return token


async def _of_a_deleted_account(postman: Postman, server: Server, user: api.User, token: str) -> str:
    async with server.database.write() as db:
        await db.execute(delete(User).where(User.id == uuid.UUID(user.id)))
    await api.register(postman.client, email=user.email)  # somebody new at the same address
    return token


async def _after_a_change_of_address(postman: Postman, server: Server, user: api.User, token: str) -> str:
    new = f"new.{user.email}"
    await _update(server, user, email=new, email_key=new)
    return token


async def _of_another_purpose(postman: Postman, server: Server, user: api.User, token: str) -> str:
    key = server.kit(ResetKit).key
    now = server.clock()
    async with server.database.write() as db:
        other = await tickets.issue(
            db, key, uuid.uuid4(), "email-verification", uuid.UUID(user.id), user.email, now, timedelta(minutes=5)
        )
    assert other is not None
    return other


async def _with_another_purpose_written_into_its_row(postman: Postman, server: Server, user: api.User, token: str) -> str:
    from app.models import Ticket

    async with server.database.write() as db:
        await db.execute(update(Ticket).values(purpose="email-verification"))
    return token


async def _of_an_unknown_id(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return urlsafe_b64encode(secrets.token_bytes(48)).decode()


async def _with_the_id_of_another_ticket(postman: Postman, server: Server, user: api.User, token: str) -> str:
    other = await api.new_user(postman.client)
    theirs = await postman.fetch_token(other.email)
    return urlsafe_b64encode(urlsafe_b64decode(theirs)[:16] + urlsafe_b64decode(token)[16:]).decode()


async def _with_its_last_bit_flipped(postman: Postman, server: Server, user: api.User, token: str) -> str:
    raw = bytearray(urlsafe_b64decode(token))
    raw[-1] ^= 1
    return urlsafe_b64encode(raw).decode()


async def _cut_short(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return token[:-4]


async def _without_its_mac(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return urlsafe_b64encode(urlsafe_b64decode(token)[:16] + bytes(32)).decode()


async def _with_something_after_it(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return f"{token}AAAA"


async def _an_access_token(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return str(user.tokens["access_token"])


async def _a_refresh_token(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return str(user.tokens["refresh_token"])


async def _a_device_secret(postman: Postman, server: Server, user: api.User, token: str) -> str:
    return str(user.tokens["device"])


async def _the_bare_id_of_the_ticket(postman: Postman, server: Server, user: api.User, token: str) -> str:
    (row,) = await rows_of(server, "tickets")
    return str(row["id"])


SPOILS: list[Spoil] = [
    _spent,
    _expired,
    _voided_by_a_newer,
    _voided_by_a_change,
    _of_a_disabled_account,
    _disabled_and_enabled_again,
    _of_a_deleted_account,
    _after_a_change_of_address,
    _of_another_purpose,
    _with_another_purpose_written_into_its_row,
    _of_an_unknown_id,
    _with_the_id_of_another_ticket,
    _with_its_last_bit_flipped,
    _cut_short,
    _without_its_mac,
    _with_something_after_it,
    _an_access_token,
    _a_refresh_token,
    _a_device_secret,
    _the_bare_id_of_the_ticket,
]


@pytest.mark.asvs("V2.3.1", "V9.2.2")
@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__.strip("_"))
async def test_a_link_is_good_for_nothing_when(postman: Postman, client: AsyncClient, server: Server, spoil: Spoil) -> None:
    user = await api.new_user(client)
    token = await spoil(postman, server, user, await postman.fetch_token(user.email))
    before = await rows_of(server, "users"), await rows_of(server, "tickets"), await rows_of(server, "sessions")
    answer = await postman.reset(token, "a password never set 3!")
    assert is_refused(answer)
    assert answer.json() == {
        "type": "about:blank",
        "title": "The link is not valid any more; ask for a new one",
        "status": 400,
        "detail": "The link is not valid any more; ask for a new one",
        "code": "ticket_invalid",
        "errors": [],
    }
    assert (await rows_of(server, "users"), await rows_of(server, "tickets"), await rows_of(server, "sessions")) == before


async def test_the_link_of_one_purpose_does_not_void_that_of_another(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    await _of_another_purpose(postman, server, user, token)
    assert (await postman.reset(token)).status_code == 204


async def test_a_link_works_until_the_last_second_of_its_life(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    postman.clock.advance(timedelta(minutes=14, seconds=50))
    assert (await postman.reset(token)).status_code == 204


@pytest.mark.env(PASSWORD_RESET_EXPIRE_MINUTES="3")
async def test_how_long_a_link_lives_is_a_setting(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    postman.clock.advance(timedelta(minutes=3))
    assert is_refused(await postman.reset(token))


async def test_a_new_secret_for_reset_links_kills_the_old_links_and_only_them(
    postman: Postman, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    from app.config import load_settings

    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    changed = load_settings({**env, "PASSWORD_RESET_TOKEN_SECRET": secrets.token_urlsafe(48)}, env_file=None)
    async with running(create_app(changed, clock=clock)) as app, client_of(app) as elsewhere:
        body = {"token": token, "new_password": NEW_PASSWORD}
        assert is_refused(await elsewhere.post("/auth/reset-password", json=body))
        assert (await elsewhere.get("/auth/me", headers=user.headers)).status_code == 200
    assert (await postman.reset(token)).status_code == 204


@pytest.mark.asvs("V6.2.4", "V6.2.11")
async def test_a_password_that_breaks_a_rule_spends_nothing(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    hashes = [row["password_hash"] for row in await rows_of(server, "users")]
    for weak in ("shor 1!", "nothingspecial1", "P@ssw0rd", "Password1!", f"{user.username}!", f"{user.email}", "Authkeep1!"):
        answer = await postman.reset(token, weak)
        assert (answer.status_code, answer.json()["code"]) == (422, "password_rejected"), weak
        assert all(error["loc"] == ["body", "new_password"] and error["code"] for error in answer.json()["errors"])
        assert weak not in answer.text
    assert [row["password_hash"] for row in await rows_of(server, "users")] == hashes
    assert [row["spent_at"] for row in await rows_of(server, "tickets")] == [None]
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    assert (await postman.reset(token)).status_code == 204


@pytest.mark.promise("P3")
@pytest.mark.asvs("V2.3.4")
async def test_of_twenty_tries_at_once_through_two_replicas_exactly_one_succeeds(
    postman: Postman, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    passwords = [f"contender number {number}!" for number in range(20)]
    async with client_of(twin) as elsewhere:
        answers = await asyncio.gather(
            *(
                (client, elsewhere)[number % 2].post("/auth/reset-password", json={"token": token, "new_password": password})
                for number, password in enumerate(passwords)
            )
        )
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 400, 503}
    assert statuses.count(400) > 0
    winner = passwords[statuses.index(204)]
    assert await can_log_in(client, user.username, winner)
    facts = [event["fact"] for event in await rows_of(server, "audit_events")]
    assert facts.count("user.password.reset") == 1
    told = [job for job in await rows_of(server, "jobs") if job["payload"].get("template") == "password-changed"]
    assert len(told) == 1


async def test_a_reset_lifts_the_stop_of_an_account_under_attack(
    postman: Postman, client: AsyncClient, server: Server, clock: TravellingClock, smtp: SmtpServer
) -> None:
    user = await api.new_user(client)
    client.cookies.clear()  # a stranger's browser: no known device
    lane = account_lane_of(server.kit(AuthKit), uuid.UUID(user.id))
    async with server.database.write() as db:
        for _ in range(48):
            await charge_try(db, b"x" * 32, clock(), timedelta(0), account=lane, keep_account_for=timedelta(days=1))
    for name in (user.username, user.email, user.username):
        assert not await can_log_in(client, name, "wrong")
    assert not await can_log_in(client, user.username, user.password)  # stopped, though it is right
    token = await postman.fetch_token(user.email)
    assert len(smtp.sent_to(user.email, "Too many failed sign-ins")) == 1
    assert (await postman.reset(token)).status_code == 204
    assert lane not in [row["key"] for row in await rows_of(server, "login_failures")]
    assert await can_log_in(client, user.username, NEW_PASSWORD)


@pytest.mark.promise("P2")
async def test_no_login_with_the_old_password_survives_a_reset_it_races_with(
    postman: Postman, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    async with client_of(twin) as elsewhere:

        async def log_in(number: int) -> Response:
            form = {"username": user.username, "password": user.password}
            return await (client, elsewhere)[number % 2].post("/auth/login", data=form)

        early = [asyncio.create_task(log_in(number)) for number in range(4)]
        resetting = asyncio.create_task(postman.reset(token))
        late = [asyncio.create_task(log_in(number)) for number in range(4)]
        assert (await resetting).status_code == 204
        answers = await asyncio.gather(*early, *late)
        assert {answer.status_code for answer in answers} <= {200, 401, 429, 503}
        for answer in answers:
            if answer.status_code == 200:
                assert (await elsewhere.get("/auth/me", headers=api.bearer(answer.json()))).status_code == 401
    assert [row for row in await rows_of(server, "sessions") if row["ended_at"] is None] == []


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_RESET_PASSWORD="4/hour")
@pytest.mark.asvs("V2.4.1")
async def test_links_can_be_tried_only_so_often_from_one_address(postman: Postman, client: AsyncClient) -> None:
    guess = urlsafe_b64encode(secrets.token_bytes(48)).decode()
    statuses = [(await postman.reset(guess)).status_code for _ in range(5)]
    assert statuses == [400] * 4 + [429]


async def test_a_body_of_another_form_is_refused_by_field(client: AsyncClient) -> None:
    good = {"token": "A" * 64, "new_password": NEW_PASSWORD}
    changes: list[tuple[str, str | None]] = [
        ("token", None),
        ("token", ""),
        ("token", "a b"),
        ("token", "A" * 4097),
        ("new_password", None),
        ("new_password", "nul\x00 in it 1!"),
        ("user_id", "x"),
    ]
    for field, value in changes:
        body = {name: sent for name, sent in {**good, field: value}.items() if sent is not None}
        answer = await client.post("/auth/reset-password", json=body)
        assert answer.status_code == 422
        assert [error["loc"] for error in answer.json()["errors"]] == [["body", field]]


@pytest.mark.asvs("V6.2.9", "V6.2.8")
async def test_a_long_password_in_any_script_is_set_whole(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    emoji = "🗝🐈🌊🍵" * 32  # 128 code points, 512 bytes
    assert (await postman.reset(await postman.fetch_token(user.email), emoji)).status_code == 204
    assert not await can_log_in(client, user.username, emoji[:-1])
    assert await can_log_in(client, user.username, emoji)


async def _update(server: Server, user: api.User, **values: object) -> None:
    async with server.database.write() as db:
        done = await db.execute(update(User).where(User.id == uuid.UUID(user.id)).values(**values).returning(User.id))
        assert done.scalar_one()
