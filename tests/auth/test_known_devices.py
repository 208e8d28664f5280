"""Known devices: an owner's device is counted apart from strangers, so nobody can lock the owner out; it proves nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import select

from app.auth.models import KnownDevice
from app.core.server import Server
from tests.auth.holding import TickingClock
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in

WRONG = "Wrong-harbour-71-kettle!"
NEXT = "Other-lantern-93-basket!"
LOGIN = "/auth/login"
DAYS_180 = 180 * 86400


@pytest.fixture
def clock() -> TravellingClock:
    """Waits are over when the test says so, however slow the machine."""
    return TickingClock()


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Somebody at a computer of their own."""
    async with client_of(app, "203.0.113.7") as stranger:
        yield stranger


async def attempt(client: AsyncClient, name: str, password: str = WRONG, device: str | None = None, **more: Any) -> Response:
    client.cookies.clear()
    body = {"username": name, "password": password} | ({"device": device} if device else {})
    return await client.post(LOGIN, json=body, **more)


async def exhaust(stranger: AsyncClient, *names: str) -> None:
    """Fail until strangers have to wait."""
    for name in names:
        assert [(await attempt(stranger, name)).status_code for _ in range(6)] == [401] * 5 + [429]


async def devices(server: Server) -> list[KnownDevice]:
    async with server.database.read() as db:
        return list((await db.scalars(select(KnownDevice))).all())


def cookie_of(response: Response) -> Morsel[str]:
    """The only cookie that was set."""
    (header,) = response.headers.get_list("set-cookie")
    (morsel,) = SimpleCookie(header).values()
    return morsel


@pytest.mark.asvs("V6.3.1")
async def test_a_known_device_gets_in_while_strangers_wait(client: AsyncClient, stranger: AsyncClient) -> None:
    user = await api.new_user(client)
    device = user.tokens["device"]
    await exhaust(stranger, user.username, user.email)
    assert (await attempt(client, user.username, api.PASSWORD)).status_code == 429  # without it the owner is a stranger
    form = {"username": user.email, "password": api.PASSWORD, "device": device}
    assert (await attempt(client, user.username, api.PASSWORD, device)).status_code == 200
    client.cookies.clear()
    assert (await client.post(LOGIN, data=form)).status_code == 200
    cookie = {"Cookie": f"authkeep-device={device}"}
    assert (await attempt(client, user.email.upper(), api.PASSWORD, headers=cookie)).status_code == 200
    assert (await attempt(stranger, user.username)).status_code == 429  # their wait is theirs


async def test_a_browser_is_known_by_its_cookie_alone(client: AsyncClient, stranger: AsyncClient) -> None:
    user = await api.new_user(client)  # the client keeps the cookie
    await exhaust(stranger, user.username)
    again = await client.post(LOGIN, data={"username": user.username, "password": api.PASSWORD})
    assert again.status_code == 200
    assert again.json()["device"] == user.tokens["device"]


async def test_the_same_device_stays_the_same(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    for _ in range(2):
        again = await attempt(client, user.username, api.PASSWORD, user.tokens["device"])
        assert again.json()["device"] == user.tokens["device"]
    assert len(await devices(server)) == 1
    other = await attempt(client, user.username, api.PASSWORD)
    assert other.json()["device"] != user.tokens["device"]
    assert len(await devices(server)) == 2


@pytest.mark.asvs("V6.3.1")
async def test_a_device_has_a_lane_with_waits_of_its_own(
    client: AsyncClient, stranger: AsyncClient, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    device, other = user.tokens["device"], (await attempt(client, user.username, api.PASSWORD)).json()["device"]
    answers = [await attempt(client, name, WRONG, device) for name in [user.username, user.email] * 3]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert answers[-1].headers["retry-after"] == "1"
    assert (await attempt(client, user.username, api.PASSWORD, device)).status_code == 429
    assert (await attempt(client, user.username, api.PASSWORD, other)).status_code == 200
    assert (await attempt(stranger, user.username, api.PASSWORD)).status_code == 200
    assert (await attempt(client, user.username, api.PASSWORD, device)).status_code == 429  # those cleared theirs only
    clock.advance(seconds=1)
    assert (await attempt(client, user.username, api.PASSWORD, device)).status_code == 200


@pytest.mark.asvs("V6.3.1")
async def test_a_known_device_gets_in_though_strangers_are_stopped(
    client: AsyncClient, stranger: AsyncClient, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    for number in range(52):
        assert (await attempt(stranger, user.username)).status_code == 401, number
        clock.advance(seconds=901 if number > 3 else 0)
    assert (await attempt(stranger, user.username, api.PASSWORD)).status_code == 401
    assert (await attempt(client, user.username, api.PASSWORD, user.tokens["device"])).status_code == 200
    clock.advance(seconds=901)
    assert (await attempt(stranger, user.username, api.PASSWORD)).status_code == 401  # that lifted nothing for strangers


async def test_failures_of_a_known_device_stop_nobody(client: AsyncClient, stranger: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    for number in range(52):
        assert (await attempt(client, user.username, WRONG, user.tokens["device"])).status_code == 401, number
        clock.advance(seconds=901 if number > 3 else 0)
    assert (await attempt(stranger, user.username, api.PASSWORD)).status_code == 200


@pytest.mark.asvs("V6.3.1", "V8.2.2")
async def test_only_an_accounts_own_device_opens_a_lane(client: AsyncClient, stranger: AsyncClient) -> None:
    alice, mallory = await api.new_user(client), await api.new_user(client)
    await exhaust(stranger, alice.username)
    for device in (mallory.tokens["device"], "x" * 43, alice.tokens["device"][:-1], alice.tokens["device"].swapcase(), "0"):
        assert (await attempt(stranger, alice.username, api.PASSWORD, device)).status_code == 429, device
    for cookie in ("authkeep-device=", "authkeep-device=%00", "authkeep-device=" + "x" * 3000):
        answer = await attempt(stranger, alice.username, api.PASSWORD, headers={"Cookie": cookie})
        assert answer.status_code == 429, cookie


async def test_a_device_that_is_none_is_refused(client: AsyncClient) -> None:
    for device in ("", "a b", "x" * 129, "a\x00", "\u00e9", 7, ["x"]):
        body = {"username": "alice", "password": WRONG, "device": device}
        response = await client.post(LOGIN, json=body)
        assert response.status_code == 422, device
        assert [error["loc"] for error in response.json()["errors"]] == [["body", "device"]]


async def test_a_device_proves_nothing(client: AsyncClient) -> None:
    user = await api.new_user(client)
    device = user.tokens["device"]
    assert (await attempt(client, user.username, WRONG, device)).status_code == 401
    for headers in ({"Cookie": f"authkeep-device={device}"}, api.bearer({"access_token": device})):
        client.cookies.clear()
        assert (await client.get("/auth/me", headers=headers)).status_code == 401
    client.cookies.clear()
    assert (await client.post("/auth/refresh", json={"refresh_token": device})).status_code == 401


@pytest.mark.asvs("V7.2.3", "V11.5.1")
async def test_the_secret_is_random_and_only_its_digest_is_stored(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    secret = user.tokens["device"]
    assert len(secret) == 43  # 256 bits
    (device,) = await devices(server)
    assert device.digest == sha256(secret.encode()).digest()
    assert secret not in " ".join(map(str, vars(device).values()))


async def test_a_device_is_known_for_180_days(client: AsyncClient, stranger: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    clock.advance(timedelta(days=180, seconds=-60))
    await exhaust(stranger, user.username)
    assert (await attempt(client, user.username, api.PASSWORD, user.tokens["device"])).status_code == 200
    clock.advance(seconds=61)
    await exhaust_more(stranger, user.username)
    assert (await attempt(client, user.username, api.PASSWORD, user.tokens["device"])).status_code == 429


async def exhaust_more(stranger: AsyncClient, name: str) -> None:
    """The wait of an exhausted lane was over; make it last again."""
    assert [(await attempt(stranger, name)).status_code for _ in range(2)] == [401, 429]


async def test_devices_too_old_are_tidied_away(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    from app.auth import sessions

    await api.new_user(client)
    clock.advance(timedelta(days=181))
    async with server.database.write() as db:
        await sessions.tidy(db, clock())
    assert await devices(server) == []


async def test_a_changed_password_makes_every_device_a_stranger(client: AsyncClient, stranger: AsyncClient) -> None:
    user = await api.new_user(client)
    body = {"current_password": api.PASSWORD, "new_password": NEXT}
    changed = await client.post("/auth/change-password", json=body, headers=user.headers)
    assert changed.status_code == 200
    await exhaust(stranger, user.username)
    assert (await attempt(client, user.username, NEXT, user.tokens["device"])).status_code == 429
    assert (await attempt(client, user.username, NEXT, changed.json()["device"])).status_code == 200


@pytest.mark.usefixtures("no_welcome_mail")
async def test_a_reset_makes_every_device_a_stranger(
    client: AsyncClient,
    stranger: AsyncClient,
    server: Server,
    clock: TravellingClock,
    smtp: SmtpServer,
    work: Callable[[], Awaitable[int]],
) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/forgot-password", json={"email": user.email})).status_code == 202
    clock.advance(seconds=3)
    await work()
    mail = await smtp.wait_for_async(user.email)
    (token,) = [link.partition("token=")[2] for link in links_in(mail) if "token=" in link]
    assert (await client.post("/auth/reset-password", json={"token": token, "new_password": NEXT})).status_code == 204
    assert await devices(server) == []
    await exhaust(stranger, user.username)
    assert (await attempt(client, user.username, NEXT, user.tokens["device"])).status_code == 429


async def test_the_devices_of_a_deleted_user_are_forgotten(app: FastAPI, client: AsyncClient, server: Server) -> None:
    admin = await api.new_admin(app, client)
    client.cookies.clear()
    user = await api.new_user(client)
    assert len(await devices(server)) == 2
    assert (await client.delete(f"/users/{user.id}", headers=admin.headers)).status_code == 204
    assert {str(device.user_id) for device in await devices(server)} == {admin.id}


# The cookie.


@pytest.mark.asvs("V3.3.2", "V3.3.4")
async def test_on_http_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(client: AsyncClient) -> None:
    await api.register(client, "alice")
    response = await attempt(client, "alice", api.PASSWORD)
    cookie = cookie_of(response)
    assert (cookie.key, cookie.value) == ("authkeep-device", response.json()["device"])
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "strict", "/")
    assert (cookie["max-age"], cookie["domain"], cookie["secure"]) == (str(DAYS_180), "", "")


@pytest.mark.env(PUBLIC_URL="https://auth.example.com")
@pytest.mark.asvs("V3.3.1", "V3.3.2", "V3.3.3")
async def test_on_https_the_cookie_is_bound_to_the_host(client: AsyncClient, stranger: AsyncClient) -> None:
    await api.register(client, "alice")
    response = await attempt(client, "alice", api.PASSWORD)
    cookie = cookie_of(response)
    assert (cookie.key, cookie.value) == ("__Host-authkeep-device", response.json()["device"])
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"].lower()) == (True, True, "strict")
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/", "", str(DAYS_180))
    assert len(f"{cookie.key}={cookie.value}") < 4096
    await exhaust(stranger, "alice")
    planted = {"Cookie": f"authkeep-device={cookie.value}"}  # a name that a neighbouring host could have set
    assert (await attempt(client, "alice", api.PASSWORD, headers=planted)).status_code == 429
    own = {"Cookie": f"__Host-authkeep-device={cookie.value}"}
    assert (await attempt(client, "alice", api.PASSWORD, headers=own)).status_code == 200


async def test_a_form_of_another_site_makes_no_browser_known(client: AsyncClient) -> None:
    """It would sign in as somebody else, and so take away the device's cookie of whoever sits there."""
    await api.register(client, "alice")
    form = {"username": "alice", "password": api.PASSWORD}
    for origin in ("https://evil.example", "null"):
        answer = await client.post("/auth/login", data=form, headers={"Origin": origin})
        assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
    for headers in ({}, {"Origin": "http://localhost:8000"}):  # the control: programs, and Authorize in /docs
        answer = await client.post("/auth/login", data=form, headers=headers)
        assert cookie_of(answer).value == answer.json()["device"]


async def test_no_cookie_is_set_by_a_refusal_or_a_refresh(client: AsyncClient) -> None:
    user = await api.new_user(client)
    client.cookies.clear()
    for answer in (
        await attempt(client, user.username),
        await client.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]}),
        await client.get("/auth/me", headers=user.headers),
    ):
        assert "set-cookie" not in answer.headers
