"""Browsers that are remembered: thirty days, for one account and its factors, until they are not."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from tests.auth.test_cookie_transport import cookies_in
from tests.mail.postman import rows_of
from tests.mfa.app_of import STEP, Guarded, attempt_of, first_step, new_guarded, second_step, start
from tests.support import api
from tests.support.clock import TravellingClock

NAME = "authkeep-remembered"
Voiding = Callable[[AsyncClient, Guarded, TravellingClock], Awaitable[None]]


async def remembered(client: AsyncClient, guarded: Guarded, clock: TravellingClock) -> tuple[str, dict[str, Any]]:
    """The cookie of a browser that asked to be remembered, and its tokens."""
    done = await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()), remember_device=True)
    assert done.status_code == 200
    clock.advance(STEP)
    cookie = cookies_in(done)[NAME]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "strict", "/", str(30 * 86400))
    client.cookies.clear()
    return cookie.value, done.json()


async def asked_for(client: AsyncClient, user: api.User, cookie: str) -> bool:
    """Whether the second factor is asked for in a browser with this cookie."""
    body = {"username": user.username, "password": user.password}
    answer = (await client.post("/auth/login", json=body, headers={"Cookie": f"{NAME}={cookie}"})).json()
    client.cookies.clear()
    return "attempt" in answer


async def test_a_remembered_browser_is_not_asked_for_thirty_days(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    cookie, _ = await remembered(client, guarded, clock)
    assert not await asked_for(client, guarded.user, cookie)
    assert "attempt" in await first_step(client, guarded.user)
    clock.advance(timedelta(days=29, hours=23, minutes=58))
    assert not await asked_for(client, guarded.user, cookie)
    clock.advance(timedelta(minutes=2))
    assert await asked_for(client, guarded.user, cookie)


async def test_nobody_is_remembered_who_does_not_ask(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    done = await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()))
    assert NAME not in cookies_in(done)
    assert await rows_of(server, "remembered_devices") == []


async def test_the_session_of_a_remembered_browser_has_one_factor(client: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock)
    cookie, _ = await remembered(client, guarded, clock)
    body = {"username": guarded.user.username, "password": guarded.user.password}
    tokens = (await client.post("/auth/login", json=body, headers={"Cookie": f"{NAME}={cookie}"})).json()
    client.cookies.clear()
    refused = await client.delete("/auth/mfa/totp", headers=api.bearer(tokens))
    assert (refused.status_code, refused.json()["code"]) == (401, "insufficient_user_authentication")


async def _new_app(client: AsyncClient, guarded: Guarded, clock: TravellingClock) -> None:
    new = await start(client, guarded.headers)
    answer = await client.post("/auth/mfa/totp/confirm", json={"code": new.code(clock())}, headers=guarded.headers)
    assert answer.status_code == 200


async def _change_password(client: AsyncClient, guarded: Guarded, clock: TravellingClock) -> None:
    for old, new in (
        (guarded.user.password, "Another-harbour-72-kettle!"),
        ("Another-harbour-72-kettle!", guarded.user.password),
    ):
        body = {"current_password": old, "new_password": new}
        answer = await client.post("/auth/change-password", json=body, headers=guarded.headers)
        assert answer.status_code == 200
        guarded.headers = api.bearer(answer.json())


async def _log_out_everywhere(client: AsyncClient, guarded: Guarded, clock: TravellingClock) -> None:
    assert (await client.post("/auth/logout-all", headers=guarded.headers)).status_code == 204


async def _forget(client: AsyncClient, guarded: Guarded, clock: TravellingClock) -> None:
    assert (await client.delete("/auth/mfa/remembered-devices", headers=guarded.headers)).status_code == 204


@pytest.mark.parametrize("void", [_new_app, _change_password, _log_out_everywhere, _forget])
async def test_a_browser_is_forgotten_when_what_it_was_remembered_for_changes(
    client: AsyncClient, clock: TravellingClock, void: Voiding
) -> None:
    guarded = await new_guarded(client, clock)
    cookie, _ = await remembered(client, guarded, clock)
    await void(client, guarded, clock)
    client.cookies.clear()
    assert await asked_for(client, guarded.user, cookie)


async def test_a_cookie_is_good_for_its_account_alone_and_not_when_tampered_with(
    client: AsyncClient, clock: TravellingClock
) -> None:
    one, two = await new_guarded(client, clock), await new_guarded(client, clock)
    cookie, _ = await remembered(client, one, clock)
    assert await asked_for(client, two.user, cookie)
    for wrong in (
        cookie[:-2] + ("AA" if cookie[-2:] != "AA" else "BB"),
        cookie + "A",
        cookie[:22],
        "",
        "%00",
        "A" * 64,
        "A" * 5000,
    ):
        assert await asked_for(client, one.user, wrong), wrong
    assert not await asked_for(client, one.user, cookie)


@pytest.mark.env(MFA="required", MFA_GRACE_DAYS="0")
async def test_a_remembered_browser_owes_an_enrolment_all_the_same(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    account = await api.register(client)
    user = api.User(account["id"], account["username"], account["email"], api.PASSWORD, {})
    owed = await first_step(client, user)
    secret = (await client.post("/auth/mfa/totp", json={"attempt": owed["attempt"]})).json()["secret"]
    assert secret
    refused = await client.post(
        "/auth/mfa/totp/confirm", json={"attempt": owed["attempt"], "code": "000000", "remember_device": True}
    )
    assert refused.status_code == 422
