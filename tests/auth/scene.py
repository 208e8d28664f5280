"""What the tests of sessions, accounts and the command line look at: rows, audit, tokens' claims, a second replica."""

import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import select, text

from app.audit.models import AuditEvent
from app.auth.models import Session
from app.config import load_settings
from app.core.server import Server
from app.main import create_app
from tests.support.api import bearer
from tests.support.apps import client_of, running

# In its form; what it says is looked at later.
SOME_CREDENTIAL = {
    "id": "AAAA",
    "rawId": "AAAA",
    "type": "public-key",
    "response": {"clientDataJSON": "AAAA", "attestationObject": "AAAA"},
}


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, unverified."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def sid_of(tokens: Mapping[str, Any]) -> uuid.UUID:
    return uuid.UUID(claims_of(tokens["access_token"])["sid"])


async def session_row(server: Server, session_id: uuid.UUID) -> Session:
    async with server.database.read() as db:
        row = await db.get(Session, session_id)
    assert row is not None, "no such session row"
    return row


async def events(server: Server, fact: str, **where: Any) -> list[AuditEvent]:
    """The audit rows of one kind, oldest first."""
    async with server.database.read() as db:
        query = select(AuditEvent).where(AuditEvent.fact == fact).order_by(AuditEvent.id)
        for name, value in where.items():
            query = query.where(getattr(AuditEvent, name) == value)
        return list((await db.scalars(query)).all())


async def execute(server: Server, statement: Any, **values: Any) -> int:
    """Change rows behind the application's back; how many."""
    async with server.database.write() as db:
        connection = await db.connection()
        return (await connection.execute(text(statement) if isinstance(statement, str) else statement, values)).rowcount


async def end_in_database(server: Server, session_id: uuid.UUID, now: datetime) -> None:
    """End a session by its row alone, as another replica would, and commit."""
    from sqlalchemy import update

    assert await execute(server, update(Session).where(Session.id == session_id).values(ended_at=now, end_reason="test")) == 1


async def refresh(client: httpx2.AsyncClient, tokens: Mapping[str, Any], agent: str | None = None) -> httpx2.Response:
    headers = {"User-Agent": agent} if agent else {}
    return await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}, headers=headers)


async def status_of(client: httpx2.AsyncClient, tokens: Mapping[str, Any], path: str = "/auth/me") -> int:
    return (await client.get(path, headers=bearer(dict(tokens)))).status_code


async def assert_dead(client: httpx2.AsyncClient, tokens: Mapping[str, Any]) -> None:
    """Neither token of a pair is good for anything, and the answer says so as RFC 6750 wants it."""
    me = await client.get("/auth/me", headers=bearer(dict(tokens)))
    assert me.status_code == 401, me.text
    assert me.json()["code"] == "token_invalid"
    assert me.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    again = await refresh(client, tokens)
    assert again.status_code == 401, again.text
    assert again.json()["code"] == "token_invalid"


@asynccontextmanager
async def replica(env: Mapping[str, str], clock: Callable[[], datetime], **overrides: str) -> AsyncIterator[FastAPI]:
    """Another instance of the application on the same database, unless `overrides` say otherwise."""
    async with running(create_app(load_settings({**env, **overrides}, env_file=None), clock=clock)) as app:
        yield app


@asynccontextmanager
async def two_clients(
    app: FastAPI, env: Mapping[str, str], clock: Callable[[], datetime]
) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """A client of the application, and one of a second instance of it."""
    async with replica(env, clock) as other, client_of(app) as one, client_of(other) as two:
        yield [one, two]
