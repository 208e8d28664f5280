"""Who am I: the account as it is at this moment, for a good bearer token in its one place, and 401 for all else."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from tests.auth.holding import TickingClock
from tests.support import api
from tests.support.clock import TravellingClock

FIELDS = {"id", "username", "email", "role", "email_verified", "created_at", "display_name", "locale"}


@pytest.fixture
def clock() -> TravellingClock:
    """Waits are over when the test says so, however slow the machine."""
    return TickingClock()


@pytest.mark.asvs("V15.3.1", "V14.3.2")
async def test_it_is_the_account_that_registered(client: AsyncClient) -> None:
    account = await api.register(client, "Alice", "Alice@Example.com")
    tokens = await api.login(client, "alice")
    for path in ("/auth/me", "/auth/me/"):
        answer = await client.get(path, headers=api.bearer(tokens))
        assert (answer.status_code, answer.json()) == (200, account)
        assert set(answer.json()) == FIELDS
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.asvs("V7.2.1", "V8.2.1")
async def test_without_a_token_it_is_401_and_says_how(client: AsyncClient) -> None:
    answer = await client.get("/auth/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.asvs("V14.2.1")
async def test_a_token_counts_in_the_authorization_header_alone(client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = user.tokens["access_token"]
    client.cookies.clear()
    assert (await client.get("/auth/me", params={"access_token": token, "token": token})).status_code == 401
    assert (await client.get("/auth/me", headers={"Cookie": f"access_token={token}; token={token}"})).status_code == 401
    assert (await client.get("/auth/me", headers={"X-Access-Token": token})).status_code == 401
    for value in (token, f"Basic {token}", f"Token {token}", "Bearer", "Bearer ", f"Bearer {token} {token}", f"Bearer,{token}"):
        answer = await client.get("/auth/me", headers={"Authorization": value})
        assert answer.status_code == 401, value[:12]
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for scheme in ("bearer", "BEARER", "Bearer"):
        assert (await client.get("/auth/me", headers={"Authorization": f"{scheme} {token}"})).status_code == 200


@pytest.mark.asvs("V7.2.2")
async def test_name_and_password_are_no_token(client: AsyncClient) -> None:
    user = await api.new_user(client)
    assert (await client.get("/auth/me", auth=(user.username, user.password))).status_code == 401


async def test_each_token_is_its_own_users(client: AsyncClient) -> None:
    for user in [await api.new_user(client) for _ in range(3)]:
        assert (await client.get("/auth/me", headers=user.headers)).json()["id"] == user.id


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.2", "V8.3.2", "V7.4.1")
async def test_it_ends_with_a_change_of_role_or_status(app: FastAPI, client: AsyncClient) -> None:
    admin = await api.new_admin(app, client)
    promoted, disabled, deleted = [await api.new_user(client) for _ in range(3)]
    assert (await client.put(f"/users/{promoted.id}/role", json={"role": "admin"}, headers=admin.headers)).status_code == 200
    assert (await client.put(f"/users/{disabled.id}/status", json={"active": False}, headers=admin.headers)).status_code == 200
    assert (await client.delete(f"/users/{deleted.id}", headers=admin.headers)).status_code == 204
    for user in (promoted, disabled, deleted):
        answer = await client.get("/auth/me", headers=user.headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
        assert (await client.post("/auth/refresh", json={"refresh_token": user.tokens["refresh_token"]})).status_code == 401
    tokens = await api.login(client, promoted.username)
    assert (await client.get("/auth/me", headers=api.bearer(tokens))).json()["role"] == "admin"


async def test_it_is_read_from_the_row_each_time(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    await api.make_admin(app, user.username)  # beside the app, as another replica would
    assert (await client.get("/auth/me", headers=user.headers)).json()["role"] == "admin"


async def test_it_ends_after_fifteen_minutes(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    clock.advance(seconds=890)
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    clock.advance(seconds=10)
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 401


async def test_it_knows_no_other_method(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for method in ("POST", "PUT", "TRACE"):
        assert (await client.request(method, "/auth/me", headers=user.headers)).status_code == 405, method
