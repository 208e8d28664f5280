"""Something that answers in Authkeep's place, truly or not, and a service that asks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

import httpx2
from fastapi import Depends, FastAPI
from starlette.types import Receive, Scope, Send

from authkeep_client import Authkeep, User
from tests.support.apps import client_of, running

Headers = list[tuple[str, str]]


def identity(**changes: str | None) -> Headers:
    """The headers of a yes; a change of None leaves one out."""
    headers = {
        "X-Auth-User": str(uuid4()),
        "X-Auth-Username": "alice",
        "X-Auth-Roles": "user",
        "X-Auth-Session": str(uuid4()),
    }
    changed = {name: changes.get(name.removeprefix("X-Auth-").lower(), value) for name, value in headers.items()}
    return [(name, value) for name, value in changed.items() if value is not None]


class Scripted:
    """Says `answer` to everybody, or to a token what `to` has for it; keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, Headers] = 204, identity()
        self.to: dict[str, tuple[int, Headers]] = {}
        self.body = b""
        self.asked: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope)
        token = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        status, headers = self.to.get(token, self.answer)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": self.body})

    def forget(self) -> int:
        """How often it was asked since the last time."""
        count = len(self.asked)
        self.asked.clear()
        return count


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def service_of(auth: Authkeep) -> FastAPI:
    """Somebody's application."""
    service = FastAPI(lifespan=auth.lifespan)

    @service.get("/me")
    async def me(user: Annotated[User, Depends(auth.user)]) -> dict[str, str | UUID | list[str]]:
        return {"id": user.id, "username": user.username, "roles": sorted(user.roles), "session_id": user.session_id}

    @service.get("/admin")
    async def admin(
        user: Annotated[User, Depends(auth.user)], holder: Annotated[User, Depends(auth.require_role("admin"))]
    ) -> str:
        assert user == holder
        return holder.username

    return service


@asynccontextmanager
async def asking(auth: Authkeep) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service that asks this Authkeep."""
    async with running(service_of(auth)) as service, client_of(service) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
