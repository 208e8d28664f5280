"""Every field of every JSON route, each with every hostile value: a 4xx problem or an honest 2xx, never a 500, never an echo."""

import io

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from tests.hostile.checks import wrong_with
from tests.hostile.raw import JSON as JSON_HEADER
from tests.hostile.raw import send
from tests.hostile.surface import CANARY, JSON, Operation, hostile_json, operations
from tests.support import api

pytestmark = pytest.mark.env(LOG_LEVEL="DEBUG")

NEVER_GOOD = {"NaN", "Infinity", "-Infinity", "lone surrogate", "trailing surrogate", "surrogate in UTF-8", "NUL", "30 digits"}
NEVER_GOOD |= {"5000 digits", "60,000 brackets", "60,000 open brackets", "10,000 nested objects", "huge string", "raw control"}
NEVER_GOOD |= {"array", "object", "prototype", "empty array", "empty object", "one", "zero", "float", "huge float"}
HOURS = {"one", "zero"}  # which are good ones for `overlap_hours`
EMPTY_WILL_DO = {
    "PATCH /auth/me",  # nothing to change
    "PATCH /users/{user_id}",  # as that
    "PATCH /webhooks/{webhook_id}",  # as that
    "POST /webhooks/{webhook_id}/rotate-secret",
    "POST /auth/mfa/totp",
    "POST /auth/passkeys/options",
    "POST /auth/login/passkey/options",
}


async def bodies(app: FastAPI, client: AsyncClient) -> list[tuple[Operation, str, dict[str, str]]]:
    """Every operation that takes JSON, where to send it, and with what proof of identity."""
    admin, target = await api.new_admin(app, client), await api.register(client)
    hook = {"url": "https://93.184.216.34/", "facts": ["user.registered"]}
    webhook_id = (await client.post("/webhooks", json=hook, headers=admin.headers)).json()["id"]
    found = []
    for operation in operations(app):
        if JSON in operation.content:
            signed_in = operation.signed_in and operation.path != "/auth/logout"  # which would sign the admin out
            url = operation.url(user_id=target["id"], passkey_id=target["id"], webhook_id=webhook_id)
            found.append((operation, url, admin.headers if signed_in else {}))
    return found


def authorization(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", value.encode()) for value in headers.values()]


@pytest.mark.asvs("V1.3.3", "V1.4.2", "V2.2.1", "V2.2.2", "V15.3.5", "V16.2.5", "V16.5.1")
async def test_no_value_in_any_field_makes_a_crash_or_is_shown(app: FastAPI, client: AsyncClient, log: io.StringIO) -> None:
    wrong = []
    tried = 0
    for operation, url, headers in await bodies(app, client):
        for field in operation.fields:
            for name, raw in hostile_json():
                body = operation.body_with(field, raw)
                answer = await send(
                    app, operation.method, url.encode(), headers=[JSON_HEADER, *authorization(headers)], body=body
                )
                tried += 1
                if fault := wrong_with(answer, ok=name not in NEVER_GOOD or (field == "overlap_hours" and name in HOURS)):
                    wrong.append(f"{operation} {field}={name}: {fault}")
    assert tried > 500
    assert wrong == []
    assert CANARY not in log.getvalue().lower()
    assert log.getvalue().count("request") >= tried  # something was logged at all


async def test_the_good_bodies_pass_validation(app: FastAPI, client: AsyncClient) -> None:
    """The control: without the hostile value each body gets as far as the route's own rules."""
    for operation, url, headers in await bodies(app, client):
        answer = await client.request(operation.method, url, json=operation.good_body(), headers=headers)
        nobodys = {404} if operation.in_path == ("passkey_id",) else set()
        assert answer.status_code in {200, 201, 202, 204, 400, 401} | nobodys, f"{operation}: {answer.text}"


@pytest.mark.asvs("V15.3.3")
async def test_no_route_takes_a_field_it_does_not_know(app: FastAPI, client: AsyncClient, log: io.StringIO) -> None:
    strange = [
        "id",
        "role",
        "is_admin",
        "email_verified",
        "created_at",
        "active",
        "disabled_at",
        "__proto__",
        f"{CANARY}-{CANARY}",
        "",
    ]
    for operation, url, headers in await bodies(app, client):
        for name in strange:
            if name in operation.fields:
                continue
            body = operation.good_body() | {name: CANARY}
            answer = await client.request(operation.method, url, json=body, headers=headers)
            assert answer.status_code == 422, f"{operation} {name}: {answer.text}"
            assert CANARY not in answer.text
            (error,) = answer.json()["errors"]
            assert error["code"] == "extra_forbidden"
    assert CANARY not in log.getvalue()


async def test_each_missing_field_is_named(app: FastAPI, client: AsyncClient) -> None:
    for operation, url, headers in await bodies(app, client):
        required = operation.content[JSON].get("required", [])
        answer = await client.request(operation.method, url, json={}, headers=headers)
        if not required:
            assert answer.status_code in ({200} if str(operation) in EMPTY_WILL_DO else {401, 422}), str(operation)
            continue
        assert answer.status_code == 422
        missing = {tuple(error["loc"]) for error in answer.json()["errors"] if error["code"] == "missing"}
        assert missing == {("body", field) for field in required}, str(operation)
