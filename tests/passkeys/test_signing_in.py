"""Signing in by passkey alone: found by the device, or by a username."""

import asyncio
from datetime import timedelta
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.core.server import Server
from app.passkeys import ceremony, logins
from app.passkeys.repository import NOBODYS_KEY
from app.users.models import User
from tests.auth.scene import claims_of, events, execute, session_row, sid_of, two_clients
from tests.mail.postman import rows_of
from tests.passkeys.authenticator import BE, BS, UP, UV, Authenticator, Key, Passkey, b64, bent, unb64
from tests.passkeys.scene import add, asking, creation, passkeys_of, send, sign_in, somebody
from tests.passkeys.test_ceremony import ASSERTION, NOT_ATTESTED, OTHER_WAY
from tests.support.api import bearer, new_user
from tests.support.clock import TravellingClock

FIVE_MINUTES = timedelta(minutes=5)
WATCHED = ("sessions", "passkeys", "jobs", "known_devices", "users")


@pytest.mark.asvs("V6.3.3")
@pytest.mark.parametrize("by_name", [False, True])
async def test_a_passkey_is_the_whole_login(client: AsyncClient, server: Server, by_name: bool) -> None:
    authenticator = Authenticator(step=1)
    user = await somebody(client, authenticator)
    answer = await sign_in(client, authenticator, username=user.username.upper() if by_name else None)
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    claims = claims_of(tokens["access_token"])
    assert (claims["sub"], claims["acr"], claims["amr"]) == (user.id, "aal2-phr", ["passkey"])
    (passkey,) = await passkeys_of(client, bearer(tokens))
    assert passkey["last_used_at"] is not None
    assert (await session_row(server, sid_of(tokens))).opened_with is not None
    event = (await events(server, "user.login.succeeded"))[-1]
    assert (str(event.subject_id), event.data) == (user.id, {"by": "passkey"})


async def test_options_ask_for_a_user_who_is_verified(client: AsyncClient) -> None:
    asked = await asking(client)
    options = asked["public_key"]
    assert (options["rpId"], options["userVerification"], options["allowCredentials"]) == ("localhost", "required", [])
    assert (await asking(client, username="nobody"))["public_key"]["userVerification"] == "required"


async def test_nothing_bent_signs_anybody_in_and_all_of_it_is_refused_alike(client: AsyncClient, server: Server) -> None:
    authenticator, stranger = Authenticator(step=1), Authenticator()
    await somebody(client, authenticator)
    await somebody(client, stranger)
    mine, theirs = authenticator.held[0], stranger.held[0]
    bends: dict[str, tuple[Any, Passkey | None]] = {
        name: (bend, None) for name, bend in (OTHER_WAY | NOT_ATTESTED | ASSERTION).items()
    }
    bends |= {
        "type of the other ceremony": (bent(client={"type": "webauthn.create"}), None),
        "user not verified": (bent(flags=UP | BE | BS), None),
        "eligible for backup no more": (bent(flags=UP | UV), None),
        "another's user handle": (bent(response={"userHandle": b64(theirs.user_handle)}), None),
        "no user handle, where nobody was named": (bent(response={"userHandle": None}), None),
        "another's credential by my key": (bent(credential={"id": b64(theirs.id), "rawId": b64(theirs.id)}), None),
        "a credential of nobody": (None, Passkey(mine.key, b"x" * 32, mine.user_handle)),
        "counter that stands still": (bent(counter=1), None),
        "counter that went back": (bent(counter=0), None),
    }
    before = {table: await rows_of(server, table) for table in WATCHED}
    failures = len(await events(server, "user.login.failed"))
    refusals = set()
    for name, (bend, passkey) in bends.items():
        asked = await asking(client)
        answer = await send(
            client, authenticator.sign(asked["public_key"], bend, passkey=passkey or mine), request=asked["request"]
        )
        assert answer.status_code in {401, 422}, name
        if answer.status_code == 401:
            refusals.add(answer.text)
            failures += 1
            assert len(await events(server, "user.login.failed")) == failures, name
    assert len(refusals) == 1
    assert '"code":"passkey_refused"' in refusals.pop()
    assert {table: await rows_of(server, table) for table in WATCHED} == before
    assert (await sign_in(client, authenticator)).status_code == 200


async def test_a_counter_that_went_back_is_recorded(client: AsyncClient, server: Server) -> None:
    authenticator = Authenticator(step=5)
    user = await somebody(client, authenticator)
    assert (await sign_in(client, authenticator)).status_code == 200
    assert (await sign_in(client, authenticator, bent(counter=9))).status_code == 401
    (event,) = await events(server, "user.passkey.counter_went_back")
    (passkey,) = await rows_of(server, "passkeys")
    assert (str(event.subject_id), event.data) == (user.id, {"passkey": str(passkey["id"]), "before": 10, "after": 9})
    assert passkey["sign_count"] == 10


async def test_a_signature_that_is_wrong_is_no_counter_that_went_back(client: AsyncClient, server: Server) -> None:
    """Else anybody could fill the log, or cry theft."""
    authenticator = Authenticator(step=5)
    await somebody(client, authenticator)
    assert (await sign_in(client, authenticator, bent(counter=0, signature=lambda raw: raw[:-1]))).status_code == 401
    assert await events(server, "user.passkey.counter_went_back") == []


async def test_what_the_authenticator_says_later_is_kept(client: AsyncClient, server: Server) -> None:
    authenticator = Authenticator(flags=UP | UV | BE)
    user = await somebody(client, authenticator)
    (before,) = await rows_of(server, "passkeys")
    authenticator.held[0].flags = UP | UV | BE | BS
    assert (await sign_in(client, authenticator)).status_code == 200
    (after,) = await rows_of(server, "passkeys")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"backed_up", "last_used_at"}
    assert str(after["user_id"]) == user.id


async def test_twenty_uses_of_one_counter_on_two_replicas_have_one_winner(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    """A copied key and its original at the same moment."""
    authenticator = Authenticator(step=1)
    await somebody(client, authenticator)
    asked = [await asking(client) for _ in range(20)]
    credentials = [authenticator.sign(each["public_key"], bent(counter=2)) for each in asked]
    async with two_clients(app, env, clock) as clients:
        tries = [send(clients[turn % 2], credentials[turn], request=asked[turn]["request"]) for turn in range(20)]
        statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert statuses.count(200) == 1, statuses
    assert set(statuses) <= {200, 401, 503}


async def test_twenty_answers_to_one_challenge_on_two_replicas_have_one_winner(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    authenticator = Authenticator()
    await somebody(client, authenticator)
    asked = await asking(client)
    credential = authenticator.sign(asked["public_key"])
    async with two_clients(app, env, clock) as clients:
        tries = [send(clients[turn % 2], credential, request=asked["request"]) for turn in range(20)]
        statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert statuses.count(200) == 1, statuses
    assert set(statuses) <= {200, 401, 503}


async def test_a_challenge_is_good_for_its_browser_its_purpose_and_five_minutes(
    client: AsyncClient, clock: TravellingClock
) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    asked = await asking(client)
    credential = authenticator.sign(asked["public_key"])
    other = await asking(client)
    client.cookies.clear()
    assert (await send(client, credential)).status_code == 401
    assert (await send(client, credential, request="x")).status_code == 401
    assert other["request"] == asked["request"]  # one browser
    assert (await send(client, credential, request=asked["request"])).status_code == 200

    of_adding = await creation(client, user.headers)
    credential = authenticator.sign(of_adding | {"allowCredentials": []})
    assert (await send(client, credential, request=asked["request"])).status_code == 401

    late = await asking(client)
    clock.advance(FIVE_MINUTES)
    credential = authenticator.sign(late["public_key"])
    assert (await send(client, credential, request=late["request"])).status_code == 401


async def test_the_browsers_cookie_is_enough(client: AsyncClient) -> None:
    authenticator = Authenticator()
    await somebody(client, authenticator)
    asked = await asking(client)
    (cookie,) = [each for each in client.cookies.jar if each.name == "authkeep-passkey"]
    assert cookie.value == asked["request"]
    assert (await send(client, authenticator.sign(asked["public_key"]))).status_code == 200


async def test_the_named_account_and_no_other_may_answer(client: AsyncClient) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    other = await somebody(client, Authenticator())
    for name in (other.username, "nobody-at-all"):
        asked = await asking(client, username=name)
        credential = authenticator.sign(asked["public_key"], passkey=authenticator.held[0])
        assert (await send(client, credential, request=asked["request"])).status_code == 401
    silent = bent(response={"userHandle": None})
    assert (await sign_in(client, authenticator, silent, username=user.username)).status_code == 200


@pytest.mark.asvs("V6.3.8")
async def test_unknown_accounts_and_those_without_passkeys_look_like_others(client: AsyncClient) -> None:
    async def ids(name: str) -> list[str]:
        asked = await asking(client, username=name)
        assert set(asked) == {"public_key", "request"}
        shown = asked["public_key"]["allowCredentials"]
        assert all(set(each) == {"type", "id"} for each in shown)
        return [each["id"] for each in shown]

    authenticator = Authenticator()
    holder, without = await somebody(client, authenticator), await new_user(client)
    assert await ids(holder.username) == [b64(authenticator.held[0].id)]
    key = Authenticator(flags=UP)
    second_only = await somebody(client, key)  # it can't be the whole login, so it is not asked for
    assert await ids(second_only.username) not in ([], [b64(key.held[0].id)])
    assert await ids(without.username) == await ids(without.username.upper())
    assert await ids("nobody") == await ids("NOBODY")
    assert await ids("nobody") != await ids("somebody")
    fakes = [await ids(f"stranger{number}") for number in range(60)]
    assert {len(found) for found in fakes} == {1, 2}
    assert {len(unb64(each)) for found in fakes for each in found} == {16, 20, 32, 48, 64}
    assert len({each for found in fakes for each in found}) == sum(map(len, fakes))
    # Whoever answers by one of them gets the answer that everybody gets.
    asked = await asking(client, username="nobody")
    forged = Passkey(authenticator.held[0].key, unb64((await ids("nobody"))[0]), bytes(64))
    answer = await send(client, authenticator.sign(asked["public_key"], passkey=forged), request=asked["request"])
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")


@pytest.mark.asvs("V6.3.8")
async def test_adding_an_id_that_was_listed_does_not_tell_whether_it_is_somebodys(client: AsyncClient, server: Server) -> None:
    authenticator, own = Authenticator(), Authenticator()
    holder, curious = await somebody(client, authenticator), await new_user(client)
    answers = set()
    for name in (holder.username, curious.username, *(f"stranger{number}" for number in range(20))):
        for listed in (await asking(client, username=name))["public_key"]["allowCredentials"]:
            theirs = bent(made_id=unb64(listed["id"]), credential={"id": listed["id"], "rawId": listed["id"]})
            answer = await add(client, curious, own.create(await creation(client, curious.headers), theirs))
            answers.add((answer.status_code, answer.text))
    assert len(answers) == 1
    assert (await add(client, curious, own.create(await creation(client, curious.headers)))).status_code == 201
    assert len(await rows_of(server, "passkeys")) == 2


@pytest.mark.asvs("V6.3.8")
async def test_a_mail_address_lists_nothing_so_it_does_not_tell_whose_username_it_goes_with(client: AsyncClient) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    for address in (user.email, user.email.upper(), "nobody@example.com", "@", f"{user.username}@"):
        asked = await asking(client, username=address)
        assert asked["public_key"]["allowCredentials"] == []
    # What the device finds by itself is as good as without a name.
    assert (await sign_in(client, authenticator, username=user.email)).status_code == 200


async def test_other_replicas_give_the_same_fakes(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    async with two_clients(app, env, clock) as clients:
        shown = [(await asking(each, username="nobody"))["public_key"]["allowCredentials"] for each in clients]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("column", ["disabled_at", "leaving_at"])
async def test_who_may_not_use_the_account_gets_the_one_refusal(
    client: AsyncClient, server: Server, clock: TravellingClock, column: str
) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    moment = clock() - timedelta(days=8)
    assert await execute(server, update(User).where(User.username == user.username).values({column: moment})) == 1
    answer = await sign_in(client, authenticator)
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")


async def test_a_sign_in_brings_back_who_left(client: AsyncClient, server: Server) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    assert (await client.delete("/auth/me", headers=user.headers)).status_code == 202
    assert (await sign_in(client, authenticator)).status_code == 200
    assert len(await events(server, "user.leaving.cancelled")) == 1


async def test_a_removed_passkey_opens_nothing_and_what_it_opened_ends(client: AsyncClient) -> None:
    authenticator = Authenticator()
    await somebody(client, authenticator, 2)
    first, second = authenticator.held
    asked = [await asking(client) for _ in range(3)]
    sent = [
        authenticator.sign(each["public_key"], passkey=which) for each, which in zip(asked, (first, first, second), strict=True)
    ]
    tokens = [(await send(client, sent[place], request=asked[place]["request"])).json() for place in range(3)]
    mine = next(each for each in await passkeys_of(client, bearer(tokens[0])) if each["last_used_at"])
    assert (await client.delete(f"/auth/passkeys/{mine['id']}", headers=bearer(tokens[0]))).status_code == 204
    statuses = [(await client.get("/auth/me", headers=bearer(each))).status_code for each in tokens]
    assert statuses == [200, 401, 200]
    again = await asking(client)
    answer = await send(client, authenticator.sign(again["public_key"], passkey=first), request=again["request"])
    assert answer.status_code == 401


async def test_bodies_of_no_use_are_refused(client: AsyncClient) -> None:
    odd: list[Any] = [None, [], {}, {"credential": None}, {"credential": {}}, {"credential": "x" * 60_000}]
    for body in odd:
        assert (await client.post("/auth/login/passkey", json=body)).status_code == 422
    both = {"attempt": "x", "username": "x"}
    assert (await client.post("/auth/login/passkey/options", json=both)).status_code == 422
    huge = {"credential": {"id": "A" * 70_000}}
    assert (await client.post("/auth/login/passkey", json=huge)).status_code == 413


async def test_a_page_of_another_origin_signs_nobody_in(client: AsyncClient) -> None:
    authenticator = Authenticator()
    await somebody(client, authenticator)
    asked = await asking(client)
    body = {"credential": authenticator.sign(asked["public_key"]), "request": asked["request"], "transport": "cookie"}
    answer = await client.post("/auth/login/passkey", json=body, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_refused")
    assert (await client.post("/auth/login/passkey", json=body)).json()["refresh_token"] is None


@pytest.mark.asvs("V6.3.8")
async def test_an_unknown_credential_costs_a_signature_check_like_a_known_one(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    verify = ceremony.verify_assertion

    def counted(kit: Any, credential: Any, challenge: bytes, public_key: bytes, *, verified: bool) -> Any:
        checked.append(public_key)
        return verify(kit, credential, challenge, public_key, verified=verified)

    monkeypatch.setattr(logins, "verify_assertion", counted)
    authenticator = Authenticator()
    await somebody(client, authenticator)
    mine = authenticator.held[0]
    wrong = bent(signature=lambda raw: raw[:-1])
    for passkey in (mine, Passkey(mine.key, b"x" * 32, mine.user_handle)):
        asked = await asking(client)
        answer = await send(client, authenticator.sign(asked["public_key"], wrong, passkey=passkey), request=asked["request"])
        assert answer.status_code == 401
    assert len(checked) == 2
    assert checked[1] == NOBODYS_KEY


async def test_nobodys_key_signs_nobody_in(client: AsyncClient, server: Server) -> None:
    """Anybody knows its private half: it is 1."""
    key = Key()
    key.private = ec.derive_private_key(1, ec.SECP256R1())
    assert cbor2.dumps(key.cose()) == NOBODYS_KEY
    authenticator = Authenticator()
    asked = await asking(client)
    forged = authenticator.sign(asked["public_key"], passkey=Passkey(key, b"x" * 32, b""))
    forged["response"]["userHandle"] = None
    answer = await send(client, forged, request=asked["request"])
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")
    assert await rows_of(server, "sessions") == []
