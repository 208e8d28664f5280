"""Every refusal has one shape, problem+json; a crash shows its request id and nothing else, in the answer and in the log."""

import io
import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response

from app.core.caller import PUBLIC
from app.core.errors import Unavailable
from app.core.server import Server
from tests.hostile.checks import MEDIA_TYPE, shape_of
from tests.hostile.surface import CANARY
from tests.support import api
from tests.support.apps import client_of

pytestmark = pytest.mark.env(LOG_LEVEL="DEBUG")


def check(answer: Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert shape_of(answer.json(), status) is None, answer.text
    assert answer.json()["code"] == code
    assert answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.asvs("V4.1.1", "V16.5.1")
@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_REFRESH="1/minute")
async def test_every_kind_of_refusal_is_a_problem(app: FastAPI, client: AsyncClient, server: Server) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)
    check(await client.get("/auth/me"), 401, "unauthenticated")
    check(await client.get("/auth/me", headers={"Authorization": "Bearer x"}), 401, "token_invalid")
    check(await client.post("/auth/login", json={"username": "nobody", "password": "x"}), 401, "login_failed")
    check(await client.get("/users/", headers=user.headers), 403, "forbidden")
    check(await client.get("/nowhere"), 404, "not_found")
    check(await client.get(f"/users/{user.id[::-1]}", headers=admin.headers), 422, "validation_error")
    check(await client.get("/users/01234567-89ab-7def-8123-456789abcdef", headers=admin.headers), 404, "not_found")
    check(await client.get("/auth/login"), 405, "method_not_allowed")
    again = {"username": user.username, "email": "other@example.com", "password": api.PASSWORD}
    check(await client.post("/auth/register", json=again), 409, "username_taken")
    check(await client.delete(f"/users/{admin.id}", headers=admin.headers), 409, "last_admin")
    check(
        await client.post("/auth/register", content=b"x" * 70_000, headers={"content-type": "application/json"}),
        413,
        "content_too_large",
    )
    check(
        await client.post("/auth/register", content=b"x", headers={"content-type": "text/plain"}), 415, "unsupported_media_type"
    )
    check(await client.post("/auth/register", json={}), 422, "validation_error")
    weak = {"username": "fresh", "email": "fresh@example.com", "password": "short"}
    check(await client.post("/auth/register", json=weak), 422, "password_rejected")
    check(await client.post("/auth/reset-password", json={"token": "x", "new_password": api.PASSWORD}), 400, "ticket_invalid")
    await client.post("/auth/refresh", json={"refresh_token": "x"})
    check(await client.post("/auth/refresh", json={"refresh_token": "x"}), 429, "too_many_requests")
    server.problem = "not ready"
    unready = await client.get("/auth/me")
    check(unready, 503, "unavailable")
    assert int(unready.headers["retry-after"]) >= 1


async def test_a_405_says_what_is_allowed(client: AsyncClient) -> None:
    answer = await client.delete("/auth/login")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


SECRET_MESSAGE = f"password {CANARY} of {CANARY}@example.com"


class Odd(Exception):
    """An error whose message and repr quote what was sent."""


def crashes() -> Iterator[Exception]:
    yield from (Odd(SECRET_MESSAGE), ValueError(SECRET_MESSAGE), KeyError(SECRET_MESSAGE), RecursionError(SECRET_MESSAGE))
    yield from (ExceptionGroup(SECRET_MESSAGE, [Odd(SECRET_MESSAGE)]), UnicodeEncodeError("utf-8", SECRET_MESSAGE, 0, 1, CANARY))


@pytest.mark.asvs("V13.4.2", "V16.3.4", "V16.5.1")
async def test_a_crash_shows_its_request_id_and_nothing_else(app: FastAPI, log: io.StringIO) -> None:
    errors = list(crashes())

    async def crash(number: int, token: str = "") -> None:
        secret = SECRET_MESSAGE + token  # in the frame, too
        raise errors[number] from LookupError(secret)

    app.add_api_route("/test/crash", crash, dependencies=[PUBLIC])
    async with client_of(app) as client:
        for number, error in enumerate(errors):
            answer = await client.get(f"/test/crash?number={number}&token={CANARY}")
            check(answer, 500, "internal_error")
            assert answer.headers["x-request-id"] in answer.json()["detail"]
            assert CANARY not in answer.text
            assert type(error).__name__ not in answer.text
            assert "Traceback" not in answer.text
            assert answer.headers["x-content-type-options"] == "nosniff"
            line = next(
                line for line in log.getvalue().splitlines() if answer.headers["x-request-id"] in line and "crashed" in line
            )
            assert type(error).__name__ in line
    assert CANARY not in log.getvalue()
    assert "error" in log.getvalue()


@pytest.mark.env(ENVIRONMENT="production", BCRYPT_ROUNDS="10", PUBLIC_URL="https://auth.example.com")
async def test_a_crash_in_production_is_an_error_line_with_its_place(app: FastAPI, log: io.StringIO) -> None:
    async def crash() -> None:
        raise Odd(SECRET_MESSAGE)

    app.add_api_route("/test/crash", crash, dependencies=[PUBLIC])
    async with client_of(app) as client:
        answer = await client.get("/test/crash")
    check(answer, 500, "internal_error")
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    (entry,) = [entry for entry in entries if entry["level"] == "error"]
    assert entry["request_id"] == answer.headers["x-request-id"]
    assert entry["error"] == "Odd"
    assert "test_problems.py" in str(entry["at"])
    assert CANARY not in log.getvalue()


async def test_a_crash_after_the_answer_began_says_nothing_more(app: FastAPI, log: io.StringIO) -> None:
    from collections.abc import AsyncIterator

    from starlette.responses import StreamingResponse

    async def crash() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begun"
            raise Odd(SECRET_MESSAGE)

        return StreamingResponse(parts())

    app.add_api_route("/test/stream", crash, dependencies=[PUBLIC])
    async with AsyncClient(
        transport=ASGITransport(app=app, raise_app_exceptions=False), base_url="http://localhost:8000"
    ) as client:
        answer = await client.get("/test/stream")
    assert CANARY not in answer.text
    assert CANARY not in log.getvalue()


@pytest.mark.asvs("V16.5.3")
async def test_an_error_while_a_caller_is_looked_up_lets_nobody_in(
    app: FastAPI, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await api.new_user(client)
    for error, status in ((Odd(CANARY), 500), (Unavailable(), 503)):

        async def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(server.sessions, "find_live", fail)
        answer = await client.get("/auth/me", headers=user.headers)
        assert answer.status_code == status
        assert user.username not in answer.text
        monkeypatch.undo()
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
