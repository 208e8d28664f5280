"""The OpenAPI document names every answer; DOCS decides whether anybody sees it."""

from collections import Counter
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.config import Settings
from app.main import create_app

DOCS_PATHS = ("/docs", "/redoc", "/openapi.json", "/docs/assets/docs.css")
PRODUCTION = {"ENVIRONMENT": "production", "BCRYPT_ROUNDS": "10", "PUBLIC_URL": "https://auth.example.com"}
PROBLEM = "application/problem+json"


@pytest.fixture
def document(settings: Settings) -> dict[str, Any]:
    return create_app(settings).openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{method.upper()} {path}": found for path, methods in document["paths"].items() for method, found in methods.items()}


def test_every_endpoint_is_there(document: dict[str, Any]) -> None:
    promised = """
        POST /auth/register
        POST /auth/verify-email
        POST /auth/verify-email/resend
        POST /auth/me/email
        POST /auth/me/email/confirm
        POST /auth/me/email/undo
        POST /auth/invitations/accept
        POST /users/invitations
        GET /users/invitations
        GET /stats
        DELETE /users/invitations/{invitation_id}
        GET /jobs
        POST /jobs/{job_id}/retry
        DELETE /jobs/{job_id}
        GET /webhooks
        POST /webhooks
        GET /webhooks/{webhook_id}
        PATCH /webhooks/{webhook_id}
        DELETE /webhooks/{webhook_id}
        POST /webhooks/{webhook_id}/rotate-secret
        POST /webhooks/{webhook_id}/test
        GET /webhooks/{webhook_id}/deliveries
        GET /webhooks/{webhook_id}/deliveries/{delivery_id}
        POST /webhooks/{webhook_id}/deliveries/{delivery_id}/replay
        POST /users/bulk
        GET /users/bulk
        GET /users/bulk/{bulk_id}
        POST /users/bulk/{bulk_id}/stop
        POST /users/bulk/{bulk_id}/resume
        POST /auth/login
        POST /auth/login/totp
        POST /auth/login/recovery
        POST /auth/login/passkey/options
        POST /auth/login/passkey
        POST /auth/reauthenticate/passkey/options
        GET /auth/passkeys
        POST /auth/passkeys/options
        POST /auth/passkeys
        PATCH /auth/passkeys/{passkey_id}
        DELETE /auth/passkeys/{passkey_id}
        DELETE /auth/password
        GET /auth/mfa
        POST /auth/mfa/totp
        POST /auth/mfa/totp/confirm
        DELETE /auth/mfa/totp
        POST /auth/mfa/recovery-codes
        DELETE /auth/mfa/remembered-devices
        PUT /users/{user_id}/mfa
        POST /auth/logout
        POST /auth/logout-all
        POST /auth/refresh
        POST /auth/reauthenticate
        GET /auth/me
        PATCH /auth/me
        DELETE /auth/me
        GET /auth/me/export
        GET /auth/verify
        POST /auth/forgot-password
        POST /auth/reset-password
        POST /auth/change-password
        GET /auth/sessions
        DELETE /auth/sessions
        DELETE /auth/sessions/{session_id}
        POST /auth/end-session
        GET /audit/events
        GET /audit/export
        GET /users/
        GET /users/{user_id}
        PUT /users/{user_id}/role
        PUT /users/{user_id}/status
        DELETE /users/{user_id}
        POST /users/
        PATCH /users/{user_id}
        POST /users/{user_id}/verify-email
        POST /users/{user_id}/password-reset
        GET /users/{user_id}/sessions
        DELETE /users/{user_id}/sessions
        DELETE /users/{user_id}/sessions/{session_id}
        GET /users/{user_id}/lockouts
        DELETE /users/{user_id}/lockouts
        GET /lockouts
        POST /users/{user_id}/impersonate
        GET /health/
        GET /health/live
        GET /health/ready
    """
    assert set(operations(document)) == {line.strip() for line in promised.strip().splitlines()}


def test_every_operation_names_the_answers_it_can_give(document: dict[str, Any]) -> None:
    limited = {"register", "login", "refresh", "forgot_password", "reset_password", "change_password", "export_me"}
    limited |= {"verify_email", "resend_verification", "change_email", "confirm_email", "undo_email", "accept_invitation"}
    for name, operation in operations(document).items():
        statuses = set(operation["responses"])
        wanted = set()
        if operation.get("security"):
            wanted.add("401")
        if "/users/" in name:
            wanted.add("403")
        if "{" in name:
            wanted |= {"404", "422"}
        if operation.get("requestBody"):
            wanted |= {"413", "415", "422"}
        if operation["operationId"] in limited:
            wanted.add("429")
        if name != "GET /health/live":
            wanted.add("503")
        assert wanted <= statuses, f"{name} lacks {wanted - statuses}"
        assert any(status.startswith("2") for status in statuses), name


def test_every_refusal_is_described_as_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            if status.startswith("2") or "/health/" in name:
                continue
            assert answer["description"].strip(), (name, status)
            assert list(answer["content"]) == [PROBLEM], (name, status)
            assert answer["content"][PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}, (name, status)
    assert set(document["components"]["schemas"]["Problem"]["properties"]) >= {
        "type",
        "title",
        "status",
        "detail",
        "code",
        "errors",
    }
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_signed_in_operations_and_no_others_ask_for_a_token(document: dict[str, Any]) -> None:
    assert list(document["components"]["securitySchemes"]) == ["Login", "Token"]
    token = document["components"]["securitySchemes"]["Token"]
    assert (token["type"], token["scheme"]) == ("http", "bearer")
    either = [operation["security"] for operation in operations(document).values() if operation.get("security")]
    assert all(security == [{"Login": []}, {"Token": []}] for security in either)
    assert document["components"]["securitySchemes"]["Login"]["flows"]["password"]["tokenUrl"] == "/auth/login"
    open_to_all = {name for name, operation in operations(document).items() if not operation.get("security")}
    public = {"register", "login", "refresh", "forgot-password", "reset-password", "verify-email", "verify-email/resend"}
    public |= {"login/totp", "login/recovery", "login/passkey", "login/passkey/options"}
    public |= {"me/email/confirm", "me/email/undo", "invitations/accept", "end-session"}
    assert open_to_all == {f"POST /auth/{name}" for name in public} | {"GET /health/", "GET /health/live", "GET /health/ready"}


def test_each_operation_has_a_name_of_its_own_and_words(document: dict[str, Any]) -> None:
    names = Counter(operation["operationId"] for operation in operations(document).values())
    assert [name for name, count in names.items() if count > 1] == []
    for name, operation in operations(document).items():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name


def test_no_schema_takes_what_it_does_not_know(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content["schema"]
            options = [schema, *schema.get("anyOf", [])]
            for option in options:
                if "$ref" in option:
                    found = document["components"]["schemas"][option["$ref"].rpartition("/")[2]]
                    assert found["additionalProperties"] is False, name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    assert references(document)
    for reference in references(document):
        target = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


async def statuses(client: AsyncClient) -> set[int]:
    return {(await client.get(path)).status_code for path in DOCS_PATHS}


async def test_docs_are_open_in_development(client: AsyncClient) -> None:
    assert await statuses(client) == {200}


@pytest.mark.env(DOCS="off")
async def test_docs_off_closes_them(client: AsyncClient, app: FastAPI) -> None:
    assert await statuses(client) == {404}
    root = (await client.get("/")).json()
    assert "docs" not in root
    assert "openapi" not in root
    assert root["health"] == "/health/"


@pytest.mark.asvs("V13.4.5")
@pytest.mark.env(**PRODUCTION)
async def test_docs_are_closed_in_production(client: AsyncClient) -> None:
    assert await statuses(client) == {404}


@pytest.mark.env(**(PRODUCTION | {"DOCS": "on"}))
async def test_docs_on_opens_them_in_production(client: AsyncClient) -> None:
    assert await statuses(client) == {200}
