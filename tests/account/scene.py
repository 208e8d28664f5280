"""A server as a process with a mail server beside it, a browser, and people who use both."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from playwright.async_api import Browser, BrowserContext, Page, expect
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Session
from app.config import load_settings
from app.database import Database
from app.users.models import User
from tests.cli.commands import Commands
from tests.support.processes import free_port
from tests.support.servers import ServerProcess
from tests.support.smtp import SmtpServer, links_in

PASSWORD, NEW_PASSWORD = "Plain-harbour-71-kettle!", "quite another 1 with words"
SPEED = {"RATE_LIMIT_ENABLED": "false", "WORKER_IN_SERVER": "true", "MIGRATE_ON_START": "true"}


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    username: str
    email: str
    password: str = PASSWORD


@dataclass
class Scene:
    """One server and its browser."""

    base_url: str
    smtp: SmtpServer
    browser: Browser
    process: ServerProcess
    env: Mapping[str, str]

    @asynccontextmanager
    async def context(self, **options: Any) -> AsyncIterator[BrowserContext]:
        """A browser that has never been here."""
        context = await self.browser.new_context(base_url=self.base_url, **{"locale": "en-GB", **options})
        context.set_default_timeout(10_000)
        try:
            yield context
        finally:
            await context.close()

    async def register(self, username: str | None = None, **more: str) -> Person:
        """A person whose account was made by the API."""
        person = new_person(username)
        async with httpx2.AsyncClient(base_url=self.base_url) as client:
            body = {"username": person.username, "email": person.email, "password": person.password, **more}
            answer = await client.post("/auth/register", json=body)
            assert answer.status_code == 201, answer.text
        return person

    async def log_in(self, person: Person, user_agent: str) -> dict[str, Any]:
        """By the API, from another device; the tokens."""
        async with httpx2.AsyncClient(base_url=self.base_url, headers={"User-Agent": user_agent}) as client:
            answer = await client.post("/auth/login", json={"username": person.username, "password": person.password})
            assert answer.status_code == 200, answer.text
            tokens: dict[str, Any] = answer.json()
            return tokens

    async def admin(self) -> Person:
        """Somebody whom the operator made an admin."""
        person = new_person()
        command = ["users", "create", person.username, person.email, "--role", "admin"]
        await Commands(self.process.env, self.process.folder).succeed(*command, typed=f"{person.password}\n" * 2)
        return person

    async def invite(self, email: str) -> str:
        """The path of an invitation's link."""
        tokens = await self.log_in(await self.admin(), "an admin's program")
        async with httpx2.AsyncClient(base_url=self.base_url) as client:
            bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
            answer = await client.post("/users/invitations", json={"email": email}, headers=bearer)
            assert answer.status_code == 201, answer.text
        return await self.link(email, "You are invited")

    async def status(self, path: str, access_token: str) -> int:
        """What a call with this token is answered."""
        async with httpx2.AsyncClient(base_url=self.base_url) as client:
            return (await client.get(path, headers={"Authorization": f"Bearer {access_token}"})).status_code

    async def age_proofs(self, person: Person) -> None:
        """Make the person's proofs of who they are an hour older, in the database itself."""
        owner = select(User.id).where(User.username == person.username).scalar_subquery()
        async with self.database() as db:
            sessions = list((await db.scalars(select(Session).where(Session.user_id == owner))).all())
            for session in sessions:
                session.authenticated_at -= timedelta(hours=1)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[AsyncSession]:
        """A transaction beside the server's."""
        settings = load_settings(self.env, env_file=None)
        database = Database(settings.database_url)
        try:
            async with database.write() as db:
                yield db
        finally:
            await database.close()

    async def link(self, email: str, subject: str, count: int = 1) -> str:
        """The path of the mailed link."""
        message = await self.smtp.wait_for_async(email, count, subject)
        (link,) = {link for link in links_in(message) if "token=" in link}
        assert link.startswith(self.base_url)
        return link.removeprefix(self.base_url)


def new_person(username: str | None = None) -> Person:
    """Somebody who has no account yet."""
    name = username or f"user{secrets.token_hex(5)}"
    return Person(name, f"{name}@example.com")


@asynccontextmanager
async def scene(
    browser: Browser,
    smtp: SmtpServer,
    env: Mapping[str, str],
    folder: Path,
    *,
    launcher: Path | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Scene]:
    """The server of this environment, at an address that is its PUBLIC_URL; passkeys belong to names, so not to 127.0.0.1."""
    port = free_port()
    url = f"http://{host}:{port}"
    full = {**env, **SPEED, "PUBLIC_URL": url, "PORT": str(port)}
    with ServerProcess("serve", full, folder, port=port, launcher=launcher) as process:
        process.wait_ready()
        yield Scene(url, smtp, browser, process, full)


async def sign_in(page: Page, person: Person, password: str | None = None) -> None:
    """Through the page, to the profile."""
    await page.goto("/account/sign-in")
    await page.get_by_label("Username or mail address").fill(person.username)
    await page.get_by_label("Password", exact=True).fill(password or person.password)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("heading", name="Profile")).to_be_visible()


async def ask_magic_link(page: Page, email: str) -> None:
    """Through the page."""
    await page.goto("/account/magic-link")
    await page.get_by_label("Mail address").fill(email)
    await page.get_by_role("button", name="Send the link").click()
    await expect(page.get_by_label("Code")).to_be_visible()
