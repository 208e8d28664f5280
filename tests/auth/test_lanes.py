"""What is answered before routing: the same as by its route, for every kind of request, and nothing that was not asked for."""

import asyncio
import dataclasses
import re
import uuid
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.auth.lanes import ACTOR, ASSURED, IDENTITY
from app.core.errors import Unavailable
from app.core.fastlane import FastLane
from app.core.ports import Account
from app.core.server import Server
from app.users.schemas import UserOut
from tests.auth.scene import claims_of, end_in_database, events, sid_of
from tests.support import api
from tests.support.clock import TravellingClock

ORIGIN = "https://app.example.com"
OF_THE_REQUEST = {"x-request-id", "date"}
HOSTILE = [
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer  {token}",
    "Bearer {token} ",
    "Bearer\t{token}",
    "bEaReR {token}",
    "Bearer {token}x",
    "Bearer x{token}",
    "Bearer {token}\u00e9",
    "Bearer {token},Bearer {token}",
    "Basic {token}",
    "{token}",
    "Bearer " + "a" * 5000,
    "Bearer a.b.c",
]


def shown(answer: Response) -> tuple[int, dict[str, str], bytes]:
    """All of an answer but what names the request."""
    return answer.status_code, {k: v for k, v in answer.headers.items() if k not in OF_THE_REQUEST}, answer.content


def identity(user: api.User, role: str = "user") -> dict[str, str]:
    return {
        "x-auth-user": user.id,
        "x-auth-username": user.username,
        "x-auth-roles": role,
        "x-auth-session": str(sid_of(user.tokens)),
    }


def identity_in(answer: Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("x-auth-")}


def test_the_lane_shows_the_fields_of_the_route() -> None:
    """The lane writes the account without its model; a new field of one must be one of the other."""
    assert [field.name for field in dataclasses.fields(Account)] == list(UserOut.model_fields)


async def test_an_answer_leaves_nothing_in_the_next_and_says_nothing_twice(client: AsyncClient) -> None:
    """What is made of a row is kept: whoever adds to an answer must not add to that."""
    user = await api.new_user(client)
    first = {path: shown(await client.get(path, headers=user.headers)) for path in ("/auth/me", "/auth/verify")}
    others = ("/auth/verify/envoy/x", "/auth/verify/x", "/auth/verify?acr=aal1&max_age=600", "/auth/me/", "/auth/verify/envoy/")
    for path in others:
        asked = user.headers | {"Origin": ORIGIN} if path.endswith("/") else user.headers
        assert (await client.get(path, headers=asked)).status_code in {200, 204}, path
    for path, before in first.items():
        answer = await client.get(path, headers=user.headers)
        assert shown(answer) == before
        names = [name.lower() for name, _ in answer.headers.raw]
        assert len(names) == len(set(names)), path


@pytest.mark.asvs("V15.3.1")
@pytest.mark.env(CORS_ORIGINS=ORIGIN)
async def test_me_is_the_same_before_routing_and_by_its_route(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for template in ["Bearer {token}", *HOSTILE]:
        headers = [(b"Authorization", template.format(token=user.tokens["access_token"]).encode("latin-1"))]
        by_lane, by_route = await client.get("/auth/me", headers=headers), await client.get("/auth/me/", headers=headers)
        assert shown(by_lane) == shown(by_route), template
        assert by_lane.headers["vary"] == "Origin"
    for origin in (ORIGIN, "https://elsewhere.example.com", "null"):
        asked = {**user.headers, "Origin": origin}
        by_lane, by_route = await client.get("/auth/me", headers=asked), await client.get("/auth/me/", headers=asked)
        assert shown(by_lane) == shown(by_route), origin
        assert by_lane.status_code == 200
        assert (by_lane.headers.get("access-control-allow-origin") == ORIGIN) is (origin == ORIGIN)


async def test_the_first_authorization_header_counts_in_both_places(client: AsyncClient) -> None:
    one, other = await api.new_user(client), await api.new_user(client)
    twice = [("Authorization", one.headers["Authorization"]), ("Authorization", other.headers["Authorization"])]
    for path in ("/auth/me", "/auth/me/"):
        assert (await client.get(path, headers=twice)).json()["id"] == one.id
    assert identity_in(await client.get("/auth/verify", headers=twice)) == identity(one)


async def test_a_body_with_a_get_changes_nothing(client: AsyncClient) -> None:
    user = await api.new_user(client)
    answer = await client.request("GET", "/auth/me", headers=user.headers, content=b"x" * 100_000)
    assert (answer.status_code, answer.json()["id"]) == (200, user.id)


@pytest.mark.asvs("V8.3.1")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"])
async def test_verify_takes_any_method_and_any_path_below(client: AsyncClient, method: str) -> None:
    user = await api.new_user(client)
    for path in ("/auth/verify", "/auth/verify/", "/auth/verify/a/b", "/auth/verify//..//users", "/auth/verify/%2e%2e/me"):
        answer = await client.request(method, path, headers=user.headers)
        assert (answer.status_code, answer.content) == (204, b""), path
        assert identity_in(answer) == identity(user)
        assert answer.headers["cache-control"] == "no-store"
        refused = await client.request(method, path)
        assert (refused.status_code, identity_in(refused)) == (401, {})
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.headers["cache-control"] == "no-store"


async def test_envoy_gets_200_for_a_yes_and_nothing_else_changes(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    for path in ("/auth/verify/envoy", "/auth/verify/envoy/app/x"):
        answer = await client.post(path, headers=user.headers)
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
        assert identity_in(answer) == identity(user)
        assert (await client.post(path)).status_code == 401
        assert (await client.post(f"{path}?role=admin", headers=user.headers)).status_code == 403
    assert (await client.post("/auth/verify/envoyx", headers=user.headers)).status_code == 204


async def test_what_only_begins_like_verify_is_something_else(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for path in ("/auth/verifyx", "/auth/verify-email-not", "/auth/Verify", "/AUTH/VERIFY", "//auth/verify", "/x/auth/verify"):
        assert (await client.get(path, headers=user.headers)).status_code == 404, path


@pytest.mark.asvs("V8.3.1")
@pytest.mark.env(CORS_ORIGINS=ORIGIN)
async def test_a_preflight_passes_no_gateway(client: AsyncClient) -> None:
    """Envoy asks with the client's own method and headers: the 200 that CORS gives to a preflight would open the door."""
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    assert (await client.options("/auth/me", headers=preflight)).status_code == 200  # the control: CORS is on
    refused = await client.options("/auth/verify", headers=preflight)
    assert refused.status_code == 401
    assert (await client.options("/auth/verify/app", headers=preflight)).status_code == 401


@pytest.mark.asvs("V8.2.1", "V16.3.2")
async def test_verify_wants_every_role_that_is_named(app: FastAPI, client: AsyncClient, server: Server) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)

    async def status(who: api.User, query: str) -> int:
        return (await client.get(f"/auth/verify?{query}", headers=who.headers)).status_code

    for query in ("role=admin", "role=%61dmin", "a=b&role=admin", "role=admin&role=admin"):
        assert (await status(admin, query), await status(user, query)) == (204, 403), query
    for query in ("role=", "role", "role=nobody", "role=admin&role=user", "role=user&role=admin", "role=admin%00", "role=ADMIN"):
        assert (await status(admin, query), await status(user, query)) == (403, 403), query
    for query in ("", "ROLE=x", "roles=admin", "page=2", "%ff=%fe", "&&&", "role%3Dadmin"):
        assert (await status(admin, query), await status(user, query)) == (204, 204), query
    answer = await client.get("/auth/verify?role=admin", headers=user.headers)
    assert (answer.json()["code"], identity_in(answer)) == ("forbidden", {})
    assert answer.headers["content-type"] == "application/problem+json"
    denied = await events(server, "access.denied", actor_id=uuid.UUID(user.id))
    assert len(denied) == 12
    assert identity_in(await client.get("/auth/verify", headers=admin.headers)) == identity(admin, "admin")


async def test_a_clients_own_headers_are_nobodys_identity(client: AsyncClient) -> None:
    forged = {"X-Auth-User": str(uuid.uuid4()), "X-Auth-Roles": "admin", "X-Auth-Username": "root", "X-Auth-Session": "x"}
    refused = await client.get("/auth/verify", headers=forged)
    assert (refused.status_code, identity_in(refused)) == (401, {})
    user = await api.new_user(client)
    assert identity_in(await client.get("/auth/verify", headers={**forged, **user.headers})) == identity(user)


async def test_the_route_that_documents_verify_answers_as_the_lane(
    app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)
    documented = app.openapi()["paths"]["/auth/verify"]["get"]["responses"]
    assert set(documented["204"]["headers"]) == {*IDENTITY, ASSURED, ACTOR}
    assert {"401", "403", "503"} <= documented.keys()

    async def answers() -> list[tuple[int, dict[str, str]]]:
        asked = [(user, ""), (admin, "?role=admin"), (user, "?role=admin"), (user, "?role=user"), (None, "")]
        found = [await client.get(f"/auth/verify{query}", headers=who.headers if who else {}) for who, query in asked]
        return [(answer.status_code, identity_in(answer)) for answer in found]

    by_lane = await answers()
    monkeypatch.setattr(FastLane, "_lane", lambda *_: None)
    assert await answers() == by_lane
    assert [status for status, _ in by_lane] == [204, 204, 403, 204, 401]


@pytest.mark.promise("P5", "P6")
@pytest.mark.asvs("V16.5.2", "V16.5.3")
async def test_what_goes_wrong_in_a_lane_is_answered(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await api.new_user(client)

    failures: list[Exception] = []

    async def fail(*_: object) -> None:
        raise failures[-1]

    monkeypatch.setattr(server.sessions, "find_live", fail)
    for failure, expected in ((Unavailable(), (503, "unavailable")), (RuntimeError("secret words"), (500, "internal_error"))):
        failures.append(failure)
        for path in ("/auth/me", "/auth/verify"):
            answer = await client.get(path, headers=user.headers)
            assert (answer.status_code, answer.json()["code"]) == expected
            assert "secret" not in answer.text


async def test_while_the_server_has_a_problem_no_lane_answers(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    server.problem = "not migrated"
    for path in ("/auth/me", "/auth/verify", "/auth/verify/x"):
        assert (await client.get(path, headers=user.headers)).status_code == 503
        preflight = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
        assert (await client.options(path, headers=preflight)).status_code != 200 or not path.startswith("/auth/verify")
    server.problem = None
    assert (await client.get("/auth/verify", headers=user.headers)).status_code == 204


@pytest.mark.promise("P2")
@pytest.mark.asvs("V7.4.1", "V7.2.1")
async def test_a_signature_that_is_remembered_opens_nothing_by_itself(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    """The row is asked and the expiry compared at each use, however often the token was seen."""
    user, ended = await api.new_user(client), await api.new_user(client)
    for _ in range(3):
        for who in (user, ended):
            assert (await client.get("/auth/verify", headers=who.headers)).status_code == 204
    await end_in_database(server, sid_of(ended.tokens), clock())
    assert (await client.get("/auth/verify", headers=ended.headers)).status_code == 401
    clock.advance(seconds=901)
    assert (await client.get("/auth/verify", headers=user.headers)).status_code == 401


@pytest.mark.promise("P2")
async def test_logout_with_requests_in_flight_is_the_end_of_them(client: AsyncClient) -> None:
    """Those asked after the logout was answered are refused, though their questions share statements with others'."""
    others = [await api.new_user(client) for _ in range(4)]
    for path in ("/auth/me", "/auth/verify"):
        gone = await api.new_user(client)

        async def ask(who: api.User, path: str = path) -> int:
            return (await client.get(path, headers=who.headers)).status_code

        around = [asyncio.create_task(ask(who)) for who in (*others, gone, *others)]
        assert (await client.post("/auth/logout", headers=gone.headers)).status_code == 204
        after = await asyncio.gather(*(ask(who) for who in (*others, gone, *others)))
        assert after[4] == 401
        assert set(after[:4] + after[5:]) == {200 if path == "/auth/me" else 204}
        assert set(await asyncio.gather(*around)) <= {200, 204, 401}


LOGINS: list[tuple[str, bytes]] = [
    ("application/json", b'{"username": "NAME", "password": "PASSWORD"}'),
    ("application/json; charset=utf-8", b'{"email": "NAME@example.com", "password": "PASSWORD"}'),
    ("application/x-www-form-urlencoded", b"username=NAME&password=PASSWORD"),
    ("application/json", b'{"username": "NAME", "password": "wrong"}'),
    ("application/json", b'{"username": "nobody", "password": "PASSWORD"}'),
    ("application/json", b'{"username": "NAME", "password": "PASSWORD", "admin": true}'),
    ("application/json", b'{"username": "NAME"}'),
    ("application/json", b"{"),
    ("application/json", b""),
    ("application/json", b"\xff\xfe"),
    ("application/json", b'{"password": "' + b"x" * 70_000 + b'"}'),
    ("application/x-www-form-urlencoded", b"username=NAME&password=%zz&device=%00"),
    ("text/plain", b'{"username": "NAME", "password": "PASSWORD"}'),
    ("", b'{"username": "NAME", "password": "PASSWORD"}'),
    ("application/json", b'{"username": "NAME", "password": "PASSWORD", "transport": "cookie"}'),
    ("application/json", b'{"username": "NAME", "password": "PASSWORD", "transport": "letter"}'),
    ("application/x-www-form-urlencoded", b"username=NAME&password=PASSWORD&transport=cookie"),
]
REFRESHES: list[tuple[str, bytes]] = [
    ("application/json", b'{"refresh_token": "TOKEN"}'),
    ("application/json; charset=utf-8", b'{"refresh_token": "TOKEN"}'),
    ("application/json", b' {"refresh_token" : "TOKEN" } '),
    ("application/json", b'{"refresh_token": "TOKENx"}'),
    ("application/json", b'{"refresh_token": "a.b.c"}'),
    ("application/json", b'{"refresh_token": 5}'),
    ("application/json", b'{"refresh_token": "TOKEN", "more": 1}'),
    ("application/json", b'{"refresh_token": "' + b"a" * 9000 + b'"}'),
    ("application/json", b"[]"),
    ("application/json", b""),
    ("application/json", b"x" * 70_000),
    ("text/plain", b'{"refresh_token": "TOKEN"}'),
    ("application/json", b'{"refresh_token": "TOKEN", "transport": "cookie"}'),
    ("application/json", b'{"transport": "cookie"}'),
    ("application/json", b'{"refresh_token": null}'),
]


def form_of(answer: Response) -> tuple[int, dict[str, str], object]:
    """What an answer looks like: secrets and their lengths aside."""
    status, headers, _ = shown(answer)
    headers = {
        name: re.sub(r"=[A-Za-z0-9_.-]{43,};|Max-Age=\d+", "=…;", value)
        for name, value in headers.items()
        if name != "content-length"
    }
    body = answer.json()
    secret = {"access_token", "refresh_token", "device"}
    return status, headers, {name: "…" if name in secret else value for name, value in body.items()}


async def in_both_ways(monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Awaitable[Response]]) -> tuple[Response, Response]:
    """The answer of the lane, and of the route."""
    by_lane = await ask()
    with monkeypatch.context() as patch:
        patch.setattr(FastLane, "_lane", lambda *_: None)
        return by_lane, await ask()


@pytest.mark.asvs("V2.2.1", "V6.3.8")
@pytest.mark.parametrize("number", range(len(LOGINS)))
async def test_login_is_the_same_before_routing_and_by_its_route(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    account = await api.register(client)
    media_type, body = LOGINS[number]
    body = body.replace(b"NAME", account["username"].encode()).replace(b"PASSWORD", api.PASSWORD.encode())

    async def ask() -> Response:
        client.cookies.clear()
        return await client.post("/auth/login", content=body, headers={"Content-Type": media_type} if media_type else {})

    by_lane, by_route = await in_both_ways(monkeypatch, ask)
    assert form_of(by_lane) == form_of(by_route)
    assert by_lane.status_code == {0: 200, 1: 200, 2: 200, 3: 401, 4: 401, 10: 413, 12: 415, 13: 415}.get(
        number, by_route.status_code
    )


@pytest.mark.parametrize("number", range(len(REFRESHES)))
async def test_refresh_is_the_same_before_routing_and_by_its_route(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    media_type, body = REFRESHES[number]

    async def ask() -> Response:
        user = await api.new_user(client)
        client.cookies.clear()
        sent = body.replace(b"TOKEN", user.tokens["refresh_token"].encode())
        return await client.post("/auth/refresh", content=sent, headers={"Content-Type": media_type})

    by_lane, by_route = await in_both_ways(monkeypatch, ask)
    assert form_of(by_lane) == form_of(by_route)
    assert by_lane.status_code == {0: 200, 1: 200, 2: 200, 3: 401, 4: 401, 10: 413, 11: 415, 12: 200, 13: 401}.get(number, 422)


@pytest.mark.asvs("V2.4.1", "V6.3.1")
@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_LOGIN="4/minute", RATE_LIMIT_REFRESH="4/minute")
async def test_a_request_is_counted_once_whichever_way_it_goes(client: AsyncClient) -> None:
    """Refresh by a spent token goes through its lane and its route."""
    user = await api.new_user(client)
    spent = {"refresh_token": user.tokens["refresh_token"]}
    answers = [await client.post("/auth/refresh", json=spent) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    name = {"username": user.username, "password": user.password}
    logins = [await client.post("/auth/login", json=name) for _ in range(4)]
    assert [answer.status_code for answer in logins] == [200, 200, 200, 429]  # one more was the user's first


async def test_refresh_of_many_sessions_at_once_gives_each_its_own(client: AsyncClient) -> None:
    users = [await api.new_user(client) for _ in range(6)]
    tokens = [user.tokens["refresh_token"] for user in users]
    answers = await asyncio.gather(*(client.post("/auth/refresh", json={"refresh_token": token}) for token in tokens * 2))
    assert [answer.status_code for answer in answers] == [200] * 12
    for user, first, again in zip(users, answers[:6], answers[6:], strict=True):
        assert claims_of(first.json()["refresh_token"])["sub"] == user.id
        assert first.json()["refresh_token"] == again.json()["refresh_token"]  # one successor, however it was asked for
        assert claims_of(first.json()["refresh_token"])["gen"] == 1
