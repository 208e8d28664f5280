"""An authenticator app: setting it up, signing in by it, each of its codes once and in its time, taking it away."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.core.crypto import Sealer
from app.core.server import Server
from app.mfa import repository
from app.mfa.deps import MfaKit
from app.mfa.models import TotpFactor
from app.mfa.totp import find_step
from tests.auth.scene import assert_dead, claims_of, events, execute, session_row, sid_of, status_of, two_clients
from tests.mail.postman import rows_of
from tests.mfa.app_of import STEP, Authenticator, attempt_of, enrol, first_step, new_guarded, second_step, start
from tests.support import api
from tests.support.clock import TravellingClock

OVERVIEW: dict[str, object] = {
    "methods": [],
    "totp_added_at": None,
    "recovery_codes_left": 0,
    "required": False,
    "enrol_by": None,
}


async def test_an_app_is_set_up_confirmed_and_asked_for_at_the_next_login(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    assert (await client.get("/auth/mfa", headers=user.headers)).json() == OVERVIEW
    assert (await client.post("/auth/mfa/totp", json={}, headers=user.headers)).status_code == 200
    setup = (await client.post("/auth/mfa/totp", headers=user.headers)).json()
    uri = urlsplit(setup["otpauth_uri"])
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", f"/Authkeep:{user.username}")
    assert parse_qs(uri.query) == {"secret": [setup["secret"]], "issuer": ["Authkeep"]}
    assert ElementTree.fromstring(setup["qr_svg"]).tag == "svg"
    assert "access_token" in await first_step(client, user)  # it does not count yet
    app = Authenticator(setup["secret"])
    confirmed = await client.post("/auth/mfa/totp/confirm", json={"code": app.code(clock())}, headers=user.headers)
    assert confirmed.status_code == 200
    clock.advance(STEP)
    owed = await first_step(client, user)
    assert set(owed) == {"status", "attempt", "methods"}
    assert (owed["status"], owed["methods"]) == ("mfa_required", ["totp"])
    done = await second_step(client, owed["attempt"], app.code(clock()))
    assert done.status_code == 200
    claims = claims_of(done.json()["access_token"])
    assert (claims["amr"], claims["acr"]) == (["pwd", "otp"], "aal2")
    seen = (await client.get("/auth/mfa", headers=api.bearer(done.json()))).json()
    assert (seen["methods"], seen["totp_added_at"] is not None) == (["totp"], True)
    assert [event.data["by"] for event in await events(server, "user.login.succeeded")][-1] == "pwd otp"


async def test_the_session_that_enrols_goes_on_as_one_of_two_factors_and_others_end(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    other = await api.login(client, user.username)
    guarded = await enrol(client, clock, user)
    await assert_dead(client, other)
    assert await status_of(client, user.tokens) == 200
    row = await session_row(server, sid_of(user.tokens))
    assert (row.amr, row.acr) == ("pwd otp", "aal2")
    assert claims_of(guarded.headers["Authorization"].split()[1])["acr"] == "aal2"


@pytest.mark.asvs("V6.5.5")
@pytest.mark.parametrize(("steps", "status"), [(-2, 400), (-1, 200), (0, 200), (1, 200), (2, 400)])
async def test_a_code_is_good_in_its_step_and_one_to_either_side(
    client: AsyncClient, clock: TravellingClock, steps: int, status: int
) -> None:
    guarded = await new_guarded(client, clock)
    clock.advance(3 * STEP)
    answer = await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock(), steps))
    assert answer.status_code == status
    assert answer.json().get("code") == (None if status == 200 else "proof_wrong")


@pytest.mark.parametrize(
    ("second", "step"), [(0, 100), (29, 100), (30, 101), (59, 101)], ids=["begins", "ends", "next begins", "next ends"]
)
def test_steps_change_at_the_half_minute(second: int, step: int) -> None:
    moment = datetime.fromtimestamp(3000 + second, UTC)
    app = Authenticator("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    secret = b"Hello!\xde\xad\xbe\xef" * 2
    assert find_step(secret, app.code(moment), moment) == step
    assert find_step(secret, app.code(moment, 1), moment) == step + 1
    assert find_step(secret, app.code(moment, 2), moment) is None


@pytest.mark.asvs("V6.5.1")
async def test_a_code_is_good_once_and_none_from_before_it_afterwards(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    clock.advance(3 * STEP)
    code, older, newer = (guarded.app.code(clock(), steps) for steps in (0, -1, 1))
    assert (await second_step(client, await attempt_of(client, guarded.user), code)).status_code == 200
    for spent in (code, older):
        assert (await second_step(client, await attempt_of(client, guarded.user), spent)).status_code == 400
    assert (await second_step(client, await attempt_of(client, guarded.user), newer)).status_code == 200


@pytest.mark.asvs("V6.5.1")
async def test_the_code_that_confirmed_the_app_is_spent(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    app = await start(client, user.headers)
    code = app.code(clock())
    assert (await client.post("/auth/mfa/totp/confirm", json={"code": code}, headers=user.headers)).status_code == 200
    assert (await second_step(client, await attempt_of(client, user), code)).status_code == 400


@pytest.mark.promise("P3")
@pytest.mark.asvs("V6.5.1")
async def test_of_twenty_with_one_code_on_two_replicas_one_gets_in(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock)
    attempts = [await attempt_of(client, guarded.user) for _ in range(20)]
    async with two_clients(app, env, clock) as clients:
        code = guarded.app.code(clock())
        tries = [second_step(clients[number % 2], attempt, code) for number, attempt in enumerate(attempts)]
        answers = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert answers.count(200) == 1
    assert set(answers) <= {200, 400, 429, 503}


async def test_control_without_the_step_in_the_statement_many_get_in(
    client: AsyncClient, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_then_act(db: object, factor_id: object, step: int) -> bool:
        return True

    monkeypatch.setattr(repository, "spend_step", look_then_act)
    guarded = await new_guarded(client, clock)
    attempts = [await attempt_of(client, guarded.user) for _ in range(3)]
    answers = [(await second_step(client, attempt, guarded.app.code(clock()))).status_code for attempt in attempts]
    assert answers == [200, 200, 200]


@pytest.mark.asvs("V6.5.8")
async def test_what_the_client_says_of_the_time_counts_for_nothing(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    later = clock() + timedelta(hours=1)
    body = {"attempt": await attempt_of(client, guarded.user), "code": guarded.app.code(later)}
    answer = await client.post("/auth/login/totp", json=body, headers={"Date": f"{later:%a, %d %b %Y %H:%M:%S} GMT"})
    assert answer.status_code == 400
    assert (await client.post("/auth/login/totp", json={**body, "timestamp": later.isoformat()})).status_code == 422


@pytest.mark.asvs("V6.5.3")
async def test_the_secret_is_160_random_bits_sealed_and_bound_to_its_row(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    secrets = {(await new_guarded(client, clock)).app.secret for _ in range(3)}
    assert len(secrets) == 3
    rows = await rows_of(server, "totp_factors")
    assert not [row for row in rows for secret in secrets if secret.encode() in bytes(row["secret_sealed"])]
    sealer = server.kit(MfaKit).sealer
    for row in rows:
        place, sealed = row["id"].bytes + row["user_id"].bytes, bytes(row["secret_sealed"])
        assert len(sealer.unseal(sealed, place) or b"") == 20
        assert sealer.unseal(sealed, row["user_id"].bytes + row["id"].bytes) is None
        assert sealer.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), place) is None
        assert Sealer(bytes(32)).unseal(sealed, place) is None
        assert sealer.unseal(b"", place) is None


async def test_a_secret_that_was_put_into_another_row_proves_nothing(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    victim, thief = await new_guarded(client, clock), await new_guarded(client, clock)
    rows = {str(row["user_id"]): row for row in await rows_of(server, "totp_factors")}
    sealed = rows[thief.user.id]["secret_sealed"]
    change = update(TotpFactor).where(TotpFactor.id == rows[victim.user.id]["id"]).values(secret_sealed=sealed)
    assert await execute(server, change) == 1
    attempt = await attempt_of(client, victim.user)
    assert (await second_step(client, attempt, thief.app.code(clock()))).status_code == 400


async def test_a_set_up_runs_out_and_a_newer_one_replaces_it(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    first = await start(client, user.headers)
    second = await start(client, user.headers)
    for app, status, code in ((first, 400, "proof_wrong"), (second, 200, None)):
        answer = await client.post("/auth/mfa/totp/confirm", json={"code": app.code(clock())}, headers=user.headers)
        assert (answer.status_code, answer.json().get("code")) == (status, code)
    body, headers = {"code": second.code(clock(), 1)}, api.bearer(answer.json())
    again = await client.post("/auth/mfa/totp/confirm", json=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    late = await api.new_user(client)
    app = await start(client, late.headers)
    clock.advance(timedelta(minutes=9, seconds=59))
    assert (await client.get("/auth/me", headers=late.headers)).status_code == 200
    clock.advance(timedelta(seconds=1))
    gone = await client.post("/auth/mfa/totp/confirm", json={"code": app.code(clock())}, headers=late.headers)
    assert gone.json()["code"] in {"not_found", "insufficient_user_authentication"}


async def test_a_new_app_replaces_the_old_one(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    attempt = await attempt_of(client, guarded.user)
    opened = (await second_step(client, attempt, guarded.app.code(clock()))).json()
    new = await start(client, guarded.headers)
    assert (
        await client.post("/auth/mfa/totp/confirm", json={"code": new.code(clock())}, headers=guarded.headers)
    ).status_code == 200
    await assert_dead(client, opened)  # the old app had part in it
    clock.advance(STEP)
    assert (await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()))).status_code == 400
    assert (await second_step(client, await attempt_of(client, guarded.user), new.code(clock()))).status_code == 200


@pytest.mark.asvs("V6.5.6")
async def test_an_app_is_taken_away_and_ends_what_it_opened(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    waiting = await attempt_of(client, guarded.user)
    opened = (await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()))).json()
    assert (await client.delete("/auth/mfa/totp", headers=guarded.headers)).status_code == 204
    await assert_dead(client, opened)
    assert (await client.get("/auth/me", headers=guarded.headers)).status_code == 200
    clock.advance(STEP)
    refused = await second_step(client, waiting, guarded.app.code(clock()))
    assert (refused.status_code, refused.json()["code"]) == (401, "attempt_invalid")
    assert "access_token" in await first_step(client, guarded.user)
    assert (await client.get("/auth/mfa", headers=guarded.headers)).json()["recovery_codes_left"] == 0
    assert await rows_of(server, "recovery_codes") == []
    assert (await client.delete("/auth/mfa/totp", headers=guarded.headers)).status_code == 404


async def test_adding_and_removing_is_recorded_and_mailed(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    assert (await client.delete("/auth/mfa/totp", headers=guarded.headers)).status_code == 204
    for fact in ("user.factor.added", "user.factor.removed"):
        (event,) = await events(server, fact)
        assert (str(event.subject_id), event.data["method"]) == (guarded.user.id, "totp")
    mails = [job["payload"] for job in await rows_of(server, "jobs") if job["kind"] == "mail"]
    mails = [json.loads(mail) if isinstance(mail, str) else mail for mail in mails]
    assert [mail["template"] for mail in mails if mail["template"].startswith("factor")] == ["factor-added", "factor-removed"]
    assert guarded.app.secret not in repr(mails)


@pytest.mark.asvs("V7.5.1")
async def test_an_old_proof_sets_nothing_up(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    app = await start(client, user.headers)
    clock.advance(timedelta(minutes=10, seconds=1))
    for method, path, body in (
        ("POST", "/auth/mfa/totp", {}),
        ("POST", "/auth/mfa/totp/confirm", {"code": app.code(clock())}),
        ("POST", "/auth/mfa/recovery-codes", None),
        ("DELETE", "/auth/mfa/totp", None),
    ):
        refused = await client.request(method, path, json=body, headers=user.headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "insufficient_user_authentication"), path


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "١٢٣٤٥٦", "", "1" * 5000, "123 4567", "-12345", None, 123456])
async def test_what_is_no_code_is_refused_by_its_form(client: AsyncClient, clock: TravellingClock, code: object) -> None:
    guarded = await new_guarded(client, clock)
    body = {"attempt": await attempt_of(client, guarded.user), "code": code}
    assert (await client.post("/auth/login/totp", json=body)).status_code == 422


async def test_a_code_may_be_typed_in_two_groups(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    code = guarded.app.code(clock())
    assert (await second_step(client, await attempt_of(client, guarded.user), f"{code[:3]} {code[3:]}")).status_code == 200
