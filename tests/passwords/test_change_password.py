"""Changing the password by the current one: what it proves, what it ends, what a wrong try costs, and who wins a race."""

import asyncio
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.core.server import Server
from tests.mail.postman import CHANGED, NEW_PASSWORD, Postman, rows_of
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, text_of

pytestmark = pytest.mark.usefixtures("no_welcome_mail")

WRONG = "not the password 0!"


async def change(client: AsyncClient, user: api.User, current: str, new: str = NEW_PASSWORD) -> Response:
    body = {"current_password": current, "new_password": new}
    return await client.post("/auth/change-password", json=body, headers=user.headers)


async def can_log_in(client: AsyncClient, username: str, password: str) -> bool:
    answer = await client.post("/auth/login", data={"username": username, "password": password})
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200


def code_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.asvs("V6.2.2", "V7.4.3")
@pytest.mark.promise("P2")
async def test_a_change_ends_every_session_before_it_and_answers_with_a_new_one(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    other = await api.login(client, user.username)
    answer = await change(client, user, user.password)
    assert answer.status_code == 200, answer.text
    pair = answer.json()
    assert set(pair) == {"access_token", "refresh_token", "token_type", "expires_in", "device"}
    assert answer.headers["cache-control"] == "no-store"
    for dead in (user.tokens, other):
        assert (await client.get("/auth/me", headers=api.bearer(dead))).status_code == 401
        assert (await client.post("/auth/refresh", json={"refresh_token": dead["refresh_token"]})).status_code == 401
    assert (await client.get("/auth/me", headers=api.bearer(pair))).json()["username"] == user.username
    assert (await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})).status_code == 200
    reasons = sorted(str(row["end_reason"]) for row in await rows_of(server, "sessions"))
    assert reasons == ["None", "password_changed", "password_changed"]
    assert not await can_log_in(client, user.username, user.password)
    assert await can_log_in(client, user.username, NEW_PASSWORD)


@pytest.mark.promise("P2")
async def test_a_change_on_one_replica_ends_sessions_on_the_other(client: AsyncClient, twin: FastAPI) -> None:
    user = await api.new_user(client)
    async with client_of(twin) as elsewhere:
        assert (await elsewhere.get("/auth/me", headers=user.headers)).status_code == 200
        assert (await change(client, user, user.password)).status_code == 200
        assert (await elsewhere.get("/auth/me", headers=user.headers)).status_code == 401


async def test_a_change_voids_links_and_devices_of_before(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    (old_device,) = await rows_of(server, "known_devices")
    assert (await change(client, user, user.password)).status_code == 200
    refused = await postman.reset(token, "a third thing 3!")
    assert code_of(refused) == (400, "ticket_invalid")
    (ticket,) = await rows_of(server, "tickets")
    assert ticket["voided_at"] is not None
    assert ticket["spent_at"] is None
    (new_device,) = await rows_of(server, "known_devices")
    assert new_device["digest"] != old_device["digest"]


@pytest.mark.promise("P4")
@pytest.mark.asvs("V6.3.7")
async def test_the_owner_is_told_of_a_change_by_mail(postman: Postman, client: AsyncClient, smtp: SmtpServer) -> None:
    user = await api.new_user(client)
    assert (await change(client, user, user.password)).status_code == 200
    await postman.deliver()
    (mail,) = smtp.sent_to(user.email, CHANGED)
    assert user.username in text_of(mail)
    assert NEW_PASSWORD not in mail.as_string()


@pytest.mark.asvs("V6.2.3", "V16.3.1")
async def test_a_wrong_current_password_changes_nothing_and_is_recorded(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    before = await rows_of(server, "users"), await rows_of(server, "sessions")
    answer = await change(client, user, WRONG)
    assert code_of(answer) == (400, "password_wrong")
    assert WRONG not in answer.text
    assert (await rows_of(server, "users"), await rows_of(server, "sessions")) == before
    assert await rows_of(server, "jobs") == []
    (event,) = [row for row in await rows_of(server, "audit_events") if row["fact"] == "user.password.change_failed"]
    assert str(event["actor_id"]) == str(event["subject_id"]) == user.id
    assert event["session_id"] is not None
    assert event["request_id"] == answer.headers["x-request-id"]
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200


@pytest.mark.asvs("V6.2.3", "V6.3.1")
async def test_wrong_tries_are_slowed_whatever_else_is_right_and_time_lifts_it(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    answers = [await change(client, user, WRONG) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert answers[-1].json()["code"] == "too_many_tries"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert code_of(await change(client, user, user.password)) == (429, "too_many_tries")
    failed = [row for row in await rows_of(server, "audit_events") if row["fact"] == "user.password.change_failed"]
    assert len(failed) == 5
    clock.advance(seconds=int(answers[-1].headers["retry-after"]) + 1)
    assert (await change(client, user, user.password)).status_code == 200


async def test_wrong_tries_within_a_session_do_not_bar_the_login(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for _ in range(6):
        await change(client, user, WRONG)
    client.cookies.clear()
    assert await can_log_in(client, user.username, user.password)


async def test_a_success_clears_the_count_of_wrong_tries(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    for _ in range(3):
        await change(client, user, WRONG)
    assert (await change(client, user, user.password)).status_code == 200
    assert await rows_of(server, "login_failures") == []


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_CHANGE_PASSWORD="3/hour")
@pytest.mark.asvs("V2.4.1")
async def test_changes_are_limited_by_client_address(client: AsyncClient) -> None:
    user = await api.new_user(client)
    answers = [await change(client, user, WRONG) for _ in range(4)]
    assert [code_of(answer)[1] for answer in answers] == ["password_wrong"] * 3 + ["too_many_requests"]


@pytest.mark.asvs("V6.2.1", "V6.2.4", "V6.2.11")
async def test_a_new_password_that_breaks_a_rule_is_refused_and_nothing_counted(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    for weak in ("shor 1!", "nothingspecial1", "P@ssw0rd", "Password1!", "Qwerty123!", "Authkeep1!", "x 1" * 43):
        answer = await change(client, user, user.password, weak)
        assert code_of(answer) == (422, "password_rejected"), weak
        assert weak not in answer.text
        assert answer.json()["errors"][0]["loc"] == ["body", "new_password"]
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    assert await rows_of(server, "login_failures") == []


async def test_ones_own_name_or_address_is_no_password(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for own in (f"{user.username}!", f"!{user.username.upper()}", user.email):
        assert code_of(await change(client, user, user.password, own)) == (422, "password_rejected")


@pytest.mark.asvs("V9.2.2")
async def test_only_an_access_token_will_do(client: AsyncClient) -> None:
    user = await api.new_user(client)
    body = {"current_password": user.password, "new_password": NEW_PASSWORD}
    anonymous = await client.post("/auth/change-password", json=body)
    by_refresh = await client.post(
        "/auth/change-password", json=body, headers={"Authorization": f"Bearer {user.tokens['refresh_token']}"}
    )
    for answer in (anonymous, by_refresh):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await can_log_in(client, user.username, user.password)


@pytest.mark.asvs("V6.2.3")
@pytest.mark.parametrize("body", [{"new_password": NEW_PASSWORD}, {"current_password": "", "new_password": NEW_PASSWORD}])
async def test_the_current_password_cannot_be_left_out(client: AsyncClient, body: dict[str, str]) -> None:
    user = await api.new_user(client)
    answer = await client.post("/auth/change-password", json=body, headers=user.headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "current_password"]


@pytest.mark.asvs("V6.2.10")
async def test_a_password_never_has_to_be_changed_by_age(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    clock.advance(timedelta(days=800))
    assert await can_log_in(client, user.username, user.password)


@pytest.mark.asvs("V2.3.4")
async def test_of_changes_at_once_from_one_session_exactly_one_succeeds(
    client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    user = await api.new_user(client)
    passwords = [f"contender number {number}!" for number in range(6)]
    async with client_of(twin) as elsewhere:
        answers = await asyncio.gather(
            *(change((client, elsewhere)[number % 2], user, user.password, password) for number, password in enumerate(passwords))
        )
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 1, [answer.text for answer in answers]
    assert set(statuses) <= {200, 401, 429, 503}
    winner = statuses.index(200)
    assert (await client.get("/auth/me", headers=api.bearer(answers[winner].json()))).status_code == 200
    assert await can_log_in(client, user.username, passwords[winner])
    facts = [event["fact"] for event in await rows_of(server, "audit_events")]
    assert facts.count("user.password.changed") == 1


@pytest.mark.promise("P2", "P3")
async def test_of_a_change_and_a_reset_at_once_exactly_one_succeeds_and_no_login_with_the_old_password_lives_on(
    postman: Postman, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    by_change, by_reset = "by change it is 1!", "by reset it is 2!"
    async with client_of(twin) as elsewhere:

        async def log_in(number: int) -> Response:
            form = {"username": user.username, "password": user.password}
            return await (client, elsewhere)[number % 2].post("/auth/login", data=form)

        changed, reset, *logins = await asyncio.gather(
            change(client, user, user.password, by_change),
            elsewhere.post("/auth/reset-password", json={"token": token, "new_password": by_reset}),
            *(log_in(number) for number in range(4)),
        )
    outcome = changed.status_code, reset.status_code
    assert outcome in {(200, 400), (401, 204)}, (changed.text, reset.text)
    client.cookies.clear()
    assert await can_log_in(client, user.username, by_change) == (outcome == (200, 400))
    assert await can_log_in(client, user.username, by_reset) == (outcome == (401, 204))
    assert not await can_log_in(client, user.username, user.password)
    for answer in logins:
        if answer.status_code == 200:
            assert (await client.get("/auth/me", headers=api.bearer(answer.json()))).status_code == 401
    told = [job for job in await rows_of(server, "jobs") if job["payload"].get("template") == "password-changed"]
    assert len(told) == 1
