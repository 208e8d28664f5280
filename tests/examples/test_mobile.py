"""examples/mobile.py against the server: refreshed when due, once for many, over a restart of the application, to its end."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from examples.mobile import Phone, SignedOut, StepOwed
from tests.auth.scene import status_of
from tests.mfa.app_of import new_guarded
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """The phone's connection; it counts the refreshes in `calls`."""
    async with client_of(app) as client:
        yield client


async def test_it_stays_signed_in_over_restarts_and_refreshes_when_due(
    client: AsyncClient, http: AsyncClient, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    secrets: dict[str, str] = {}
    phone = Phone(http, secrets, clock)
    await phone.sign_in(user.username, user.password)
    assert (await phone.call("GET", "/auth/me")).json()["id"] == user.id
    first = secrets["refresh_token"]
    clock.advance(seconds=880)  # twenty seconds before the access token expires
    assert (await phone.call("GET", "/auth/me")).status_code == 200
    assert secrets["refresh_token"] != first
    again = Phone(http, secrets, clock)  # the application was closed, and opened after a week
    clock.advance(seconds=7 * 86400)
    assert (await again.call("PATCH", "/auth/me", json={"locale": "fr"})).json()["locale"] == "fr"


async def test_who_has_a_second_factor_gives_it(client: AsyncClient, http: AsyncClient, clock: TravellingClock) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    secrets: dict[str, str] = {}
    phone = Phone(http, secrets, clock)
    for method, code in (("totp", guarded.app.code(clock())), ("recovery", guarded.codes[0])):
        with pytest.raises(StepOwed) as owed:
            await phone.sign_in(guarded.user.username, guarded.user.password)
        assert owed.value.methods == ["recovery", "totp"]
        with pytest.raises(httpx2.HTTPStatusError, match="400"):
            await phone.finish(owed.value, method, "000000" if method == "totp" else "A" * 24)
        await phone.finish(owed.value, method, code)
        assert (await phone.call("GET", "/auth/me")).json()["id"] == guarded.user.id
        await phone.sign_out()


async def test_of_many_calls_one_refreshes(client: AsyncClient, http: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    asked: list[str] = []

    async def count(request: httpx2.Request) -> None:
        asked.append(request.url.path)

    http.event_hooks = {"request": [count]}
    phone = Phone(http, {}, clock)
    await phone.sign_in(user.username, user.password)
    clock.advance(seconds=901)
    answers = await asyncio.gather(*(phone.call("GET", "/auth/me") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert asked.count("/auth/refresh") == 1


async def test_a_refused_token_is_refreshed_once_and_a_session_that_ended_is_said(
    client: AsyncClient, http: AsyncClient, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    secrets: dict[str, str] = {}
    phone = Phone(http, secrets, lambda: clock().replace(year=2020))  # a phone whose clock is wrong
    await phone.sign_in(user.username, user.password)
    clock.advance(seconds=901)
    assert (await phone.call("GET", "/auth/me")).status_code == 200
    assert (await client.post("/auth/logout-all", headers=api.bearer(await api.login(client, user.username)))).status_code == 204
    with pytest.raises(SignedOut):
        await phone.call("GET", "/auth/me")
    assert set(secrets) == {"device"}
    with pytest.raises(SignedOut):
        await phone.call("GET", "/auth/me")


async def test_signing_out_ends_it_there_even_when_the_access_token_expired(
    client: AsyncClient, http: AsyncClient, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    secrets: dict[str, str] = {}
    phone = Phone(http, secrets, clock)
    await phone.sign_in(user.username, user.password)
    stolen = secrets["refresh_token"]
    clock.advance(seconds=1000)
    await phone.sign_out()
    assert (await client.post("/auth/refresh", json={"refresh_token": stolen})).status_code == 401
    assert await status_of(client, user.tokens) == 401  # this one had expired; its session is another, and lives
    assert (await client.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]})).status_code == 200


async def test_a_known_device_is_not_slowed_by_strangers(client: AsyncClient, http: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    client.cookies.clear()
    secrets: dict[str, str] = {}
    phone = Phone(http, secrets, clock)
    await phone.sign_in(user.username, user.password)
    http.cookies.clear()  # a phone's client keeps none
    form = {"username": user.username, "password": "not the one 1!"}
    statuses = [(await client.post("/auth/login", data=form)).status_code for _ in range(8)]
    assert 429 in statuses
    await phone.sign_in(user.username, user.password)
    unknown = Phone(http, {}, clock)
    http.cookies.clear()
    with pytest.raises(httpx2.HTTPStatusError, match="429"):
        await unknown.sign_in(user.username, user.password)
