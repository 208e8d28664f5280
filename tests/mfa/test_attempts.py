"""A login that was begun: what it opens, how often it may be tried, when it dies, and that every way in passes it."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.auth import steps
from app.auth.deps import AuthKit
from app.auth.sockets import LOGIN_STEPS
from app.core.server import Server
from tests.auth.scene import claims_of, events, two_clients
from tests.mail.postman import rows_of
from tests.mfa.app_of import STEP, Guarded, attempt_of, first_step, new_guarded, second_step
from tests.support import api
from tests.support.clock import TravellingClock


async def test_an_attempt_opens_nothing_but_its_step(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    attempt = await attempt_of(client, guarded.user)
    for path in ("/auth/me", "/auth/sessions", "/auth/verify", "/auth/mfa"):
        assert (await client.get(path, headers={"Authorization": f"Bearer {attempt}"})).status_code == 401, path
    assert (await client.post("/auth/refresh", json={"refresh_token": attempt})).status_code == 401
    for path, body in (
        ("/auth/mfa/totp", {"attempt": attempt}),  # it owes a step, and no enrolment
        ("/auth/mfa/totp/confirm", {"attempt": attempt, "code": guarded.app.code(clock())}),
    ):
        refused = await client.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (401, "attempt_invalid"), path
    assert (await second_step(client, attempt, guarded.app.code(clock()))).status_code == 200


async def test_what_was_begun_is_no_login_yet(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    guarded, admin = await new_guarded(client, clock), await api.new_admin(app, client)
    path = f"/users/{guarded.user.id}"
    before = (await client.get(path, headers=admin.headers)).json()["last_login_at"]
    attempt = await attempt_of(client, guarded.user)
    assert (await client.get(path, headers=admin.headers)).json()["last_login_at"] == before
    assert len(await events(server, "user.login.step_owed")) == 1
    logins = len(await events(server, "user.login.succeeded", subject_id=None) or await events(server, "user.login.succeeded"))
    assert (await second_step(client, attempt, guarded.app.code(clock()))).status_code == 200
    assert (await client.get(path, headers=admin.headers)).json()["last_login_at"] != before
    assert len(await events(server, "user.login.succeeded")) == logins + 1


@pytest.mark.asvs("V6.6.3")
async def test_an_attempt_has_five_tries_and_the_right_code_is_no_good_afterwards(
    client: AsyncClient, clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock)
    attempt = await attempt_of(client, guarded.user)
    for _ in range(5):
        assert (await second_step(client, attempt, guarded.app.wrong(clock()))).json()["code"] == "proof_wrong"
    refused = await second_step(client, attempt, guarded.app.code(clock()))
    assert (refused.status_code, refused.json()["code"]) == (401, "attempt_invalid")
    assert (await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()))).status_code == 200


@pytest.mark.asvs("V6.6.3", "V6.3.1")
async def test_an_account_has_twenty_failures_a_day_over_all_attempts_and_methods(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    for number in range(20):
        method = "totp" if number % 2 else "recovery"
        code = guarded.app.wrong(clock()) if method == "totp" else "000000-000000-000000-000000"
        assert (await second_step(client, await attempt_of(client, guarded.user), code, method)).status_code == 400
    attempt = await attempt_of(client, guarded.user)
    for method, code in (("totp", guarded.app.code(clock())), ("recovery", guarded.codes[0])):
        refused = await second_step(client, attempt, code, method)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tries")
        assert 86_000 < int(refused.headers["retry-after"]) <= 86_401
    assert len(await events(server, "user.second_factor.failed")) == 20
    told = [job for job in await rows_of(server, "jobs") if "second-factor-failed" in repr(job["payload"])]
    assert len(told) == 1
    clock.advance(timedelta(days=1))
    assert (await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()))).status_code == 200


async def test_the_owner_is_told_of_tries_that_were_all_made_at_once(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    """Each is charged before it is looked at, so none of them may find five."""
    guarded = await new_guarded(client, clock)
    attempts = [await attempt_of(client, guarded.user) for _ in range(2)]
    for attempt in attempts * 4:  # these tries are looked at later
        await steps.charge(server.database, server.kit(AuthKit), attempt, steps.MFA_REQUIRED, clock())
    for attempt in attempts:
        assert (await second_step(client, attempt, guarded.app.wrong(clock()))).status_code == 400
    told = [job for job in await rows_of(server, "jobs") if "second-factor-failed" in repr(job["payload"])]
    assert len(told) == 1


async def test_what_succeeds_is_not_counted_and_clears_nothing(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock)
    for _ in range(3):
        assert (await second_step(client, await attempt_of(client, guarded.user), guarded.app.wrong(clock()))).status_code == 400
    for _ in range(3):
        clock.advance(STEP)
        assert (await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()))).status_code == 200
    assert [row["guesses"] for row in await rows_of(server, "code_guesses")] == [3]


@pytest.mark.asvs("V6.6.3")
async def test_who_did_not_give_the_first_proof_spends_no_tries(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock)
    good = urlsafe_b64decode(await attempt_of(client, guarded.user))
    guessed = [urlsafe_b64encode(good[:16] + bytes(32)), urlsafe_b64encode(bytes(48)), b"x", b"A" * 128, good.hex()[:64].encode()]
    for attempt in guessed:
        refused = await second_step(client, attempt.decode().rstrip("="), guarded.app.code(clock()))
        assert (refused.status_code, refused.json()["code"]) == (401, "attempt_invalid")
    assert await rows_of(server, "code_guesses") == []
    assert [row["tries"] for row in await rows_of(server, "login_attempts")] == [0]


async def test_an_attempt_is_good_once_and_for_ten_minutes(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    spent, late = await attempt_of(client, guarded.user), await attempt_of(client, guarded.user)
    assert (await second_step(client, spent, guarded.app.code(clock()))).status_code == 200
    clock.advance(STEP)
    assert (await second_step(client, spent, guarded.app.code(clock()))).json()["code"] == "attempt_invalid"
    clock.advance(timedelta(minutes=10))
    assert (await second_step(client, late, guarded.app.code(clock()))).json()["code"] == "attempt_invalid"


@pytest.mark.promise("P3")
async def test_of_twenty_with_one_attempt_on_two_replicas_one_gets_in_and_five_are_looked_at(
    app: FastAPI, client: AsyncClient, env: dict[str, str], server: Server, clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    attempt = await attempt_of(client, guarded.user)
    async with two_clients(app, env, clock) as clients:
        tries = [second_step(clients[number % 2], attempt, guarded.codes[number % 10], "recovery") for number in range(20)]
        answers = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert answers.count(200) == 1
    (row,) = await rows_of(server, "login_attempts")
    assert row["tries"] <= 5
    assert len([code for code in await rows_of(server, "recovery_codes") if code["spent_at"]]) == 1  # the losers' are given back


async def _change_password(client: AsyncClient, _app: FastAPI, guarded: Guarded) -> None:
    body = {"current_password": guarded.user.password, "new_password": "Another-harbour-72-kettle!"}
    assert (await client.post("/auth/change-password", json=body, headers=guarded.headers)).status_code == 200


async def _disable(client: AsyncClient, app: FastAPI, guarded: Guarded) -> None:
    admin = await api.new_admin(app, client)
    path = f"/users/{guarded.user.id}/status"
    assert (await client.put(path, json={"active": False}, headers=admin.headers)).status_code == 200


async def _give_role(client: AsyncClient, app: FastAPI, guarded: Guarded) -> None:
    admin = await api.new_admin(app, client)
    path = f"/users/{guarded.user.id}/role"
    assert (await client.put(path, json={"role": "admin"}, headers=admin.headers)).status_code == 200


async def _reset(client: AsyncClient, app: FastAPI, guarded: Guarded) -> None:
    admin = await api.new_admin(app, client)
    path = f"/users/{guarded.user.id}/mfa"
    assert (await client.put(path, json={"reset": True}, headers=admin.headers)).status_code == 200


@pytest.mark.parametrize("change", [_change_password, _disable, _give_role, _reset])
async def test_an_attempt_dies_with_what_the_first_proof_was_of(
    app: FastAPI, client: AsyncClient, clock: TravellingClock, change: Any
) -> None:
    guarded = await new_guarded(client, clock)
    attempt = await attempt_of(client, guarded.user)
    await change(client, app, guarded)
    refused = await second_step(client, attempt, guarded.app.code(clock()))
    assert (refused.status_code, refused.json()["code"]) == (401, "attempt_invalid")


async def test_no_attempt_is_good_for_another_account(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    one, two = await new_guarded(client, clock), await new_guarded(client, clock)
    attempt = await attempt_of(client, one.user)
    assert (await second_step(client, attempt, two.app.code(clock()))).status_code == 400
    done = await second_step(client, attempt, one.app.code(clock()))
    assert claims_of(done.json()["access_token"])["sub"] == one.user.id


@pytest.mark.asvs("V6.3.4", "V6.3.6")
@pytest.mark.env(MAGIC_LINK="true")
async def test_a_form_and_a_mailed_link_owe_the_same_step(
    client: AsyncClient, server: Server, clock: TravellingClock, work: Any
) -> None:
    guarded = await new_guarded(client, clock)
    form = await client.post("/auth/login", data={"username": guarded.user.username, "password": guarded.user.password})
    assert form.json()["status"] == "mfa_required"
    async with server.database.write() as db:
        from app.auth.deps import AuthKit
        from app.auth.service import let_in
        from app.core.client import Client
        from app.users.service import get_by_name, lock_user

        user = await lock_user(db, (await get_by_name(db, guarded.user.username)).id)
        assert user is not None
        found = await let_in(
            db, server.kit(AuthKit), user, None, Client("192.0.2.1", "test", "test"), clock(), how=steps.How("mail")
        )
    assert isinstance(found, steps.Owed)
    done = await second_step(client, found.attempt, guarded.app.code(clock()))
    claims = claims_of(done.json()["access_token"])
    assert (claims["amr"], claims["acr"]) == (["mail", "otp"], "aal1")  # mail is no factor: V6.3.6


async def test_control_without_the_step_the_password_is_enough(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock)
    server.parts[LOGIN_STEPS] = []
    assert "access_token" in await first_step(client, guarded.user)
