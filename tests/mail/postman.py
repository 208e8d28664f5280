"""A postman for tests: asks for reset links, lets the worker work, opens the letters."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import Table, select

from app.core.server import Server
from app.models import Base
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in

RESET = "Reset your password"
CHANGED = "Your password was changed"
NEW_PASSWORD = "quite another 1!"


@dataclass(frozen=True)
class Postman:
    """`await postman.fetch_token(user.email)`: the token of a fresh reset link, out of the mail itself."""

    app: FastAPI
    client: AsyncClient
    clock: TravellingClock
    smtp: SmtpServer
    work: Callable[[], Awaitable[int]]

    async def ask(self, email: str) -> Response:
        """Ask for a link."""
        answer = await self.client.post("/auth/forgot-password", json={"email": email})
        assert answer.status_code == 202, answer.text
        return answer

    async def deliver(self, after: timedelta = timedelta(seconds=3)) -> None:
        """Let time pass, and the worker do what is due then."""
        self.clock.advance(after)
        await self.work()

    async def fetch_token(self, email: str) -> str:
        """Ask for a link, and read its token in the mail that comes."""
        before = len(self.smtp.sent_to(email, RESET))
        await self.ask(email)
        await self.deliver()
        return token_in(await self.smtp.wait_for_async(email, before + 1, RESET))

    async def reset(self, token: str, password: str = NEW_PASSWORD) -> Response:
        """Spend a link."""
        return await self.client.post("/auth/reset-password", json={"token": token, "new_password": password})


@pytest.fixture
def postman(
    app: FastAPI, client: AsyncClient, clock: TravellingClock, smtp: SmtpServer, work: Callable[[], Awaitable[int]]
) -> Postman:
    return Postman(app, client, clock, smtp, work)


def token_in(message: EmailMessage) -> str:
    """The token of the only link with one."""
    (link,) = {link for link in links_in(message) if "token=" in link}
    return link.partition("?token=")[2]


def html_of(message: EmailMessage) -> str:
    """The HTML half of a message."""
    part = message.get_body(("html",))
    assert part is not None
    return str(part.get_content())


async def rows_of(server: Server, table: str) -> list[dict[str, Any]]:
    """What a table holds now."""
    async with server.database.read() as db:
        return [dict(row) for row in (await db.execute(select(_table(table)))).mappings()]


async def dump_of(server: Server) -> str:
    """Everything the database holds now, as one text to search in."""
    found = [repr(_readable(row)) for name in Base.metadata.tables for row in await rows_of(server, name)]
    return "\n".join(found)


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def _table(name: str) -> Table:
    return Base.metadata.tables[name]


def near(moment: datetime, other: datetime, seconds: float = 1) -> bool:
    """Whether two moments are that close."""
    return abs((moment - other).total_seconds()) <= seconds
