"""What most tests do first: users who register, log in and are somebody."""

import secrets
from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import text

PASSWORD = "Plain-harbour-71-kettle!"  # passes every policy


@dataclass(frozen=True)
class User:
    """A registered user who is logged in."""

    id: str
    username: str
    email: str
    password: str
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.tokens)


def new_username() -> str:
    return f"user{secrets.token_hex(5)}"


async def register(
    client: httpx2.AsyncClient, username: str | None = None, email: str | None = None, password: str = PASSWORD
) -> dict[str, Any]:
    """Register; returns the body of the answer."""
    username = username or new_username()
    body = {"username": username, "email": email or f"{username}@example.com", "password": password}
    return _body(await client.post("/auth/register", json=body), 201)


async def login(client: httpx2.AsyncClient, username: str, password: str = PASSWORD) -> dict[str, Any]:
    """Log in by the OAuth2 password form; returns the tokens."""
    return _body(await client.post("/auth/login", data={"username": username, "password": password}), 200)


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def new_user(client: httpx2.AsyncClient, password: str = PASSWORD) -> User:
    """Someone new, logged in."""
    account = await register(client, password=password)
    tokens = await login(client, account["username"], password)
    return User(str(account["id"]), account["username"], account["email"], password, tokens)


async def new_admin(app: FastAPI, client: httpx2.AsyncClient) -> User:
    """A new admin, logged in as one."""
    account = await register(client)
    await make_admin(app, account["username"])
    tokens = await login(client, account["username"])
    return User(str(account["id"]), account["username"], account["email"], PASSWORD, tokens)


async def make_admin(app: FastAPI, username: str) -> None:
    """Give a user the role; who is logged in already keeps tokens that say otherwise, so log in after it."""
    async with app.state.server.database.write() as db:
        result = await db.execute(text("UPDATE users SET role = 'admin' WHERE username = :name"), {"name": username})
        assert result.rowcount == 1, f"no user {username}"


def _body(response: httpx2.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, f"{response.request.url}: {response.status_code} {response.text}"
    body: dict[str, Any] = response.json()
    return body
