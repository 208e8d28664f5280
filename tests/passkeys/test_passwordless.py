"""Accounts without a password: how one comes to it, what opens it, what mail alone can't do to it."""

import asyncio
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.auth.deps import AuthKit
from app.core.server import Server
from tests.auth.scene import events, sid_of, two_clients
from tests.auth.test_sessions import hook_check
from tests.mail.postman import NEW_PASSWORD, Postman, rows_of, token_in
from tests.passkeys.authenticator import UP, Authenticator
from tests.passkeys.scene import enrol, go_on, passkeys_of, sign_in, somebody
from tests.support.api import User, bearer, new_user
from tests.support.clock import TravellingClock
from tests.verification.letters import CHANGE, CHANGED, letter

PATH = "/auth/password"


async def without(client: AsyncClient, authenticator: Authenticator) -> User:
    """Somebody with two passkeys and no password."""
    user = await somebody(client, authenticator, 2)
    answer = await client.delete(PATH, headers=user.headers)
    assert answer.status_code == 204, answer.text
    return user


async def codes_of(client: AsyncClient, user: User) -> list[str]:
    answer = await client.post("/auth/mfa/recovery-codes", headers=user.headers)
    assert answer.status_code == 200, answer.text
    codes: list[str] = answer.json()["codes"]
    return codes


async def log_in(client: AsyncClient, user: User, password: str | None = None) -> Response:
    return await client.post("/auth/login", json={"username": user.username, "password": password or user.password})


async def test_two_passkeys_or_one_and_codes_are_enough(client: AsyncClient, server: Server, postman: Postman) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    refused = await client.delete(PATH, headers=user.headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "passkeys_needed")
    await enrol(client, user, Authenticator(flags=UP))  # a key that can't be the whole login does not count
    assert (await client.delete(PATH, headers=user.headers)).status_code == 409
    await codes_of(client, user)
    assert (await client.delete(PATH, headers=user.headers)).status_code == 204
    again = await client.delete(PATH, headers=user.headers)
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    (event,) = await events(server, "user.password.removed")
    assert str(event.subject_id) == user.id
    await postman.work()
    await postman.smtp.wait_for_async(user.email, 1, "Your password was removed")


async def test_it_takes_a_fresh_proof_by_passkey(client: AsyncClient, clock: TravellingClock) -> None:
    stranger = await new_user(client)
    authenticator = Authenticator()
    user = await somebody(client, authenticator, 2)
    clock.advance(timedelta(minutes=10, seconds=1))
    for person in (stranger, user):
        answer = await client.delete(PATH, headers=person.headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication")
        assert 'acr_values="aal2-phr"' in answer.headers["www-authenticate"]
    assert (await client.delete(PATH)).status_code == 401


async def test_a_session_that_ended_after_the_check_removes_nothing(
    client: AsyncClient, server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await somebody(client, Authenticator(), 2)
    passed = await hook_check(server, monkeypatch, sid_of(user.tokens), clock)
    refused = await client.delete(PATH, headers=user.headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
    assert passed() == 1
    assert await events(server, "user.password.removed") == []
    assert (await log_in(client, user)).json()["status"] == "mfa_required"


async def test_no_password_is_right_any_more_and_other_sessions_end(client: AsyncClient) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator, 2)
    other = (await sign_in(client, authenticator)).json()
    assert (await client.delete(PATH, headers=user.headers)).status_code == 204
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    assert (await client.get("/auth/me", headers=bearer(other))).status_code == 401
    unknown = await client.post("/auth/login", json={"username": "nobody", "password": user.password})
    for password in (user.password, "!", "None"):
        answer = await log_in(client, user, password)
        assert (answer.status_code, answer.text) == (401, unknown.text)
    assert (await sign_in(client, authenticator)).status_code == 200
    body = {"current_password": user.password, "new_password": NEW_PASSWORD}
    changed = await client.post("/auth/change-password", json=body, headers=user.headers)
    assert (changed.status_code, changed.json()["code"]) == (400, "password_wrong")


async def test_a_login_without_password_costs_a_hash_like_any_other(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await without(client, Authenticator())
    passwords, costs = server.kit(AuthKit).passwords, []
    check = type(passwords).check

    def counted(self: object, password: str, stored: str | None, *rest: object, **more: object) -> object:
        costs.append(stored)
        return check(passwords, password, stored, *rest, **more)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(type(passwords), "check", counted)
    await log_in(client, user)
    await client.post("/auth/login", json={"username": "nobody", "password": user.password})
    assert costs == [None, None]  # the same call, whose equal cost tests/auth/test_hashing.py proves


async def test_the_ways_in_can_not_be_taken_away(client: AsyncClient) -> None:
    authenticator = Authenticator()
    user = await without(client, authenticator)
    first, second = await passkeys_of(client, user.headers)
    for passkey in (first, second):
        answer = await client.delete(f"/auth/passkeys/{passkey['id']}", headers=user.headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "passkeys_needed")
    assert len(await passkeys_of(client, user.headers)) == 2
    await codes_of(client, user)
    assert (await client.delete(f"/auth/passkeys/{first['id']}", headers=user.headers)).status_code == 204
    answer = await client.delete(f"/auth/passkeys/{second['id']}", headers=user.headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "passkeys_needed")


async def test_both_passkeys_removed_at_once_on_two_replicas_leave_one_way_in(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    authenticator = Authenticator()
    user = await without(client, authenticator)
    await enrol(client, user, authenticator)
    mine = await passkeys_of(client, user.headers)
    async with two_clients(app, env, clock) as clients:
        tries = [
            clients[place % 2].delete(f"/auth/passkeys/{each['id']}", headers=user.headers) for place, each in enumerate(mine)
        ]
        statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert statuses.count(204) == 1, statuses
    assert len(await passkeys_of(client, user.headers)) == 2


async def test_the_password_removed_while_a_passkey_goes_on_two_replicas(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator, 2)
    first, _ = await passkeys_of(client, user.headers)
    async with two_clients(app, env, clock) as (one, two):
        answers = await asyncio.gather(
            one.delete(PATH, headers=user.headers), two.delete(f"/auth/passkeys/{first['id']}", headers=user.headers)
        )
    assert sorted(answer.status_code for answer in answers) == [204, 409]


@pytest.mark.asvs("V6.3.6", "V6.4.3", "V6.4.4")
async def test_mail_alone_does_not_open_it(client: AsyncClient, postman: Postman, server: Server) -> None:
    """A reset sets a password, beside which a passkey or a saved code is owed: the way back for who lost the passkeys."""
    authenticator = Authenticator()
    user = await somebody(client, authenticator)
    codes = await codes_of(client, user)
    assert (await client.delete(PATH, headers=user.headers)).status_code == 204
    sessions = len(await rows_of(server, "sessions"))
    token = await postman.fetch_token(user.email)
    assert (await postman.reset(token)).status_code == 204
    answer = await log_in(client, user, NEW_PASSWORD)
    owed = answer.json()
    assert (owed["status"], sorted(owed["methods"])) == ("mfa_required", ["passkey", "recovery"])
    assert "access_token" not in owed
    assert len(await rows_of(server, "sessions")) == sessions
    assert (await go_on(client, authenticator, owed["attempt"])).status_code == 200
    owed = (await log_in(client, user, NEW_PASSWORD)).json()
    back = await client.post("/auth/login/recovery", json={"attempt": owed["attempt"], "code": codes[0]})
    assert back.status_code == 200, back.text


@pytest.mark.env(MAGIC_LINK="true")
@pytest.mark.asvs("V6.3.6")
async def test_a_mailed_link_owes_the_passkey_too(client: AsyncClient, postman: Postman) -> None:
    authenticator = Authenticator()
    user = await without(client, authenticator)
    asked = await client.post("/auth/magic-link", json={"email": user.email})
    await postman.deliver()
    token = token_in(await postman.smtp.wait_for_async(user.email, 1, "Sign in to your account"))
    body = {"token": token, "request": asked.json()["request"]}
    owed = (await client.post("/auth/magic-link/verify", json=body)).json()
    assert (owed["status"], owed["methods"]) == ("mfa_required", ["passkey"])
    assert (await go_on(client, authenticator, owed["attempt"])).status_code == 200


async def test_a_link_mailed_before_is_void(client: AsyncClient, postman: Postman) -> None:
    authenticator = Authenticator()
    user = await somebody(client, authenticator, 2)
    token = await postman.fetch_token(user.email)
    assert (await client.delete(PATH, headers=user.headers)).status_code == 204
    assert (await postman.reset(token)).status_code == 400


async def test_an_undone_change_of_address_gives_no_password_back(client: AsyncClient, postman: Postman) -> None:
    authenticator = Authenticator()
    user = await without(client, authenticator)
    wished = f"wished.{user.username}@example.com"
    assert (await client.post("/auth/me/email", json={"new_email": wished}, headers=user.headers)).status_code == 202
    confirm = token_in(await letter(postman, wished, CHANGE))
    assert (await client.post("/auth/me/email/confirm", json={"token": confirm})).status_code == 204
    undo = token_in(await letter(postman, user.email, CHANGED))
    assert (await client.post("/auth/me/email/undo", json={"token": undo})).status_code == 204
    tokens = (await sign_in(client, authenticator)).json()
    assert (await client.delete(PATH, headers=bearer(tokens))).status_code == 404  # there is none to remove
