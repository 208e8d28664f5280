"""Every route says who may call it, and is what it says."""

import json
from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from httpx2 import AsyncClient

from app.core.caller import (
    ACCESS_RULES,
    PUBLIC,
    Caller,
    May,
    Permitted,
    PermittedPage,
    SignedIn,
    backed,
    backed_page,
    fresh,
    fresh_page,
    maybe_caller,
    page_caller,
    presented,
    public,
    signed_in,
)
from tests.edge.test_slashes import fill
from tests.hostile.surface import JSON, operations
from tests.support import api

FRAMEWORKS_OWN = {"/openapi.json"}  # FastAPI makes it; DOCS closes it


def rules_of(context: RouteContext) -> set[object]:
    """The access rules a route declares, itself or by its routers."""

    def walk(dependant: Dependant) -> Iterator[object]:
        if dependant.call in ACCESS_RULES or isinstance(dependant.call, Permitted | PermittedPage):
            yield dependant.call
            if isinstance(dependant.call, Permitted | PermittedPage):  # they stand on signed_in and page_caller
                return
        if dependant.call not in {
            fresh,
            backed,
            fresh_page,
            backed_page,
        }:  # which stand on signed_in and page_caller
            for below in dependant.dependencies:
                yield from walk(below)

    found = getattr(context, "dependant", None)
    return set(walk(found)) if found is not None else set()


def undecided(app: FastAPI) -> list[str]:
    return [
        f"{sorted(context.methods or [])} {context.path}"
        for context in iter_route_contexts(app.routes)
        if context.path not in FRAMEWORKS_OWN and not rules_of(context)
    ]


@pytest.mark.env(DOCS="on")
async def test_every_route_says_who_may_call_it(app: FastAPI) -> None:
    assert undecided(app) == []
    assert len(list(iter_route_contexts(app.routes))) > 25


async def test_a_route_that_does_not_say_is_found(app: FastAPI) -> None:
    """The control: at the app, in a router, in a router of a router; and none too many."""

    async def nothing() -> None: ...

    async def closed(_caller: SignedIn) -> None: ...

    async def for_staff(_caller: Annotated[Caller, May("users:read")]) -> None: ...

    inner, outer, told = APIRouter(prefix="/inner"), APIRouter(prefix="/outer"), APIRouter(dependencies=[PUBLIC])
    inner.add_api_route("/open", nothing)
    outer.include_router(inner)
    told.add_api_route("/told", nothing)
    app.add_api_route("/direct", nothing)
    app.add_api_route("/closed", closed)
    app.add_api_route("/for-staff", for_staff)
    app.include_router(outer)
    app.include_router(told)
    assert undecided(app) == ["['GET'] /direct", "['GET'] /outer/inner/open"]


async def test_no_route_says_two_things(app: FastAPI) -> None:
    for context in iter_route_contexts(app.routes):
        rules = rules_of(context)
        assert len(rules) <= 1, context.path


@pytest.mark.asvs("V16.5.3")
async def test_what_a_route_says_is_what_it_does(app: FastAPI, client: AsyncClient) -> None:
    """Without a token, with a user's and with an admin's; bodies are good, so nothing else refuses first."""
    user, other = await api.new_user(client), await api.new_user(client)  # who calls, and to whom it is done
    boss = await api.new_admin(app, client)
    begun = await client.post("/users/bulk", json={"action": "enable", "ids": [user.id]}, headers=boss.headers)
    bulk_id = begun.json()["id"]
    job_id = (await client.get("/jobs?kind=bulk", headers=boss.headers)).json()["items"][0]["id"]
    hook = {"url": "https://93.184.216.34/", "facts": ["user.registered"]}
    webhook_id = (await client.post("/webhooks", json=hook, headers=boss.headers)).json()["id"]
    delivery_id = (await client.post(f"/webhooks/{webhook_id}/test", headers=boss.headers)).json()["id"]
    bodies = {
        (operation.method, operation.path): operation.good_body() for operation in operations(app) if JSON in operation.content
    }
    for context in iter_route_contexts(app.routes):
        rules = rules_of(context)
        permitted = bool(rules) and all(isinstance(rule, Permitted) for rule in rules)
        for method in context.methods or ():
            if rules in ({page_caller}, {fresh_page}, {backed_page}) or any(isinstance(rule, PermittedPage) for rule in rules):
                sent = await client.request(method, str(context.path), headers=boss.headers)  # a page takes no bearer token
                assert (sent.status_code, sent.headers["location"].partition("?")[0]) == (303, "/account/sign-in"), context.path
            closed: tuple[set[object], ...] = ({signed_in}, {presented}, {fresh}, {backed})
            if not (permitted or rules in closed) or context.path in {
                "/auth/logout-all",
                "/auth/change-password",
                "/auth/reauthenticate",  # wants the very password
                "/auth/mfa/recovery-codes",  # and this a factor
                "/auth/reauthenticate/passkey/options",  # and this a passkey
                "/auth/passkeys/{passkey_id}",  # one's own
            }:
                continue
            ids = {"user_id": other.id, "session_id": other.id, "invitation_id": other.id, "bulk_id": bulk_id, "job_id": job_id}
            ids |= {"webhook_id": webhook_id, "delivery_id": delivery_id}
            url = fill(str(context.path), **ids)
            body = json.dumps(bodies.get((method, str(context.path)), {}))
            typed = {"content-type": "application/json"} if (method, context.path) in bodies else {}

            async def status(
                headers: dict[str, str], method: str = method, url: str = url, body: str = body, typed: dict[str, str] = typed
            ) -> int:
                sent = body if typed else None
                return (await client.request(method, url, content=sent, headers=headers | typed)).status_code

            assert await status({}) == 401, (method, url)
            if permitted:
                assert await status(user.headers) == 403, (method, url)
            if method != "DELETE":
                assert await status(boss.headers) in {200, 201, 202, 204}, (method, url)
    assert public in ACCESS_RULES


async def test_only_what_must_be_is_open_to_all(app: FastAPI) -> None:
    listed = {context.path for context in iter_route_contexts(app.routes) if rules_of(context) in ({public}, {maybe_caller})}
    assert listed == {
        "/",
        "/account/acting-ended",
        "/account/email-confirm",
        "/account/email-undo",
        "/account/end-session",
        "/account/forgot",
        "/account/invitation",
        "/account/password-verdict",
        "/account/reset-password",
        "/account/sign-in",
        "/account/sign-in/app",
        "/account/sign-in/app-code",
        "/account/sign-in/enrol",
        "/account/sign-in/passkey",
        "/account/sign-in/passkey-options",
        "/account/sign-in/step",
        "/account/sign-out",
        "/account/sign-up",
        "/account/verify",
        "/account/verify-again",
        "/auth/end-session",
        "/auth/forgot-password",
        "/auth/invitations/accept",
        "/auth/login",
        "/auth/login/passkey",
        "/auth/login/passkey/options",
        "/auth/login/recovery",
        "/auth/login/totp",
        "/auth/logout",
        "/auth/me/email/confirm",
        "/auth/me/email/undo",
        "/auth/mfa/totp",  # a fresh caller, or a login that can't go on without a factor
        "/auth/mfa/totp/confirm",
        "/auth/passkeys",  # as above: adding one
        "/auth/passkeys/options",
        "/auth/refresh",
        "/auth/register",
        "/auth/reset-password",
        "/auth/verify-email",
        "/auth/verify-email/resend",
        "/dev/mailbox",
        "/dev/mailbox.json",
        "/docs",
        "/docs/assets/{file}",
        "/health/",
        "/health/live",
        "/health/ready",
        "/redoc",
        "/static/{name}",
    }
