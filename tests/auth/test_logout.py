"""Logout: by either token, the session is dead everywhere when the answer leaves, and nobody else's is (promise P2)."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from tests.auth.scene import (
    SOME_CREDENTIAL,
    assert_dead,
    claims_of,
    events,
    refresh,
    replica,
    session_row,
    sid_of,
    status_of,
    two_clients,
)
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.stacks import Stack

ENDED = "session.ended"
BODIES: dict[str, dict[str, Any]] = {
    "/auth/change-password": {"current_password": api.PASSWORD, "new_password": "quite another 1!"},
    "/users/{user_id}/role": {"role": "admin"},
    "/users/{user_id}/status": {"active": False},
    "/auth/mfa/totp/confirm": {"code": "123456"},
    "/auth/passkeys": {"credential": SOME_CREDENTIAL},
}


def signed_in_routes(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Method, path and a good body of every operation that wants a token, out of the API's own description."""
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            if operation.get("security") and path != "/auth/logout":
                yield method.upper(), re.sub(r"{\w+_id}", str(uuid.uuid4()), path), BODIES.get(path)


async def statuses(app: FastAPI, client: AsyncClient, headers: dict[str, str]) -> dict[str, int]:
    return {
        f"{method} {path}": (await client.request(method, path, headers=headers, json=body)).status_code
        for method, path, body in signed_in_routes(app)
    }


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1")
async def test_logging_out_by_access_token_kills_both_tokens(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    elsewhere = await api.login(client, user.username)
    out = await client.post("/auth/logout", headers=user.headers)
    assert (out.status_code, out.content) == (204, b"")
    await assert_dead(client, user.tokens)
    assert await status_of(client, elsewhere) == 200
    row = await session_row(server, sid_of(user.tokens))
    assert row.end_reason == "logout"
    assert row.ended_at is not None
    (event,) = await events(server, ENDED)
    assert (str(event.actor_id), str(event.subject_id), event.session_id) == (user.id, user.id, row.id)
    assert event.data == {"reason": "logout"}


async def test_logging_out_by_refresh_token_kills_both_tokens(client: AsyncClient) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/logout", json={"refresh_token": user.tokens["refresh_token"]})).status_code == 204
    await assert_dead(client, user.tokens)


async def test_a_spent_refresh_token_still_logs_its_session_out(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    fresh = (await refresh(client, user.tokens)).json()
    assert (await client.post("/auth/logout", json={"refresh_token": user.tokens["refresh_token"]})).status_code == 204
    await assert_dead(client, fresh)
    assert (await session_row(server, sid_of(fresh))).end_reason == "logout"


async def test_all_pairs_of_a_session_die_with_it(client: AsyncClient) -> None:
    user = await api.new_user(client)
    fresh = (await refresh(client, user.tokens)).json()
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    for pair in (user.tokens, fresh):
        await assert_dead(client, pair)


@pytest.mark.parametrize("kind", ["expired", "garbage", "not a token at all", "a refresh token", "empty"])
async def test_a_bad_access_token_does_not_bar_a_good_refresh_token(
    client: AsyncClient, clock: TravellingClock, kind: str
) -> None:
    user = await api.new_user(client)
    if kind == "expired":
        clock.advance(seconds=16 * 60)
    bad = {
        "expired": user.tokens["access_token"],
        "garbage": "eyJhbGciOiJub25lIn0.e30.AAAA",
        "not a token at all": "x" * 5000,
        "a refresh token": user.tokens["refresh_token"],
        "empty": "",
    }[kind]
    out = await client.post(
        "/auth/logout", headers={"Authorization": f"Bearer {bad}"}, json={"refresh_token": user.tokens["refresh_token"]}
    )
    assert out.status_code == 204, out.text
    await assert_dead(client, user.tokens)


async def test_a_bad_refresh_token_does_not_bar_a_good_access_token(client: AsyncClient) -> None:
    user = await api.new_user(client)
    out = await client.post("/auth/logout", headers=user.headers, json={"refresh_token": "garbage"})
    assert out.status_code == 204, out.text
    await assert_dead(client, user.tokens)


@pytest.mark.asvs("V2.2.3")
async def test_two_good_tokens_of_different_sessions_end_both(client: AsyncClient, server: Server) -> None:
    one, two, bystander = [await api.new_user(client) for _ in range(3)]
    out = await client.post("/auth/logout", headers=one.headers, json={"refresh_token": two.tokens["refresh_token"]})
    assert out.status_code == 204
    for user in (one, two):
        await assert_dead(client, user.tokens)
        assert len(await events(server, ENDED, subject_id=uuid.UUID(user.id))) == 1
    assert await status_of(client, bystander.tokens) == 200


@pytest.mark.parametrize("body", [None, {}, {"refresh_token": None}])
async def test_logging_out_without_credentials_is_refused(client: AsyncClient, body: dict[str, Any] | None) -> None:
    out = await client.post("/auth/logout", json=body) if body is not None else await client.post("/auth/logout")
    assert (out.status_code, out.json()["code"]) == (401, "unauthenticated")
    assert out.headers["www-authenticate"] == "Bearer"


async def test_logging_out_with_nothing_but_bad_tokens_is_refused(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    clock.advance(seconds=31 * 86400)
    for token in (user.tokens["refresh_token"], "garbage"):
        out = await client.post("/auth/logout", headers=user.headers, json={"refresh_token": token})
        assert (out.status_code, out.json()["code"]) == (401, "token_invalid")


async def test_logging_out_twice_is_refused_and_recorded_once(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    body = {"refresh_token": user.tokens["refresh_token"]}
    assert (await client.post("/auth/logout", headers=user.headers, json=body)).status_code == 204
    ended_at = (await session_row(server, sid_of(user.tokens))).ended_at
    for answer in (await client.post("/auth/logout", headers=user.headers), await client.post("/auth/logout", json=body)):
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    assert (await session_row(server, sid_of(user.tokens))).ended_at == ended_at
    assert len(await events(server, ENDED)) == 1


async def test_one_good_token_is_enough_beside_one_of_an_ended_session(client: AsyncClient) -> None:
    user = await api.new_user(client)
    second = await api.login(client, user.username)
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    out = await client.post("/auth/logout", headers=user.headers, json={"refresh_token": second["refresh_token"]})
    assert out.status_code == 204
    await assert_dead(client, second)


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1", "V7.2.1")
async def test_every_endpoint_refuses_a_revoked_token(app: FastAPI, client: AsyncClient) -> None:
    admin = await api.new_admin(app, client)
    await api.new_admin(app, client)
    walked = await statuses(app, client, {})
    assert len(walked) >= 10
    assert {"GET /auth/me", "GET /users/", "POST /auth/logout-all", "POST /auth/change-password"} <= walked.keys()
    assert set(walked.values()) == {401}
    assert (await client.post("/auth/logout", headers=admin.headers)).status_code == 204
    refused = await statuses(app, client, admin.headers)
    assert set(refused.values()) == {401}, refused


@pytest.mark.asvs("V9.1.1", "V7.2.1")
async def test_every_endpoint_refuses_forged_and_foreign_tokens(app: FastAPI, client: AsyncClient) -> None:
    admin = await api.new_admin(app, client)
    access = admin.tokens["access_token"]
    head, body, mac = access.split(".")
    for bad in (
        admin.tokens["refresh_token"],
        f"{head}.{body}.",
        f"{head}.{body}.{'B' if mac[0] == 'A' else 'A'}{mac[1:]}",  # its last character has bits that mean nothing
        f"{head}.{body[:-4]}AAAA.{mac}",
        "x",
    ):
        refused = await statuses(app, client, {"Authorization": f"Bearer {bad}"})
        assert set(refused.values()) == {401}, refused
    for scheme in ("Basic", "Token", ""):
        refused = await statuses(app, client, {"Authorization": f"{scheme} {access}".strip()})
        assert set(refused.values()) == {401}, refused
    assert await status_of(client, admin.tokens) == 200


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1")
async def test_a_logout_on_one_replica_holds_on_the_other_at_once_and_after_a_restart(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    async with two_clients(app, env, clock) as clients:
        for n in range(10):
            tokens = await api.login(clients[n % 2], user.username)
            assert await status_of(clients[1 - n % 2], tokens) == 200
            assert (await clients[n % 2].post("/auth/logout", headers=api.bearer(tokens))).status_code == 204
            await assert_dead(clients[1 - n % 2], tokens)
            await assert_dead(clients[n % 2], tokens)
        assert await status_of(clients[1], user.tokens) == 200
    async with replica(env, clock) as restarted, client_of(restarted) as later:
        await assert_dead(later, tokens)
        assert await status_of(later, user.tokens) == 200


@pytest.mark.promise("P2")
async def test_logging_out_everywhere_ends_every_session_of_mine_alone(client: AsyncClient, server: Server) -> None:
    user, other = await api.new_user(client), await api.new_user(client)
    mine = [user.tokens, await api.login(client, user.username), await api.login(client, user.email)]
    assert (await client.post("/auth/logout-all", headers=api.bearer(mine[1]))).status_code == 204
    for tokens in mine:
        await assert_dead(client, tokens)
        assert (await session_row(server, sid_of(tokens))).end_reason == "logout_all"
    assert await status_of(client, other.tokens) == 200
    (event,) = await events(server, ENDED)
    assert (str(event.subject_id), event.data["reason"]) == (user.id, "logout_all")
    assert (await client.post("/auth/logout-all", headers=user.headers)).status_code == 401
    assert await status_of(client, await api.login(client, user.username)) == 200


async def test_logging_out_spares_the_users_other_sessions(client: AsyncClient) -> None:
    user = await api.new_user(client)
    others = [await api.login(client, user.username) for _ in range(2)]
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    assert [await status_of(client, tokens) for tokens in others] == [200, 200]
    assert (await refresh(client, others[0])).status_code == 200


@pytest.mark.asvs("V7.2.2")
async def test_each_login_is_a_session_of_its_own(client: AsyncClient) -> None:
    user = await api.new_user(client)
    logins = [user.tokens, *[await api.login(client, user.username) for _ in range(3)]]
    assert len({sid_of(tokens) for tokens in logins}) == 4
    for name in ("access_token", "refresh_token"):
        assert len({claims_of(tokens[name])["jti"] for tokens in logins}) == 4


async def test_the_blocklist_is_in_use_where_redis_is(server: Server, stack: Stack) -> None:
    """Without Redis everything above holds all the same: the row decides."""
    from app.auth.blocklist import session_key
    from app.auth.deps import AuthKit

    assert (server.kit(AuthKit).blocklist.refuses((session_key(uuid.uuid4()),)) is not None) is stack.redis
    assert (server.refusals is not None) is stack.redis
