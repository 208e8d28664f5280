"""Schemathesis reads our OpenAPI document and tries what it allows and what it forbids, by TCP: no 5xx, nothing undocumented.

Deterministic: the same cases at each run. Each operation is tried signed in as an admin and as nobody.
"""

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import hypothesis
import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from httpx2 import AsyncClient
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support import api
from tests.support.processes import free_port

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = {GenerationMode.POSITIVE: 8, GenerationMode.NEGATIVE: 8}


@pytest.fixture
async def base_url(app: FastAPI) -> AsyncIterator[str]:
    """The started app, behind uvicorn on a port, in this very loop."""
    port = free_port()
    config = uvicorn.Config(app, port=port, lifespan="off", log_config=None, access_log=False, proxy_headers=False)
    server = uvicorn.Server(config)
    config.load()
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


def try_operation(operation: Any, base_url: str, headers: dict[str, str], ids: dict[str, str]) -> int:
    """Generated cases of one operation, each checked; how many. In a thread, since the app is in the loop."""
    tried = 0
    for mode, count in EXAMPLES.items():

        @hypothesis.settings(
            max_examples=count,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def attempt(case: Case[Any]) -> None:
            nonlocal tried
            tried += 1
            if tried % 2 and case.path_parameters:
                case.path_parameters.update({name: value for name, value in ids.items() if name in case.path_parameters})
            # As patient as the app is in here (tests/conftest.py), and less so than its deadline.
            response = case.call(base_url=base_url, headers=headers, timeout=30)
            case.validate_response(response, checks=CHECKS)

        try:
            attempt()
        except hypothesis.errors.Unsatisfiable:
            continue  # nothing to send that the document forbids
    return tried


@pytest.mark.asvs("V2.2.1", "V4.1.1", "V16.5.1")
@pytest.mark.parametrize("who", ["admin", "nobody"])
async def test_every_operation_answers_as_its_document_says(app: FastAPI, client: AsyncClient, base_url: str, who: str) -> None:
    load_all_checks()
    schema: Any = schemathesis.openapi.from_dict(app.openapi())
    target = await api.register(client)
    tried = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        headers = {}
        if who == "admin":  # another for each, since some operations end sessions, change names or erase accounts
            headers = (await api.new_admin(app, client)).headers
        ids = {
            "user_id": target["id"],
            "session_id": target["id"],
            "invitation_id": target["id"],
            "passkey_id": target["id"],
            "bulk_id": target["id"],
            "webhook_id": target["id"],
            "delivery_id": target["id"],
        }
        tried[operation.label] = await asyncio.to_thread(try_operation, operation, base_url, headers, ids)
    assert len(tried) == sum(len(methods) for methods in app.openapi()["paths"].values())
    assert all(tried.values()), tried


async def test_an_undocumented_answer_is_found(app: FastAPI, base_url: str) -> None:
    """The control: the document keeps quiet about 422, or promises another body."""
    load_all_checks()
    silent, wrong = copy.deepcopy(app.openapi()), copy.deepcopy(app.openapi())
    del silent["paths"]["/auth/register"]["post"]["responses"]["422"]
    wrong["components"]["schemas"]["LiveOut"] = {"type": "object", "required": ["missing"]}
    for document, path, method in ((silent, "/auth/register", "POST"), (wrong, "/health/live", "GET")):
        operation = schemathesis.openapi.from_dict(document)[path][method]
        with pytest.raises(BaseExceptionGroup):
            await asyncio.to_thread(try_operation, operation, base_url, {}, {})
