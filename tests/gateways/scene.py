"""People with tokens, and requests to the gateway byte by byte as they are written here."""

import http.client
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
from joserfc import jws

from tests.gateways.application import Application, Arrived, arrived_in
from tests.gateways.gateways import Ports
from tests.support.api import PASSWORD
from tests.support.servers import ServerProcess

Header = tuple[str, str]


@dataclass(frozen=True)
class Person:
    id: str
    username: str
    token: str = ""

    @property
    def bearer(self) -> Header:
        return ("Authorization", f"Bearer {self.token}")

    def identity(self, role: str = "user") -> dict[str, str]:
        """What the application must be told."""
        claims: dict[str, Any] = json.loads(jws.extract_compact(self.token.encode()).payload)
        return {
            "x-auth-user": self.id,
            "x-auth-username": self.username,
            "x-auth-roles": role,
            "x-auth-session": claims["sid"],
        }


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    arrived: Arrived | None  # what the application answered that it saw

    @property
    def identity(self) -> dict[str, str]:
        assert self.arrived is not None, f"{self.status}: did not arrive"
        return self.arrived.identity()


@dataclass
class Scene:
    ports: Ports
    authkeep: ServerProcess
    application: Application
    user: Person = field(default_factory=lambda: Person("", ""))
    admin: Person = field(default_factory=lambda: Person("", ""))

    def new_person(self) -> Person:
        username = f"user{secrets.token_hex(5)}"
        body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
        made = httpx2.post(f"{self.authkeep.base_url}/auth/register", json=body).raise_for_status()
        return self.login(Person(made.json()["id"], username))

    def login(self, person: Person) -> Person:
        body = {"username": person.username, "password": PASSWORD}
        answer = httpx2.post(f"{self.authkeep.base_url}/auth/login", json=body).raise_for_status()
        return replace(person, token=answer.json()["access_token"])

    def sign_in(self, person: Person) -> str:
        """The cookie of a browser that the person signed in with."""
        with httpx2.Client(base_url=self.authkeep.base_url) as browser:
            page = browser.get("/account/sign-in").raise_for_status()
            found = re.search(r'name="form_token" value="([^"]+)"', page.text)
            assert found is not None
            body = {"form_token": found[1], "username": person.username, "password": PASSWORD}
            answer = browser.post("/account/sign-in", data=body, headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status_code == 303, answer.text
            return f"authkeep={answer.cookies['authkeep']}"

    def logout(self, person: Person) -> None:
        httpx2.post(f"{self.authkeep.base_url}/auth/logout", headers=dict([person.bearer])).raise_for_status()

    def ask(
        self, path: str, *headers: Header, method: str = "GET", body: bytes | Iterable[bytes] | None = None, source: str = ""
    ) -> Reply:
        """One request through the gateway, its path and headers as they are."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.ports.gateway, timeout=20, source_address=(source, 0) if source else None
        )
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in (("Host", "app.example.org"), *headers):
                connection.putheader(name, value)
            if isinstance(body, bytes):
                connection.putheader("Content-Length", str(len(body)))
            elif body is not None:
                connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(body, encode_chunked=not isinstance(body, bytes))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        is_ours = answer.status == 200 and answer.headers.get_content_type() == "application/json" and content
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, arrived_in(json.loads(content)) if is_ours else None)
