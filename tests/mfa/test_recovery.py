"""Recovery codes: what they are made of, that each is good once, who is told."""

import asyncio
import re
import uuid

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from app.mfa import repository
from app.mfa.codes import ALPHABET, digest_of, new_codes
from tests.auth.scene import assert_dead, claims_of, status_of, two_clients
from tests.mail.postman import rows_of
from tests.mfa.app_of import STEP, attempt_of, first_step, new_guarded, second_step
from tests.support import api
from tests.support.clock import TravellingClock


@pytest.mark.asvs("V6.5.3", "V6.5.4", "V6.5.2")
def test_codes_are_ten_of_120_bits_each() -> None:
    codes = [code for _ in range(100) for code in new_codes()]
    assert len(set(codes)) == 1000
    assert all(re.fullmatch(r"(?:[0-9A-Z]{6}-){3}[0-9A-Z]{6}", code) for code in codes)
    assert set("".join(codes)) - {"-"} == set(ALPHABET)
    assert len(ALPHABET) == 32


@pytest.mark.parametrize("typed", ["abcdef-ghjkmn-pqrstv-wxyz01", " ABCDEF GHJKMN PQRSTV WXYZ01", "abcdefghjkmnpqrstvwxyzoi"])
def test_a_code_may_be_typed_in_many_ways(typed: str) -> None:
    user_id, key = uuid.uuid4(), bytes(32)
    assert digest_of(key, user_id, typed) == digest_of(key, user_id, "ABCDEF-GHJKMN-PQRSTV-WXYZ01")
    assert digest_of(key, uuid.uuid4(), typed) != digest_of(key, user_id, typed)


@pytest.mark.asvs("V6.5.2")
async def test_codes_are_kept_as_keyed_digests_alone(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    rows = await rows_of(server, "recovery_codes")
    assert len(rows) == len(guarded.codes) == 10
    for table in ("recovery_codes", "jobs", "audit_events"):
        kept = repr(await rows_of(server, table))
        assert not [code for code in guarded.codes if code in kept or code.replace("-", "") in kept], table


@pytest.mark.asvs("V6.5.1")
async def test_a_code_is_good_once_and_its_use_is_mailed(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    done = await second_step(client, await attempt_of(client, guarded.user), guarded.codes[0].lower(), "recovery")
    assert done.status_code == 200
    claims = claims_of(done.json()["access_token"])
    assert (claims["amr"], claims["acr"]) == (["pwd", "recovery"], "aal2")
    again = await second_step(client, await attempt_of(client, guarded.user), guarded.codes[0], "recovery")
    assert (again.status_code, again.json()["code"]) == (400, "proof_wrong")
    told = [job["payload"]["values"] for job in await rows_of(server, "jobs") if "recovery-code-used" in repr(job["payload"])]
    assert [(each["left"], each["few"]) for each in told] == [("9", "")]
    assert (await client.get("/auth/mfa", headers=guarded.headers)).json()["recovery_codes_left"] == 9


async def test_a_warning_comes_when_two_are_left(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    for code in guarded.codes[:8]:
        assert (await second_step(client, await attempt_of(client, guarded.user), code, "recovery")).status_code == 200
    told = [job["payload"]["values"] for job in await rows_of(server, "jobs") if "recovery-code-used" in repr(job["payload"])]
    assert sorted((each["left"], each["few"]) for each in told)[:3] == [("2", "yes"), ("3", ""), ("4", "")]


async def test_new_codes_void_the_old_ones(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    made = await client.post("/auth/mfa/recovery-codes", headers=guarded.headers)
    new = made.json()["codes"]
    assert not set(new) & set(guarded.codes)
    assert (await second_step(client, await attempt_of(client, guarded.user), guarded.codes[0], "recovery")).status_code == 400
    assert (await second_step(client, await attempt_of(client, guarded.user), new[0], "recovery")).status_code == 200


@pytest.mark.asvs("V6.5.6")
async def test_new_codes_end_what_an_old_one_opened(client: AsyncClient, clock: TravellingClock) -> None:
    """Whoever came by a stolen code is out, with the browser that was to be remembered."""
    guarded = await new_guarded(client, clock, codes=True)
    attempt = await attempt_of(client, guarded.user)
    thief = (await second_step(client, attempt, guarded.codes[0], "recovery", remember_device=True)).json()
    other = (await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()))).json()
    made = await client.post("/auth/mfa/recovery-codes", headers=guarded.headers)
    assert made.status_code == 200
    await assert_dead(client, thief)
    assert (await status_of(client, other), (await client.get("/auth/me", headers=guarded.headers)).status_code) == (200, 200)
    assert (await first_step(client, guarded.user))["status"] == "mfa_required"  # the client still has the cookie
    # The session that acts goes on, though a code opened it.
    mine = (await second_step(client, await attempt_of(client, guarded.user), made.json()["codes"][0], "recovery")).json()
    assert (await client.post("/auth/mfa/recovery-codes", headers=api.bearer(mine))).status_code == 200
    assert await status_of(client, mine) == 200


async def test_codes_are_for_who_has_a_factor_and_gave_it_of_late(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    none = await client.post("/auth/mfa/recovery-codes", headers=user.headers)
    assert (none.status_code, none.json()["code"]) == (409, "no_factor")
    guarded = await new_guarded(client, clock)
    clock.advance(20 * STEP)
    old = await client.post("/auth/mfa/recovery-codes", headers=guarded.headers)
    assert (old.status_code, old.json()["code"]) == (401, "insufficient_user_authentication")
    body = {"password": guarded.user.password, "code": guarded.app.code(clock())}
    fresh = await client.post("/auth/reauthenticate", json=body, headers=guarded.headers)
    assert fresh.status_code == 200
    assert (await client.post("/auth/mfa/recovery-codes", headers=api.bearer(fresh.json()))).status_code == 200


@pytest.mark.promise("P3")
@pytest.mark.asvs("V6.5.1")
async def test_of_twenty_with_one_code_on_two_replicas_one_gets_in(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    attempts = [await attempt_of(client, guarded.user) for _ in range(20)]
    async with two_clients(app, env, clock) as clients:
        tries = [second_step(clients[n % 2], attempt, guarded.codes[0], "recovery") for n, attempt in enumerate(attempts)]
        answers = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert answers.count(200) == 1
    assert set(answers) <= {200, 400, 429, 503}


async def test_control_a_code_that_is_looked_up_first_is_good_twice(
    client: AsyncClient, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(db: object, user_id: object, digest: object, now: object) -> bool:
        return True

    monkeypatch.setattr(repository, "spend_code", look)
    guarded = await new_guarded(client, clock, codes=True)
    for _ in range(2):
        answer = await second_step(client, await attempt_of(client, guarded.user), guarded.codes[0], "recovery")
        assert answer.status_code == 200


@pytest.mark.parametrize("code", ["", "x" * 65, "\x07", "\x00", None, 5])
async def test_what_is_no_code_is_refused(client: AsyncClient, clock: TravellingClock, code: object) -> None:
    guarded = await new_guarded(client, clock)
    body = {"attempt": await attempt_of(client, guarded.user), "code": code}
    assert (await client.post("/auth/login/recovery", json=body)).status_code == 422
