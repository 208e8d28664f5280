"""Rate limits: each setting limits its route, by address or /64, for all replicas together, and in memory while Redis is down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app.config import load_settings
from app.core.server import Server
from app.main import create_app
from app.models import Job
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.redis import RedisServer
from tests.support.stacks import Stack

ONE = {
    "RATE_LIMIT_ENABLED": "true",
    "RATE_LIMIT_LOGIN": "2/minute",
    "RATE_LIMIT_REGISTER": "2/hour",
    "RATE_LIMIT_REFRESH": "2/minute",
    "RATE_LIMIT_FORGOT_PASSWORD": "2/hour",
    "RATE_LIMIT_RESET_PASSWORD": "2/hour",
    "RATE_LIMIT_CHANGE_PASSWORD": "2/hour",
}
ROUTES = {
    "/auth/login": ({"username": "nobody", "password": "x"}, 60),
    "/auth/register": ({"username": "x", "email": "x", "password": "x"}, 3600),
    "/auth/refresh": ({"refresh_token": "x"}, 60),
    "/auth/forgot-password": ({"email": "someone@example.com"}, 3600),
    "/auth/reset-password": ({"token": "x", "new_password": "x"}, 3600),
    "/auth/change-password": ({"current_password": "x", "new_password": "x"}, 3600),
}


@asynccontextmanager
async def replica(env: dict[str, str]) -> AsyncIterator[FastAPI]:
    async with running(create_app(load_settings(env, env_file=None))) as app:
        yield app


async def statuses(app: FastAPI, path: str, address: str, times: int) -> list[int]:
    async with client_of(app, address) as client:
        return [(await client.post(path, json=ROUTES[path][0])).status_code for _ in range(times)]


@pytest.mark.asvs("V2.3.2", "V2.4.1")
@pytest.mark.env(**ONE)
async def test_each_setting_limits_its_route_and_no_other(app: FastAPI) -> None:
    for number, (path, (body, most)) in enumerate(ROUTES.items()):
        async with client_of(app, f"8.8.8.{number}") as client:
            answers = [await client.post(path, json=body) for _ in range(3)]
            assert [answer.status_code == 429 for answer in answers] == [False, False, True], path
            refused = answers[2]
            assert refused.json()["code"] == "too_many_requests"
            assert 1 <= int(refused.headers["retry-after"]) <= most + 1
            assert int(refused.headers["retry-after"]) > most * 0.9
            others = [other for other in ROUTES if other != path]
            for other in others:
                assert (await client.post(other, json=ROUTES[other][0])).json().get("code") != "too_many_requests", (path, other)
        async with client_of(app, f"8.8.9.{number}") as client:
            assert (await client.post(path, json=body)).json().get("code") != "too_many_requests", path


@pytest.mark.env(**ONE)
async def test_the_reset_page_shares_the_limit_of_its_route(app: FastAPI) -> None:
    async with client_of(app, "8.8.8.8") as client:
        assert (await client.post("/auth/reset-password", json=ROUTES["/auth/reset-password"][0])).status_code == 400
        form = {"token": "x", "new_password": "x"}
        found = [(await client.post("/account/reset-password", data=form)) for _ in range(2)]
    assert found[0].status_code != 429
    assert found[1].status_code == 429
    assert found[1].headers["retry-after"]


@pytest.mark.env(**ONE)
async def test_ipv6_counts_by_64_and_mapped_ipv4_as_ipv4(app: FastAPI) -> None:
    path = "/auth/refresh"
    assert await statuses(app, path, "2001:db8:1:2::1", 2) == [401, 401]
    assert await statuses(app, path, "2001:db8:1:2:ffff::9", 1) == [429]
    assert await statuses(app, path, "2001:db8:1:3::1", 1) == [401]
    assert await statuses(app, path, "9.9.9.9", 2) == [401, 401]
    assert await statuses(app, path, "::ffff:9.9.9.9", 1) == [429]


@pytest.mark.env(**(ONE | {"RATE_LIMIT_ENABLED": "false"}))
async def test_switched_off_no_address_is_limited(app: FastAPI) -> None:
    for path in ("/auth/refresh", "/auth/register", "/auth/reset-password"):
        assert 429 not in await statuses(app, path, "8.8.8.8", 5)


@pytest.mark.env(RATE_LIMIT_FORGOT_PASSWORD_ACCOUNT="2/hour")
@pytest.mark.usefixtures("no_welcome_mail")
async def test_mails_to_one_address_are_limited_in_silence_and_always(client: httpx2.AsyncClient, server: Server) -> None:
    user = await api.register(client)
    for email in (user["email"], "stranger@example.com", user["email"].upper()):
        answers = [await client.post("/auth/forgot-password", json={"email": email}) for _ in range(4)]
        assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    async with server.database.read() as db:
        assert await db.scalar(select(func.count()).select_from(Job)) == 4  # two each; the third spelling is the first


async def test_replicas_share_a_limit_through_redis_and_only_so(env: dict[str, str], stack: Stack) -> None:
    async with replica(env | ONE) as one, replica(env | ONE) as two:
        assert await statuses(one, "/auth/refresh", "8.8.8.8", 1) == [401]
        assert await statuses(two, "/auth/refresh", "8.8.8.8", 1) == [401]
        expected = 429 if stack.redis else 401
        assert await statuses(one, "/auth/refresh", "8.8.8.8", 1) == [expected]
        assert await statuses(two, "/auth/refresh", "8.8.8.8", 1) == [expected]


@pytest.mark.asvs("V16.5.2")
async def test_while_redis_is_down_limits_go_on_in_memory(env: dict[str, str], private_redis: RedisServer) -> None:
    async with replica(env | ONE | {"REDIS_URL": private_redis.url()}) as app:
        assert await statuses(app, "/auth/refresh", "8.8.8.8", 3) == [401, 401, 429]
        private_redis.kill()
        assert await statuses(app, "/auth/refresh", "8.8.8.8", 4) == [401, 401, 429, 429]
        assert await statuses(app, "/auth/refresh", "9.9.9.9", 3) == [401, 401, 429]
