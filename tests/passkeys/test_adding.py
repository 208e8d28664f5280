"""Adding, listing, renaming and removing one's own passkeys."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from app.passkeys.service import MOST, tidy
from tests.auth.scene import events, sid_of, two_clients
from tests.mail.postman import Postman, html_of, rows_of
from tests.passkeys.authenticator import BE, BS, UP, UV, Authenticator, b64, bent, unb64
from tests.passkeys.scene import add, creation, enrol, passkeys_of
from tests.passkeys.test_ceremony import CLIENT, CREATION, DATA
from tests.support.api import login, new_admin, new_user
from tests.support.clock import TravellingClock

FIVE_MINUTES, TEN_MINUTES = timedelta(minutes=5), timedelta(minutes=10)
BENDS = {**CLIENT, **DATA, **CREATION}


@pytest.mark.asvs("V6.3.7")
async def test_a_passkey_is_added_shown_and_told_of(client: AsyncClient, server: Server, postman: Postman) -> None:
    user = await new_user(client)
    options = await creation(client, user.headers)
    assert options["rp"] == {"id": "localhost", "name": "Authkeep"}
    assert options["user"]["name"] == user.username
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["userVerification"] == "preferred"
    assert options["authenticatorSelection"]["residentKey"] == "preferred"
    assert [each["alg"] for each in options["pubKeyCredParams"]] == [-8, -7, -257]
    assert options["timeout"] == 300_000

    answer = await add(client, user, Authenticator().create(options), name="My phone")
    assert answer.status_code == 201, answer.text
    shown = answer.json()["passkey"]
    assert shown | {"id": "", "created_at": ""} == {
        "id": "",
        "name": "My phone",
        "created_at": "",
        "last_used_at": None,
        "synced": True,
        "discoverable": True,
        "verifies_user": True,
        "aaguid": "00000000-0000-0000-0000-000000000000",
    }
    assert await passkeys_of(client, user.headers) == [shown]
    (event,) = await events(server, "user.factor.added")
    assert (str(event.subject_id), event.data) == (user.id, {"method": "passkey"})
    await postman.work()
    message = await postman.smtp.wait_for_async(user.email, 1, "A second factor was added to your account")
    assert user.username in html_of(message)


async def test_flags_of_a_security_key(client: AsyncClient) -> None:
    user = await new_user(client)
    shown = await enrol(client, user, Authenticator(flags=UP, step=1))
    assert (shown["synced"], shown["verifies_user"]) == (False, False)
    shown = await enrol(client, user, Authenticator(flags=UP | UV | BE | BS))
    assert (shown["synced"], shown["verifies_user"]) == (True, True)


async def test_the_user_handle_is_random_tells_nothing_and_is_one_for_an_account(client: AsyncClient) -> None:
    user, other = await new_user(client), await new_user(client)
    first = await creation(client, user.headers)
    handle = unb64(first["user"]["id"])
    assert len(handle) == 64
    assert user.id.replace("-", "").encode() not in handle.hex().encode()
    authenticator = Authenticator()
    await add(client, user, authenticator.create(first))
    again = await creation(client, user.headers)
    assert again["user"]["id"] == first["user"]["id"]
    assert [each["id"] for each in again["excludeCredentials"]] == [b64(authenticator.held[0].id)]
    assert again["excludeCredentials"][0]["transports"] == ["hybrid", "internal"]
    others = await creation(client, other.headers)
    assert others["user"]["id"] != first["user"]["id"]
    assert others["excludeCredentials"] == []


@pytest.mark.asvs("V6.7.2")
async def test_challenges_are_long_never_the_same_and_kept_as_digests(client: AsyncClient, server: Server) -> None:
    user = await new_user(client)
    made = [(await creation(client, user.headers))["challenge"] for _ in range(20)]
    assert len(set(made)) == 20
    assert {len(unb64(challenge)) for challenge in made} == {32}
    stored = repr(await rows_of(server, "passkey_challenges"))
    assert not [challenge for challenge in made if challenge in stored or repr(unb64(challenge)) in stored]


async def test_what_is_bent_is_refused_and_leaves_nothing(client: AsyncClient, server: Server) -> None:
    user, tables = await new_user(client), ("audit_events", "jobs", "sessions", "passkeys", "passkey_challenges")
    before = {table: await rows_of(server, table) for table in tables}
    for name, bend in BENDS.items():
        answer = await add(client, user, Authenticator().create(await creation(client, user.headers), bend))
        refusal = (answer.status_code, answer.json()["code"])
        assert refusal in {(400, "passkey_not_added"), (422, "validation_error")}, name
    open_challenges = await rows_of(server, "passkey_challenges")  # of answers that name none, or another
    assert len(open_challenges) < len(BENDS) / 2
    assert {table: await rows_of(server, table) for table in tables} == before | {"passkey_challenges": open_challenges}


async def test_a_challenge_is_answered_once(client: AsyncClient, server: Server) -> None:
    user = await new_user(client)
    options, authenticator = await creation(client, user.headers), Authenticator()
    wrong = authenticator.create(options, bent(rp_id="example.com"))
    assert (await add(client, user, wrong)).status_code == 400
    assert (await add(client, user, authenticator.create(options))).status_code == 400
    assert await rows_of(server, "passkey_challenges") == []
    await enrol(client, user, authenticator)
    options = await creation(client, user.headers)
    assert (await add(client, user, authenticator.create(options))).status_code == 201
    assert (await add(client, user, authenticator.create(options))).status_code == 400
    assert len(await passkeys_of(client, user.headers)) == 2


async def test_twenty_answers_to_one_challenge_on_two_replicas_add_one(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    user, authenticator = await new_user(client), Authenticator()
    options = await creation(client, user.headers)
    async with two_clients(app, env, clock) as clients:
        tries = [add(clients[turn % 2], user, authenticator.create(options)) for turn in range(20)]
        statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert statuses.count(201) == 1, statuses
    assert set(statuses) <= {201, 400, 401, 503}  # 401: with the passkey there, the tokens of before are too weak
    assert len(await passkeys_of(client, user.headers)) == 1


async def test_a_challenge_runs_out_after_five_minutes(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    user, authenticator = await new_user(client), Authenticator()
    options = await creation(client, user.headers)
    clock.advance(FIVE_MINUTES)
    assert (await add(client, user, authenticator.create(options))).status_code == 400
    assert len(await rows_of(server, "passkey_challenges")) == 1
    async with server.database.write() as db:
        await tidy(db, clock())
    assert await rows_of(server, "passkey_challenges") == []


async def test_a_challenge_is_good_for_its_session_alone(client: AsyncClient) -> None:
    user, other = await new_user(client), await new_user(client)
    elsewhere = replace(user, tokens=await login(client, user.username))
    authenticator = Authenticator()
    credential = authenticator.create(await creation(client, user.headers))
    for person in (elsewhere, other):
        answer = await add(client, person, credential)
        assert (answer.status_code, answer.json()["code"]) == (400, "passkey_not_added")
    assert (await add(client, user, credential)).status_code == 201


async def test_nobody_adds_a_credential_that_somebody_has(client: AsyncClient) -> None:
    user, other, authenticator = await new_user(client), await new_user(client), Authenticator()
    await enrol(client, user, authenticator)
    taken = authenticator.held[0].id
    for person in (user, other):
        copied = authenticator.create(await creation(client, person.headers), bent(made_id=taken))
        copied |= {"id": b64(taken), "rawId": b64(taken)}
        answer = await add(client, person, copied)
        assert (answer.status_code, answer.json()["code"]) == (400, "passkey_not_added")
    assert [len(await passkeys_of(client, person.headers)) for person in (user, other)] == [1, 0]


async def test_there_is_room_for_twenty(client: AsyncClient) -> None:
    user, authenticator = await new_user(client), Authenticator()
    for _ in range(MOST - 1):
        await enrol(client, user, authenticator)
    last, late = [await creation(client, user.headers) for _ in range(2)]
    assert (await add(client, user, authenticator.create(last))).status_code == 201
    for answer in (
        await add(client, user, authenticator.create(late)),
        await client.post("/auth/passkeys/options", headers=user.headers, json={}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_passkeys")


async def test_renaming_and_removing(client: AsyncClient, server: Server, postman: Postman) -> None:
    user, authenticator = await new_user(client), Authenticator()
    first, second = [await enrol(client, user, authenticator) for _ in range(2)]
    assert first["name"] == "Passkey"
    answer = await client.patch(f"/auth/passkeys/{first['id']}", headers=user.headers, json={"name": "Schlüssel 🔑"})
    assert (answer.status_code, answer.json()) == (200, first | {"name": "Schlüssel 🔑"})
    again = await client.patch(f"/auth/passkeys/{first['id']}", headers=user.headers, json={"name": "Schlüssel 🔑"})
    assert again.status_code == 200
    (told,) = await events(server, "user.passkey.renamed")
    assert (str(told.actor_id), str(told.subject_id), told.session_id) == (user.id, user.id, sid_of(user.tokens))
    assert told.data == {"passkey": first["id"]}
    assert told.personal == {"name_before": "Passkey", "name_after": "Schlüssel 🔑"}
    assert (await client.delete(f"/auth/passkeys/{first['id']}", headers=user.headers)).status_code == 204
    assert (await client.delete(f"/auth/passkeys/{first['id']}", headers=user.headers)).status_code == 404
    assert await passkeys_of(client, user.headers) == [second]
    (event,) = await events(server, "user.factor.removed")
    assert event.data == {"method": "passkey"}
    await postman.work()
    await postman.smtp.wait_for_async(user.email, 1, "A second factor was removed from your account")


async def test_odd_names_are_refused(client: AsyncClient) -> None:
    user = await new_user(client)
    passkey = await enrol(client, user)
    names: list[Any] = ["", "x" * 65, "a\x00b", "a\nb", None, 7, ["x"]]
    for name in names:
        answer = await client.patch(f"/auth/passkeys/{passkey['id']}", headers=user.headers, json={"name": name})
        assert answer.status_code == 422, name
        credential = Authenticator().create(await creation(client, user.headers))
        assert (await add(client, user, credential, name=name)).status_code == 422, name


@pytest.mark.asvs("V8.2.2")
async def test_another_persons_passkey_is_not_found(client: AsyncClient, server: Server) -> None:
    user, other = await new_user(client), await new_user(client)
    theirs = await enrol(client, other)
    for passkey_id in (theirs["id"], str(uuid4())):
        path = f"/auth/passkeys/{passkey_id}"
        renamed = await client.patch(path, headers=user.headers, json={"name": "Mine"})
        removed = await client.delete(path, headers=user.headers)
        assert [(each.status_code, each.json()["code"]) for each in (renamed, removed)] == [(404, "not_found")] * 2
    assert await passkeys_of(client, other.headers) == [theirs]
    assert await events(server, "user.passkey.renamed") == []


@pytest.mark.asvs("V7.5.1")
async def test_adding_and_removing_want_a_fresh_proof(client: AsyncClient, clock: TravellingClock) -> None:
    user = await new_user(client)
    passkey = await enrol(client, user)
    options = await creation(client, user.headers)
    clock.advance(TEN_MINUTES + timedelta(seconds=1))
    for answer in (
        await client.post("/auth/passkeys/options", headers=user.headers, json={}),
        await add(client, user, Authenticator().create(options)),
        await client.delete(f"/auth/passkeys/{passkey['id']}", headers=user.headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication")
    assert await passkeys_of(client, user.headers) == [passkey]


async def test_passkeys_go_with_their_account_and_come_along_in_the_export(
    app: FastAPI, client: AsyncClient, server: Server
) -> None:
    user, boss = await new_user(client), await new_admin(app, client)
    shown = await enrol(client, user, name="My phone")
    document = (await client.get("/auth/me/export", headers=user.headers)).json()["data"]["passkeys"]
    assert [(each["id"], each["name"]) for each in document] == [(shown["id"], "My phone")]
    assert not {"credential_id", "public_key", "user_handle"} & set(document[0])
    await enrol(client, boss)
    assert (await client.delete(f"/users/{user.id}", headers=boss.headers)).status_code == 204
    assert [str(row["user_id"]) for row in await rows_of(server, "passkeys")] == [boss.id]


async def test_who_is_not_signed_in_has_none(client: AsyncClient) -> None:
    path = f"/auth/passkeys/{uuid4()}"
    answers = [
        await client.get("/auth/passkeys"),
        await client.post("/auth/passkeys/options", json={}),
        await client.post("/auth/passkeys", json={"credential": Authenticator().create(OPTIONS)}),
        await client.patch(path, json={"name": "x"}),
        await client.delete(path),
    ]
    assert [answer.status_code for answer in answers] == [401] * 5


OPTIONS = {"user": {"id": b64(bytes(64))}, "challenge": b64(bytes(32))}
