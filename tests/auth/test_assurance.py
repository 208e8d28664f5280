"""Levels of assurance: tokens say how well somebody proved who they are, routes and gateways ask for it (RFC 9470)."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.auth import lanes
from app.config import Settings
from app.core import caller as callers
from app.core.assurance import LEVELS, reaches
from app.core.caller import Assurance
from app.core.fastlane import FastLane
from app.core.server import Server
from tests.auth.browsing import sign_in
from tests.auth.holding import TickingClock
from tests.auth.proving import add_assured, prove_row, proved
from tests.auth.scene import claims_of, events, refresh, sid_of
from tests.auth.test_tokens import Forger
from tests.support import api
from tests.support.clock import TravellingClock

ERROR = 'Bearer error="insufficient_user_authentication"'
PATHS = [path for acr in LEVELS for path in (f"/{acr}", f"/{acr}/lately")]


@pytest.fixture
def clock() -> TravellingClock:
    return TickingClock()


async def opened(client: AsyncClient, headers: dict[str, str]) -> list[str]:
    """Which of the routes let in; the others refuse as RFC 9470 says."""
    found = []
    for path in PATHS:
        answer = await client.get(path, headers=headers)
        if answer.status_code == 200:
            found.append(path)
        else:
            assert refused(answer), path
    return found


def refused(answer: Response) -> bool:
    told = answer.headers.get("www-authenticate", "")
    return (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication") and told.startswith(ERROR)


def test_each_level_is_as_good_as_those_before_it_and_what_is_none_as_the_lowest() -> None:
    for place, acr in enumerate(LEVELS):
        assert [wanted for wanted in LEVELS if reaches(acr, wanted)] == list(LEVELS[: place + 1])
    for none in ("", "AAL2", "aal2 ", "aal3", "aal2-phr2", "2"):
        assert [wanted for wanted in LEVELS if reaches(none, wanted)] == ["aal1"]


def test_a_level_that_is_none_is_no_rule() -> None:
    for none in ("", "AAL2", "aal3"):
        with pytest.raises(ValueError, match="wanted one of aal1, aal2, aal2-phr"):
            Assurance(none)


async def test_a_route_opens_for_those_who_proved_that_well(app: FastAPI, client: AsyncClient, server: Server) -> None:
    add_assured(app)
    assert [(await client.get(path)).status_code for path in PATHS] == [401] * len(PATHS)
    assert await opened(client, (await api.new_user(client)).headers) == PATHS[:2]
    assert await opened(client, api.bearer(await proved(server, client, "aal2"))) == PATHS[:4]
    assert await opened(client, api.bearer(await proved(server, client, "aal2-phr", "passkey"))) == PATHS
    assert await opened(client, api.bearer(await proved(server, client, "aal9"))) == PATHS[:2]  # a newer version's


async def test_a_server_that_takes_any_proof_for_any_other_is_found(
    app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    add_assured(app)
    monkeypatch.setattr(callers, "reaches", lambda *_: True)
    assert await opened(client, (await api.new_user(client)).headers) != PATHS[:2]


async def test_the_refusal_says_what_would_do(app: FastAPI, client: AsyncClient, clock: TravellingClock, server: Server) -> None:
    add_assured(app)
    user, well = await api.new_user(client), await proved(server, client)

    async def challenge(path: str, headers: dict[str, str]) -> str:
        answer = await client.get(path, headers=headers)
        assert answer.status_code == 401
        return answer.headers["www-authenticate"]

    assert await challenge("/aal2", user.headers) == f'{ERROR}, acr_values="aal2"'
    assert await challenge("/aal2-phr/lately", user.headers) == f'{ERROR}, acr_values="aal2-phr", max_age=300'
    clock.advance(timedelta(seconds=310))
    assert await challenge("/aal1/lately", user.headers) == f"{ERROR}, max_age=300"
    assert await challenge("/aal2/lately", api.bearer(well)) == f'{ERROR}, acr_values="aal2", max_age=300'
    assert (await client.get("/aal2", headers=api.bearer(well))).status_code == 200


async def test_refreshing_moves_neither_the_moment_nor_the_level(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    add_assured(app)
    tokens = await proved(server, client)
    before = claims_of(tokens["access_token"])
    assert (before["amr"], before["acr"]) == (["pwd", "otp"], "aal2")
    for _ in range(3):
        clock.advance(timedelta(seconds=250))
        tokens = (await refresh(client, tokens)).json()
        after = claims_of(tokens["access_token"])
        assert [after[name] for name in ("amr", "acr", "auth_time")] == [before[name] for name in ("amr", "acr", "auth_time")]
    assert await opened(client, api.bearer(tokens)) == ["/aal1", "/aal2"]


async def test_a_cookie_is_worth_what_its_row_says_at_this_moment(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    add_assured(app)
    browsing = await sign_in(server, client)
    assert await opened(client, browsing.headers) == PATHS[:2]
    await prove_row(server, browsing.pair.session_id, "aal2-phr", "passkey")
    assert await opened(client, browsing.headers) == PATHS
    await prove_row(server, browsing.pair.session_id, "aal1", "pwd")
    clock.advance(timedelta(seconds=310))
    assert await opened(client, browsing.headers) == ["/aal1"]


async def test_a_token_says_what_was_true_when_it_was_made(app: FastAPI, client: AsyncClient, server: Server) -> None:
    """Who holds an older one has not given the proof that came since."""
    add_assured(app)
    user = await api.new_user(client)
    await prove_row(server, sid_of(user.tokens))
    assert await opened(client, user.headers) == PATHS[:2]
    assert await opened(client, api.bearer((await refresh(client, user.tokens)).json())) == PATHS[:4]


@pytest.mark.asvs("V9.2.1")
async def test_a_token_with_another_acr_in_it_is_worth_the_lowest(
    app: FastAPI, client: AsyncClient, server: Server, settings: Settings
) -> None:
    """Of an older version, which wrote none, of a newer one, or odd: even signed so."""
    add_assured(app)
    forger = Forger(await proved(server, client), settings.SECRET_KEY.get_secret_value())
    assert await opened(client, {"Authorization": f"Bearer {forger.make('access', jti='x')}"}) == PATHS[:4]  # the control
    for odd in (..., None, "", "aal3", "AAL2", 2, True, ["aal2"], {"aal2": 1}, 10**400):
        token = forger.make("access", acr=odd)
        assert await opened(client, {"Authorization": f"Bearer {token}"}) == PATHS[:2], odd


async def verify(client: AsyncClient, query: str, headers: dict[str, str]) -> Response:
    return await client.get(f"/auth/verify?{query}", headers=headers)


async def test_a_gateway_can_ask_for_it(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    plain, well = (await api.new_user(client)).headers, api.bearer(await proved(server, client))
    for query in ("acr=aal2", "acr=aal1&acr=aal2", "role=user&acr=%61al2", "acr=aal2&max_age=300", "a=b&acr=aal2"):
        answer = await verify(client, query, plain)
        assert refused(answer), query
        assert answer.headers["www-authenticate"].startswith(f'{ERROR}, acr_values="aal2"')
        assert not [name for name in answer.headers if name.startswith("x-auth-")]
        passed = await verify(client, query, well)
        assert (passed.status_code, passed.headers["x-auth-acr"]) == (204, "aal2"), query
    for query in ("acr=aal1", "max_age=300", "acr=aal1&max_age=999999999"):
        passed = await verify(client, query, plain)
        assert (passed.status_code, passed.headers["x-auth-acr"]) == (204, "aal1"), query
    for query in ("ACR=aal2", "acr%3Daal2", ""):
        passed = await verify(client, query, plain)
        assert (passed.status_code, "x-auth-acr" in passed.headers) == (204, False), query
    assert refused(await verify(client, "acr=aal2-phr&acr=aal1", well))
    clock.advance(timedelta(seconds=400))
    for query in ("max_age=300", "max_age=500&max_age=300", "acr=aal2&max_age=300", "max_age=0"):
        assert refused(await verify(client, query, well)), query
    assert (await verify(client, "acr=aal2&max_age=500", well)).status_code == 204
    assert await events(server, "access.denied") == []  # asking for more is no offence


async def test_a_gateway_that_asks_for_what_there_is_not_gets_no_yes(client: AsyncClient, server: Server) -> None:
    well = api.bearer(await proved(server, client, "aal2-phr", "passkey"))
    odd = ["acr=", "acr", "acr=aal3", "acr=AAL1", "acr=aal2%00", "acr=aal2&acr=x", "acr=aal1%20aal2", "max_age=", "max_age=-1"]
    odd += ["max_age=1.5", "max_age=1e3", "max_age=%D9%A3", "max_age=300&max_age=x", "max_age=" + "9" * 5000, "max_age=%2B5"]
    for query in odd:
        answer = await verify(client, query, well)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), query
        assert (await verify(client, query, {})).status_code == 401


async def test_the_route_that_documents_verify_asks_as_the_lane(
    app: FastAPI, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, well = (await api.new_user(client)).headers, api.bearer(await proved(server, client))

    async def answers() -> list[tuple[int, str]]:
        asked = [(who, query) for who in (plain, well, {}) for query in ("acr=aal2", "max_age=0", "acr=x", "max_age=60")]
        found = [await verify(client, query, who) for who, query in asked]
        return [(answer.status_code, answer.headers.get("www-authenticate", "")) for answer in found]

    by_lane = await answers()
    monkeypatch.setattr(FastLane, "_lane", lambda *_: None)
    assert await answers() == by_lane
    assert len(set(by_lane)) > 4


async def test_a_server_that_does_not_look_at_acr_is_found(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(lanes, "_assured", lambda *_: [])
    assert (await verify(client, "acr=aal2", (await api.new_user(client)).headers)).status_code == 204
