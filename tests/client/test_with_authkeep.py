"""The client and the real server, on both stacks."""

import httpx2
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from authkeep_client import Authkeep
from tests.auth.scene import sid_of
from tests.client.scripted import Clock, asking
from tests.support import api
from tests.support.clock import TravellingClock

URL = "http://localhost:8000"


@pytest.fixture(autouse=True)
def patient_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits for a busy machine; test_outcomes.py shows its own bounds."""
    monkeypatch.setattr("authkeep_client.client.TOTAL_SECONDS", 30.0)


async def test_users_and_admins_are_who_they_are(app: FastAPI, client: AsyncClient) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)
    async with asking(Authkeep(URL, transport=httpx2.ASGITransport(app))) as service:
        for person, role, allowed in ((user, "user", 403), (admin, "admin", 200)):
            known = (await service.get("/me", headers=person.headers)).json()
            assert known == {
                "id": person.id,
                "username": person.username,
                "roles": [role],
                "session_id": str(sid_of(person.tokens)),
            }
            assert (await service.get("/admin", headers=person.headers)).status_code == allowed


@pytest.mark.promise("P2")
async def test_after_a_logout_the_next_request_is_refused(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    async with asking(Authkeep(URL, transport=httpx2.ASGITransport(app))) as service:
        assert (await service.get("/me", headers=user.headers)).status_code == 200
        assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
        answer = await service.get("/me", headers=user.headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


async def test_with_a_cache_a_logout_counts_once_its_time_is_over(app: FastAPI, client: AsyncClient) -> None:
    user, clock = await api.new_user(client), Clock()
    async with asking(Authkeep(URL, 10, clock=clock, transport=httpx2.ASGITransport(app))) as service:
        assert (await service.get("/me", headers=user.headers)).status_code == 200
        assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
        clock.now += 9.9
        assert (await service.get("/me", headers=user.headers)).status_code == 200
        clock.now += 0.1
        assert (await service.get("/me", headers=user.headers)).status_code == 401


async def test_an_expired_token_and_a_refresh_token_are_refused(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    async with asking(Authkeep(URL, transport=httpx2.ASGITransport(app))) as service:
        refresh = {"Authorization": f"Bearer {user.tokens['refresh_token']}"}
        assert (await service.get("/me", headers=refresh)).status_code == 401
        assert (await service.get("/me", headers=user.headers)).status_code == 200
        clock.advance(seconds=901)
        assert (await service.get("/me", headers=user.headers)).status_code == 401


async def test_a_server_with_a_problem_is_a_503(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    async with asking(Authkeep(URL, transport=httpx2.ASGITransport(app))) as service:
        app.state.server.problem = "not migrated"
        answer = await service.get("/me", headers=user.headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
