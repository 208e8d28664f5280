"""Who must have a second factor, from when on; adding it in the middle of a login; what admins require and reset."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from tests.auth.scene import assert_dead, claims_of, events, refresh, session_row, sid_of, status_of
from tests.mail.postman import NEW_PASSWORD, Postman, rows_of
from tests.mfa.app_of import STEP, Authenticator, attempt_of, first_step, new_guarded, second_step, start
from tests.support import api
from tests.support.clock import TravellingClock

AT_ONCE = {"MFA": "required", "MFA_GRACE_DAYS": "0"}


async def mails(server: Server, template: str) -> list[dict[str, Any]]:
    found = [job["payload"] for job in await rows_of(server, "jobs") if job["kind"] == "mail"]
    return [mail for mail in found if mail["template"] == template]


async def begin(client: AsyncClient) -> tuple[api.User, str]:
    """Somebody who may not sign in before a factor is added, and their login that waits for it."""
    account = await api.register(client)
    user = api.User(account["id"], account["username"], account["email"], api.PASSWORD, {})
    owed = await first_step(client, user)
    assert (owed["status"], owed["methods"]) == ("mfa_enrolment_required", ["passkey", "totp"])
    return user, owed["attempt"]


async def start_by(client: AsyncClient, attempt: str) -> Authenticator:
    answer = await client.post("/auth/mfa/totp", json={"attempt": attempt})
    assert answer.status_code == 200, answer.text
    return Authenticator(answer.json()["secret"])


@pytest.mark.asvs("V6.3.3")
@pytest.mark.env(**AT_ONCE)
async def test_where_a_factor_is_required_it_is_added_in_the_middle_of_the_login(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user, attempt = await begin(client)
    app = await start_by(client, attempt)
    wrong = await client.post("/auth/mfa/totp/confirm", json={"attempt": attempt, "code": app.wrong(clock())})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "proof_wrong")
    (failed,) = await events(server, "user.second_factor.failed")
    assert (str(failed.subject_id), failed.data["by"]) == (user.id, "totp")
    done = await client.post("/auth/mfa/totp/confirm", json={"attempt": attempt, "code": app.code(clock())})
    assert done.status_code == 200
    assert set(done.json()) == {"access_token", "refresh_token", "token_type", "expires_in", "device"}
    claims = claims_of(done.json()["access_token"])
    assert (claims["amr"], claims["acr"]) == (["pwd", "otp"], "aal2")
    again = await client.post("/auth/mfa/totp/confirm", json={"attempt": attempt, "code": app.code(clock(), 1)})
    assert (again.status_code, again.json()["code"]) == (401, "attempt_invalid")
    clock.advance(STEP)
    assert (await second_step(client, await attempt_of(client, user), app.code(clock()))).status_code == 200


@pytest.mark.env(**AT_ONCE)
async def test_the_attempt_is_taken_by_the_enrol_endpoints_and_no_other(client: AsyncClient, clock: TravellingClock) -> None:
    _, attempt = await begin(client)
    headers = {"Authorization": f"Bearer {attempt}"}
    for method, path in (
        ("GET", "/auth/mfa"),
        ("POST", "/auth/mfa/totp"),
        ("POST", "/auth/mfa/recovery-codes"),
        ("DELETE", "/auth/mfa/totp"),
        ("GET", "/auth/me"),
    ):
        body: dict[str, str] | None = {} if method == "POST" else None
        assert (await client.request(method, path, headers=headers, json=body)).status_code == 401, path
    refused = await second_step(client, attempt, "123456")
    assert (refused.status_code, refused.json()["code"]) == (401, "attempt_invalid")


@pytest.mark.env(**AT_ONCE)
async def test_once_there_is_a_factor_no_other_login_adds_one(client: AsyncClient, clock: TravellingClock) -> None:
    """Who knows the password may have begun a login before its owner did."""
    user, attempt = await begin(client)
    thief = (await first_step(client, user))["attempt"]
    app = await start_by(client, attempt)
    stolen = await start_by(client, thief)  # replaces what the owner had set up
    late = await client.post("/auth/mfa/totp/confirm", json={"attempt": attempt, "code": app.code(clock())})
    assert late.status_code == 400
    app = await start_by(client, attempt)
    done = await client.post("/auth/mfa/totp/confirm", json={"attempt": attempt, "code": app.code(clock())})
    assert done.status_code == 200
    for path, body in (("", {}), ("/confirm", {"code": stolen.code(clock())})):
        refused = await client.post(f"/auth/mfa/totp{path}", json={"attempt": thief, **body})
        assert (refused.status_code, refused.json()["code"]) == (401, "attempt_invalid")


@pytest.mark.env(MFA="required", MFA_GRACE_DAYS="3")
async def test_within_the_grace_one_signs_in_without_but_no_session_outlives_it(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    seen = (await client.get("/auth/mfa", headers=user.headers)).json()
    row = await session_row(server, sid_of(user.tokens))
    assert seen["required"] is True
    assert row.expires_at - row.created_at <= timedelta(days=3)
    assert seen["enrol_by"] == row.expires_at.isoformat().replace("+00:00", "Z")
    clock.advance(timedelta(days=2, hours=23))
    later = await api.login(client, user.username)
    assert (await session_row(server, sid_of(later))).expires_at == row.expires_at  # the grace began once
    clock.advance(timedelta(hours=1, minutes=1))
    assert (await refresh(client, later)).status_code == 401
    assert (await first_step(client, user))["status"] == "mfa_enrolment_required"


@pytest.mark.env(MFA="admins", MFA_GRACE_DAYS="0")
async def test_where_admins_must_have_one_others_need_not(app: FastAPI, client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    assert await status_of(client, user.tokens) == 200
    await api.make_admin(app, user.username)
    assert (await first_step(client, user))["status"] == "mfa_enrolment_required"


@pytest.mark.asvs("V6.5.6")
@pytest.mark.env(MFA="required", MFA_GRACE_DAYS="3")
async def test_the_last_factor_stays_where_one_is_required(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    refused = await client.delete("/auth/mfa/totp", headers=guarded.headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "last_factor")
    assert len(await rows_of(server, "recovery_codes")) == 10
    new = await start(client, guarded.headers)  # another one may replace it
    assert (
        await client.post("/auth/mfa/totp/confirm", json={"code": new.code(clock())}, headers=guarded.headers)
    ).status_code == 200


@pytest.mark.asvs("V6.3.3")
async def test_an_admin_requires_a_factor_of_somebody_at_once(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    admin, user = await api.new_admin(app, client), await api.new_user(client)
    path = f"/users/{user.id}/mfa"
    answer = await client.put(path, json={"required": True}, headers=admin.headers)
    assert (answer.status_code, answer.json()["required"]) == (200, True)
    await assert_dead(client, user.tokens)
    assert (await first_step(client, user))["status"] == "mfa_enrolment_required"
    (mail,) = await mails(server, "factor-required")
    assert mail["to"] == user.email
    (event,) = await events(server, "user.factors.required")
    assert (str(event.actor_id), str(event.subject_id), event.data["required"]) == (admin.id, user.id, True)
    assert (await client.put(path, json={"required": False}, headers=admin.headers)).json()["required"] is False
    (mail,) = await mails(server, "factor-not-required")
    assert mail["to"] == user.email
    assert "access_token" in await first_step(client, user)


@pytest.mark.asvs("V6.4.4", "V6.5.6")
async def test_an_admin_resets_the_factors_of_somebody_who_lost_them(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    admin, guarded = await api.new_admin(app, client), await new_guarded(client, clock, codes=True)
    answer = await client.put(f"/users/{guarded.user.id}/mfa", json={"reset": True}, headers=admin.headers)
    assert answer.json() == {
        "methods": [],
        "totp_added_at": None,
        "recovery_codes_left": 0,
        "required": False,
        "enrol_by": None,
    }
    await assert_dead(client, guarded.user.tokens)
    assert "access_token" in await first_step(client, guarded.user)
    (mail,) = await mails(server, "factors-reset")
    assert mail["to"] == guarded.user.email
    (event,) = await events(server, "user.factors.reset")
    assert (str(event.actor_id), str(event.subject_id)) == (admin.id, guarded.user.id)


async def test_admins_have_no_say_over_their_own_and_need_a_fresh_proof(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    admin, user = await api.new_admin(app, client), await api.new_user(client)
    own = await client.put(f"/users/{admin.id}/mfa", json={"reset": True}, headers=admin.headers)
    assert (own.status_code, own.json()["code"]) == (409, "own_factors")
    stranger = await client.put(f"/users/{admin.id}/mfa", json={"reset": True}, headers=user.headers)
    assert stranger.status_code == 403
    nobody = await client.put("/users/00000000-0000-0000-0000-000000000000/mfa", json={"reset": True}, headers=admin.headers)
    assert nobody.status_code == 404
    assert (await client.put(f"/users/{user.id}/mfa", json={}, headers=admin.headers)).status_code == 422
    clock.advance(timedelta(minutes=11))
    old = await client.put(f"/users/{user.id}/mfa", json={"reset": True}, headers=admin.headers)
    assert (old.status_code, old.json()["code"]) == (401, "insufficient_user_authentication")


@pytest.mark.asvs("V6.4.3", "V6.4.4")
async def test_a_reset_of_the_password_leaves_the_factor_in_force(
    client: AsyncClient, clock: TravellingClock, postman: Postman
) -> None:
    guarded = await new_guarded(client, clock)
    token = await postman.fetch_token(guarded.user.email)
    assert (await postman.reset(token, NEW_PASSWORD)).status_code == 204
    body = {"username": guarded.user.username, "password": NEW_PASSWORD}
    answer = (await client.post("/auth/login", json=body)).json()
    assert (answer["status"], answer["methods"]) == ("mfa_required", ["totp"])
    assert (await second_step(client, answer["attempt"], guarded.app.code(clock()))).status_code == 200


@pytest.mark.env(MFA="required", MFA_GRACE_DAYS="0")
async def test_who_added_a_factor_in_time_goes_on(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    """The control of the grace: the very same account, with a factor."""
    _, attempt = await begin(client)
    app = await start_by(client, attempt)
    tokens = (await client.post("/auth/mfa/totp/confirm", json={"attempt": attempt, "code": app.code(clock())})).json()
    row = await session_row(server, sid_of(tokens))
    assert row.expires_at - row.created_at > timedelta(days=29)
