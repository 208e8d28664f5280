"""A passkey as the second proof: of a login that was begun, of a session that is to be proved anew, of a first enrolment."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.auth import steps
from app.auth.deps import AuthKit
from app.core.server import Server
from app.users import service as users
from tests.auth.scene import claims_of, events, execute, session_row, sid_of, two_clients
from tests.mail.postman import rows_of
from tests.passkeys.authenticator import BE, BS, UP, UV, Authenticator, Bends, b64, bent
from tests.passkeys.scene import add, asking, begin, creation, go_on, passkeys_of, send, sign_in, somebody
from tests.passkeys.test_ceremony import ASSERTION, NOT_ATTESTED, OTHER_WAY
from tests.support.api import PASSWORD, bearer, new_user, register
from tests.support.clock import TravellingClock

TEN_MINUTES = timedelta(minutes=10)


@pytest.mark.asvs("V6.3.3")
@pytest.mark.parametrize("flags", [UP, UP | UV | BE | BS], ids=["security key", "verified"])
async def test_a_password_and_a_passkey_sign_in(client: AsyncClient, server: Server, flags: int) -> None:
    authenticator = Authenticator(flags=flags, step=1)
    user = await somebody(client, authenticator)
    attempt = await begin(client, user)
    asked = await asking(client, attempt=attempt)
    assert asked["request"] is None
    options = asked["public_key"]
    assert options["userVerification"] == "preferred"
    held = {"type": "public-key", "id": b64(authenticator.held[0].id), "transports": ["hybrid", "internal"]}
    assert options["allowCredentials"] == [held]
    answer = await send(client, authenticator.sign(options), attempt=attempt)
    assert answer.status_code == 200, answer.text
    claims = claims_of(answer.json()["access_token"])
    assert (claims["sub"], claims["acr"], claims["amr"]) == (user.id, "aal2-phr", ["pwd", "passkey"])
    row = await session_row(server, sid_of(answer.json()))
    (passkey,) = await passkeys_of(client, bearer(answer.json()))
    assert row.opened_with == f"passkey:{passkey['id'].replace('-', '')}"
    assert (await client.post("/auth/login/passkey/options", json={"attempt": attempt})).status_code == 401


async def test_a_security_key_without_pin_is_no_whole_login(client: AsyncClient) -> None:
    authenticator = Authenticator(flags=UP)
    user = await somebody(client, authenticator)
    answer = await sign_in(client, authenticator, username=user.username, passkey=authenticator.held[0])
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")
    assert (await go_on(client, authenticator, await begin(client, user))).status_code == 200


@pytest.mark.asvs("V6.3.3")
async def test_whoever_finds_a_security_key_and_gives_it_a_pin_has_one_factor(client: AsyncClient, server: Server) -> None:
    """A key without PIN takes a first one from anybody who holds it."""
    authenticator = Authenticator(flags=UP)
    user = await somebody(client, authenticator)
    authenticator.held[0].flags = UP | UV
    refused = await sign_in(client, authenticator, username=user.username, passkey=authenticator.held[0])
    assert (refused.status_code, refused.json()["code"]) == (401, "passkey_refused")
    # Nor does it prove a session anew, nor lift one, without the password; nor is it the whole login once it was beside it.
    asked = await client.post("/auth/reauthenticate/passkey/options", headers=user.headers)
    alone = {"credential": authenticator.sign(asked.json()["public_key"])}
    answer = await client.post("/auth/reauthenticate", headers=user.headers, json=alone)
    assert (answer.status_code, answer.json()["code"]) == (400, "proof_wrong")
    assert (await go_on(client, authenticator, await begin(client, user))).status_code == 200
    assert (await sign_in(client, authenticator, username=user.username, passkey=authenticator.held[0])).status_code == 401
    assert [row["uv_initialized"] for row in await rows_of(server, "passkeys")] in ([False], [0])


async def test_nothing_bent_is_a_second_proof(client: AsyncClient, server: Server) -> None:
    authenticator, stranger = Authenticator(step=1), Authenticator()
    user = await somebody(client, authenticator)
    await somebody(client, stranger)
    bends: dict[str, Bends] = OTHER_WAY | NOT_ATTESTED | ASSERTION
    bends |= {
        "type of the other ceremony": bent(client={"type": "webauthn.create"}),
        "eligible for backup no more": bent(flags=UP | UV),
        "another's user handle": bent(response={"userHandle": b64(stranger.held[0].user_handle)}),
        "counter that stands still": bent(counter=1),
    }
    before = await rows_of(server, "sessions")
    for name, bend in bends.items():
        attempt = await begin(client, user)
        answer = await go_on(client, authenticator, attempt, bend)
        assert (answer.status_code, answer.json()["code"]) in {(400, "proof_wrong"), (422, "validation_error")}, name
        async with server.database.write() as db:  # else the account had its twenty tries
            found = await users.find_by_key(db, user.username)
            assert found is not None
            await steps.clear_tries(db, server.kit(AuthKit), found.id)
    assert await rows_of(server, "sessions") == before
    assert (await go_on(client, authenticator, await begin(client, user))).status_code == 200


async def test_another_persons_passkey_is_no_second_proof(client: AsyncClient) -> None:
    authenticator, stranger = Authenticator(), Authenticator()
    user = await somebody(client, authenticator)
    other = await somebody(client, stranger)
    attempt = await begin(client, user)
    asked = await asking(client, attempt=attempt)
    theirs = stranger.sign(asked["public_key"], passkey=stranger.held[0])
    answer = await send(client, theirs, attempt=attempt)
    assert (answer.status_code, answer.json()["code"]) == (400, "proof_wrong")
    # Nor is a challenge of one attempt good for another, one's own or somebody else's.
    mine, again, of_other = await begin(client, user), await begin(client, user), await begin(client, other)
    asked = await asking(client, attempt=mine)
    for attempt in (again, of_other):
        answer = await send(client, authenticator.sign(asked["public_key"]), attempt=attempt)
        assert (answer.status_code, answer.json()["code"]) == (400, "proof_wrong")
    assert (await send(client, authenticator.sign(asked["public_key"]), attempt=mine)).status_code == 200


async def test_challenges_of_the_whole_login_and_of_steps_are_not_each_others(client: AsyncClient) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    attempt = await begin(client, user)
    whole, step = await asking(client), await asking(client, attempt=attempt)
    answer = await send(client, authenticator.sign(whole["public_key"]), attempt=attempt)
    assert (answer.status_code, answer.json()["code"]) == (400, "proof_wrong")
    answer = await send(client, authenticator.sign(step["public_key"]), request=whole["request"])
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")


async def test_five_tries_of_an_attempt_are_shared_with_other_factors(client: AsyncClient) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    attempt = await begin(client, user)
    for _ in range(3):
        wrong = await go_on(client, authenticator, attempt, bent(signature=lambda raw: raw[:-1]))
        assert wrong.status_code == 400
    for _ in range(2):
        code = await client.post("/auth/login/totp", json={"attempt": attempt, "code": "123456"})
        assert code.status_code == 400
    answer = await client.post("/auth/login/passkey/options", json={"attempt": attempt})
    assert (answer.status_code, answer.json()["code"]) == (401, "attempt_invalid")


async def test_twenty_answers_to_one_challenge_on_two_replicas_have_one_winner(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    attempt = await begin(client, user)
    asked = await asking(client, attempt=attempt)
    credential = authenticator.sign(asked["public_key"])
    async with two_clients(app, env, clock) as clients:
        tries = [send(clients[turn % 2], credential, attempt=attempt) for turn in range(20)]
        statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert statuses.count(200) == 1, statuses
    assert set(statuses) <= {200, 400, 401, 429, 503}


async def test_a_counter_that_went_back_is_recorded_here_too(client: AsyncClient, server: Server) -> None:
    authenticator = Authenticator(step=5)
    user = await somebody(client, authenticator)
    assert (await go_on(client, authenticator, await begin(client, user), bent(counter=5))).status_code == 400
    (event,) = await events(server, "user.passkey.counter_went_back")
    assert str(event.subject_id) == user.id
    (failure,) = await events(server, "user.second_factor.failed")
    assert failure.data == {"by": "passkey"}


async def test_an_attempt_without_passkeys_has_no_options(client: AsyncClient, server: Server) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    attempt = await begin(client, user)
    assert await execute(server, "DELETE FROM passkeys") == 1
    answer = await client.post("/auth/login/passkey/options", json={"attempt": attempt})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for odd in ("x", "A" * 64, "A" * 128):
        answer = await client.post("/auth/login/passkey/options", json={"attempt": odd})
        assert (answer.status_code, answer.json()["code"]) == (401, "attempt_invalid")


@pytest.mark.asvs("V7.5.1")
async def test_a_passkey_alone_is_a_fresh_proof_if_it_verifies_its_user(client: AsyncClient, clock: TravellingClock) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    clock.advance(TEN_MINUTES + timedelta(seconds=1))
    path = "/auth/reauthenticate/passkey/options"
    assert (await client.post("/auth/passkeys/options", headers=user.headers, json={})).status_code == 401

    async def prove(bend: Bends | None = None, **more: str) -> int:
        asked = (await client.post(path, headers=user.headers)).json()["public_key"]
        body = {"credential": authenticator.sign(asked, bend), **more}
        answer = await client.post("/auth/reauthenticate", headers=user.headers, json=body)
        if answer.status_code == 200:
            user.tokens.update(answer.json())
        return answer.status_code

    assert await prove(bent(flags=UP | BE | BS)) == 400
    assert await prove(bent(client={"origin": "https://evil.example"})) == 400
    assert await prove() == 200
    assert (await client.post("/auth/passkeys/options", headers=user.headers, json={})).status_code == 200
    clock.advance(TEN_MINUTES + timedelta(seconds=1))
    assert await prove(bent(flags=UP | BE | BS), password=user.password) == 200
    assert (await client.post("/auth/passkeys/options", headers=user.headers, json={})).status_code == 200


async def test_who_has_none_can_prove_nothing_by_one(client: AsyncClient) -> None:
    user = await new_user(client)
    answer = await client.post("/auth/reauthenticate/passkey/options", headers=user.headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    odds: list[dict[str, Any]] = [{}, {"id": 1}, {"response": {}}]
    for odd in odds:
        answer = await client.post("/auth/reauthenticate", headers=user.headers, json={"credential": odd})
        assert (answer.status_code, answer.json()["code"]) == (400, "proof_wrong")


@pytest.mark.env(MFA="required", MFA_GRACE_DAYS="0")
async def test_a_login_that_owes_an_enrolment_goes_on_by_adding_a_passkey(client: AsyncClient) -> None:
    account = await register(client)
    body = {"username": account["username"], "password": PASSWORD}
    begun = (await client.post("/auth/login", json=body)).json()
    assert begun["status"] == "mfa_enrolment_required"
    assert "passkey" in begun["methods"]
    attempt, authenticator = begun["attempt"], Authenticator()
    answer = await client.post("/auth/passkeys/options", json={"attempt": attempt})
    assert answer.status_code == 200, answer.text
    credential = authenticator.create(answer.json()["public_key"])
    added = await client.post("/auth/passkeys", json={"credential": credential, "attempt": attempt})
    assert added.status_code == 201, added.text
    tokens = added.json()["tokens"]
    assert tokens["refresh_token"]
    assert claims_of(tokens["access_token"])["acr"] == "aal2-phr"
    assert (await client.post("/auth/passkeys/options", json={"attempt": attempt})).status_code == 401
    assert (await sign_in(client, authenticator)).status_code == 200
    # The last one can't go.
    (passkey,) = await passkeys_of(client, bearer(tokens))
    gone = await client.delete(f"/auth/passkeys/{passkey['id']}", headers=bearer(tokens))
    assert (gone.status_code, gone.json()["code"]) == (409, "last_factor")
    assert len(await passkeys_of(client, bearer(tokens))) == 1


async def test_an_attempt_that_owes_a_proof_adds_nothing(client: AsyncClient) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    attempt = await begin(client, user)
    answer = await client.post("/auth/passkeys/options", json={"attempt": attempt})
    assert (answer.status_code, answer.json()["code"]) == (401, "attempt_invalid")
    options = await creation(client, user.headers)
    body = {"credential": authenticator.create(options), "attempt": attempt}
    answer = await client.post("/auth/passkeys", json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "attempt_invalid")
    assert (await add(client, user, body["credential"])).status_code == 201
