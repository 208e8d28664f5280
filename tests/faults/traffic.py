"""A client that writes every reply down: what was sent when, what came back when, or that nothing came."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.servers import ServerProcess

PATIENCE_SECONDS = 15.0  # far beyond what is promised, so that a hang is seen as one
SECRET_FIELDS = {"password", "new_password", "current_password", "refresh_token", "access_token", "token", "device", "email"}


@dataclass(eq=False)
class Person:
    """Somebody with an account, or about to get one."""

    username: str
    email: str
    password: str
    id: str = ""  # as the database has it: 32 hexadecimal digits


@dataclass(frozen=True, eq=False)
class Reply:
    """What came of one request; `status` None: no answer. Times are seconds of `time.monotonic`."""

    what: str
    sent: float
    done: float
    status: int | None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def seconds(self) -> float:
        return self.done - self.sent

    @property
    def ok(self) -> bool:
        return self.status is not None and self.status < 300

    def __str__(self) -> str:
        code = self.body.get("code", "") if isinstance(self.body, dict) else ""
        return f"{self.what}: {self.status or self.error} {code} after {self.seconds:.2f} s"


def new_password() -> str:
    return f"Harbour-{secrets.token_hex(6)}-kettle!"


def new_person() -> Person:
    name = f"p{secrets.token_hex(6)}"
    return Person(name, f"{name}@example.org", new_password())


def claims_of(token: str) -> dict[str, Any]:
    """What a JWT says, unchecked."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def id_of(text: object) -> str:
    """An id in the form that both databases' rows are given in."""
    return str(text).replace("-", "")


class Traffic:
    """Requests to servers, and all replies to them."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.secrets: set[str] = set()
        self.listeners: list[Callable[[Reply], None]] = []
        self._clients: dict[str, httpx2.AsyncClient] = {}

    async def send(
        self,
        server: ServerProcess,
        what: str,
        method: str,
        path: str,
        *,
        json: dict[str, Any] | None = None,
        token: str | None = None,
        agent: str = "traffic",
        fresh: bool = False,
    ) -> Reply:
        """Send one request and write the reply down; `fresh`: on a connection of its own."""
        self._note(json)
        headers = {"User-Agent": agent}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if fresh:
            headers["Connection"] = "close"
        client = self._client(server.base_url)
        sent = time.monotonic()
        try:
            response = await client.request(method, path, json=json, headers=headers)
        except httpx2.HTTPError as error:
            reply = Reply(what, sent, time.monotonic(), None, error=type(error).__name__)
        else:
            is_json = response.content and "json" in response.headers.get("content-type", "")
            body = response.json() if is_json else response.text
            self._note(body if isinstance(body, dict) else None)
            reply = Reply(what, sent, time.monotonic(), response.status_code, body, dict(response.headers))
        self.replies.append(reply)
        return reply

    def _client(self, base_url: str) -> httpx2.AsyncClient:
        if base_url not in self._clients:
            self._clients[base_url] = httpx2.AsyncClient(
                base_url=base_url,
                timeout=PATIENCE_SECONDS,
                trust_env=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=50),
            )
        return self._clients[base_url]

    def _note(self, body: dict[str, Any] | None) -> None:
        for name, value in (body or {}).items():
            if name in SECRET_FIELDS and isinstance(value, str):
                self.secrets.add(value)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    # What people do.

    async def register(self, server: ServerProcess, person: Person) -> Reply:
        body = {"username": person.username, "email": person.email, "password": person.password}
        reply = await self.send(server, "register", "POST", "/auth/register", json=body)
        if reply.ok:
            person.id = id_of(reply.body["id"])
        return reply

    async def login(self, server: ServerProcess, person: Person, password: str | None = None, what: str = "login") -> Reply:
        body = {"username": person.username, "password": password or person.password}
        return await self.send(server, what, "POST", "/auth/login", json=body)

    async def me(self, server: ServerProcess, token: str) -> Reply:
        return await self.send(server, "me", "GET", "/auth/me", token=token)

    async def refresh(self, server: ServerProcess, token: str, agent: str = "traffic") -> Reply:
        return await self.send(server, "refresh", "POST", "/auth/refresh", json={"refresh_token": token}, agent=agent)

    async def logout(self, server: ServerProcess, token: str | None = None, refresh_token: str | None = None) -> Reply:
        body = {"refresh_token": refresh_token} if refresh_token else None
        return await self.send(server, "logout", "POST", "/auth/logout", json=body, token=token)

    async def forgot(self, server: ServerProcess, email: str) -> Reply:
        return await self.send(server, "forgot", "POST", "/auth/forgot-password", json={"email": email})

    async def reset(self, server: ServerProcess, token: str, password: str) -> Reply:
        body = {"token": token, "new_password": password}
        return await self.send(server, "reset", "POST", "/auth/reset-password", json=body)

    async def newcomer(self, server: ServerProcess) -> Person:
        """Somebody new with an account."""
        person = new_person()
        reply = await self.register(server, person)
        assert reply.status == 201, f"{reply} {reply.body}"
        return person

    async def tokens(self, server: ServerProcess, person: Person) -> dict[str, Any]:
        """The pair of a new session."""
        reply = await self.login(server, person)
        assert reply.status == 200, f"{reply} {reply.body}"
        body: dict[str, Any] = reply.body
        return body
