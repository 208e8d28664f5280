"""The fresh proof: for what a forgotten tab must not do, the password within the last ten minutes."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.core.caller import Fresh
from app.core.server import Server
from tests.auth.browsing import SAME, sign_in
from tests.auth.holding import TickingClock
from tests.auth.scene import claims_of, end_in_database, events, refresh, session_row, sid_of
from tests.support import api
from tests.support.clock import TravellingClock

CHALLENGE = 'Bearer error="insufficient_user_authentication", max_age=600'
PATH = "/auth/reauthenticate"


@pytest.fixture
def clock() -> TravellingClock:
    return TickingClock()


def add_fresh(app: FastAPI) -> None:
    async def fresh(caller: Fresh) -> dict[str, str]:
        return {"who": str(caller.user_id)}

    app.add_api_route("/fresh", fresh)


async def prove(client: AsyncClient, headers: dict[str, str], password: str = api.PASSWORD) -> Response:
    return await client.post(PATH, json={"password": password}, headers=headers)


@pytest.mark.asvs("V7.5.1")
async def test_a_proof_is_fresh_for_ten_minutes_and_can_be_given_again(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    add_fresh(app)
    user = await api.new_user(client)
    before = claims_of(user.tokens["access_token"])
    assert (await client.get("/fresh", headers=user.headers)).json() == {"who": user.id}
    clock.advance(timedelta(seconds=590))
    assert (await client.get("/fresh", headers=user.headers)).status_code == 200
    clock.advance(timedelta(seconds=15))
    refused = await client.get("/fresh", headers=user.headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "insufficient_user_authentication")
    assert refused.headers["www-authenticate"] == CHALLENGE
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    proved = await prove(client, user.headers)
    assert proved.status_code == 200
    assert set(proved.json()) == {"access_token", "token_type", "expires_in"}
    assert (proved.json()["token_type"], proved.json()["expires_in"]) == ("bearer", 900)
    assert "set-cookie" not in proved.headers
    after = claims_of(proved.json()["access_token"])
    assert (after["sid"], after["sub"], after["amr"]) == (before["sid"], before["sub"], before["amr"])
    assert after["auth_time"] > before["auth_time"] + 600
    assert (await client.get("/fresh", headers=api.bearer(proved.json()))).status_code == 200
    assert (await client.get("/fresh", headers=user.headers)).status_code == 401  # the older token says what it said
    (event,) = await events(server, "user.reauthenticated")
    assert (str(event.actor_id), event.session_id) == (user.id, sid_of(user.tokens))


async def test_refreshing_is_no_proof(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    add_fresh(app)
    user = await api.new_user(client)
    tokens = user.tokens
    proved_at = claims_of(tokens["access_token"])["auth_time"]
    for _ in range(3):
        clock.advance(timedelta(seconds=250))
        tokens = (await refresh(client, tokens)).json()
        assert claims_of(tokens["access_token"])["auth_time"] == proved_at
    assert (await client.get("/fresh", headers=api.bearer(tokens))).status_code == 401
    renewed = claims_of((await prove(client, api.bearer(tokens))).json()["access_token"])["auth_time"]
    assert renewed > proved_at + 700
    clock.advance(timedelta(seconds=60))
    again = (await refresh(client, tokens)).json()
    assert claims_of(again["access_token"])["auth_time"] == renewed  # of the session, which was proved anew
    assert (await client.get("/fresh", headers=api.bearer(again))).status_code == 200


@pytest.mark.asvs("V7.2.4")
async def test_by_cookie_the_cookie_is_a_new_one_and_the_old_one_dead(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    add_fresh(app)
    browsing = await sign_in(server, client)
    clock.advance(timedelta(seconds=700))
    assert (await client.get("/fresh", headers=browsing.headers)).status_code == 401
    wrong = await prove(client, browsing.own_page, "Wrong-harbour-71-kettle!")
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (400, False)
    assert (await client.get("/auth/me", headers=browsing.headers)).status_code == 200
    proved = await prove(client, browsing.own_page)
    assert proved.status_code == 200
    cookie = proved.cookies["authkeep"]
    client.cookies.clear()
    assert cookie != browsing.cookie
    assert (await client.get("/auth/me", headers=browsing.headers)).status_code == 401
    assert (await client.get("/fresh", headers={"Cookie": f"authkeep={cookie}"})).status_code == 200
    assert claims_of(proved.json()["access_token"])["sid"] == str(browsing.pair.session_id)
    assert (await session_row(server, browsing.pair.session_id)).generation == 0


@pytest.mark.asvs("V7.2.4")
async def test_a_proof_by_token_leaves_no_older_cookie_alive(client: AsyncClient, server: Server) -> None:
    """Whoever holds the cookie of the same session has proved nothing."""
    browsing = await sign_in(server, client)
    proved = await prove(client, browsing.own_page)
    cookie = {"Cookie": f"authkeep={proved.cookies['authkeep']}"}
    client.cookies.clear()
    assert (await client.get("/auth/me", headers=cookie)).status_code == 200
    assert (await prove(client, api.bearer(proved.json()))).status_code == 200
    assert (await client.get("/auth/me", headers=cookie)).status_code == 401


@pytest.mark.promise("P3")
async def test_of_twenty_proofs_by_one_cookie_one_wins(client: AsyncClient, server: Server) -> None:
    browsing = await sign_in(server, client)
    answers = await asyncio.gather(*(prove(client, browsing.own_page) for _ in range(20)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {answer.status_code for answer in answers} <= {200, 401, 429, 503}
    client.cookies.clear()
    alive = [await client.get("/auth/me", headers={"Cookie": f"authkeep={answer.cookies['authkeep']}"}) for answer in won]
    assert [answer.status_code for answer in alive] == [200]
    assert len(await events(server, "user.reauthenticated")) == 1


@pytest.mark.asvs("V6.3.1")
async def test_tries_are_counted_with_those_of_a_change_of_password(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    for _ in range(3):
        refused = await prove(client, user.headers, "wrong")
        assert (refused.status_code, refused.json()["code"]) == (400, "password_wrong")
    change = {"current_password": "wrong", "new_password": "quite another 1!"}
    for _ in range(2):
        assert (await client.post("/auth/change-password", json=change, headers=user.headers)).status_code == 400
    waiting = await prove(client, user.headers)
    assert (waiting.status_code, waiting.json()["code"]) == (429, "too_many_tries")
    assert int(waiting.headers["retry-after"]) >= 1
    assert len(await events(server, "user.reauthentication_failed")) == 3  # the refusals are kept
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    assert await api.login(client, user.username)  # the login's own count is another one


async def test_a_right_proof_starts_the_count_anew(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for _ in range(3):
        assert [(await prove(client, user.headers, "wrong")).status_code for _ in range(4)] == [400] * 4
        assert (await prove(client, user.headers)).status_code == 200


@pytest.mark.promise("P2")
async def test_an_ended_session_is_proved_by_no_password(app: FastAPI, client: AsyncClient, server: Server) -> None:
    user, disabled = await api.new_user(client), await api.new_user(client)
    await end_in_database(server, sid_of(user.tokens), server.clock())
    boss = await api.new_admin(app, client)
    await client.put(f"/users/{disabled.id}/status", json={"active": False}, headers=boss.headers)
    for who in (user, disabled):
        refused = await prove(client, who.headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
    assert await events(server, "user.reauthenticated", subject_id=uuid.UUID(user.id)) == []


@pytest.mark.asvs("V2.2.1")
async def test_odd_input_is_refused(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for body in (
        {},
        {"password": ""},
        {"password": 5},
        {"password": "x" * 2000},
        {"password": "a\0b"},
        {"password": "x", "more": 1},
    ):
        assert (await client.post(PATH, json=body, headers=user.headers)).status_code == 422, body
    assert (
        await client.post(PATH, content=b"password=x", headers={**user.headers, "Content-Type": "text/plain"})
    ).status_code == 415
    assert (await client.post(PATH, json={"password": api.PASSWORD})).status_code == 401
    assert (await client.post(PATH, json={"password": api.PASSWORD}, headers=SAME)).status_code == 401
