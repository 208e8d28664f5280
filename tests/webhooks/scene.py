"""What tests of webhooks do again and again."""

import uuid
from dataclasses import dataclass
from typing import Any

from httpx2 import AsyncClient, Response

from app.audit import service as audit
from app.audit.facts import Fact
from app.core.client import Client
from app.core.server import Server
from app.jobs.worker import run_due, run_steady
from tests.support import api

FACT = Fact.USER_REGISTERED
STRANGER = Client("203.0.113.7", "Harbour/1.0 secret-agent", "0123456789abcdef")


@dataclass(frozen=True)
class Hook:
    """An endpoint with its secret."""

    id: str
    secret: str


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def ask(client: AsyncClient, who: api.User, url: str, *facts: Fact, **more: Any) -> Response:
    body = {"url": url, "facts": list(facts or (FACT,)), **more}
    return await client.post("/webhooks", json=body, headers=who.headers)


async def add(client: AsyncClient, who: api.User, url: str, *facts: Fact) -> Hook:
    answer = await ask(client, who, url, *facts)
    assert answer.status_code == 201, answer.text
    return Hook(answer.json()["id"], answer.json()["secret"])


async def press(client: AsyncClient, who: api.User, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/webhooks/{path}", headers=who.headers, json=body or None)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def look(client: AsyncClient, who: api.User, path: str) -> dict[str, Any]:
    answer = await client.get(f"/webhooks/{path}", headers=who.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def deliveries(client: AsyncClient, who: api.User, hook: Hook) -> list[dict[str, Any]]:
    """Newest first."""
    found: list[dict[str, Any]] = (await look(client, who, f"{hook.id}/deliveries"))["items"]
    return found


async def happen(server: Server, count: int = 1, fact: Fact = FACT, subject: uuid.UUID | None = None, **data: Any) -> None:
    """Events as features write them, one transaction each."""
    for _ in range(count):
        async with server.database.write() as db:
            await audit.record(db, fact, STRANGER, server.clock(), subject=subject or uuid.uuid4(), **data)


async def tell(server: Server) -> None:
    """What the worker does each second: seal, and write down who is to be told."""
    await run_steady(server, server.clock())


async def send(server: Server) -> int:
    """What is due by now."""
    return await run_due(server, now=server.clock(), lane="webhooks")


async def again(client: AsyncClient, who: api.User) -> api.User:
    """Time has passed, and the proof is old: sign in anew."""
    return api.User(who.id, who.username, who.email, who.password, await api.login(client, who.username))
