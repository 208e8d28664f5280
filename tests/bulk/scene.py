"""What tests of bulk actions do again and again."""

from typing import Any

from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import text

from app.auth.deps import AuthKit
from app.bulk import service
from app.bulk.acts import Acts
from app.bulk.running import Runner
from app.core.server import Server
from app.jobs.sockets import Work
from app.mfa.deps import MfaKit
from tests.mail.postman import rows_of
from tests.support import api
from tests.users.seeds import seed, seed_row


def refusal(response: Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def people(server: Server, count: int, beginning: str = "person", **values: Any) -> list[str]:
    """So many accounts, in order of id."""
    rows = await seed(server, *(seed_row(f"{beginning}{number:05}", **values) for number in range(count)))
    return sorted(str(row["id"]) for row in rows)


async def ask(client: AsyncClient, who: api.User, **body: Any) -> Response:
    return await client.post("/users/bulk", json=body, headers=who.headers)


async def begun(client: AsyncClient, who: api.User, **body: Any) -> str:
    """The id of a bulk action that was begun."""
    answer = await ask(client, who, **body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def look(client: AsyncClient, who: api.User, bulk_id: str) -> dict[str, Any]:
    answer = await client.get(f"/users/bulk/{bulk_id}", headers=who.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def press(client: AsyncClient, who: api.User, bulk_id: str, word: str) -> Response:
    return await client.post(f"/users/bulk/{bulk_id}/{word}", headers=who.headers)


async def events(server: Server, fact: str) -> list[dict[str, Any]]:
    return [row for row in await rows_of(server, "audit_events") if row["fact"] == fact]


async def give_role(server: Server, username: str, role: str) -> None:
    async with server.database.write() as db:
        await db.execute(text("UPDATE users SET role = :role WHERE username = :name"), {"role": role, "name": username})


async def new_staff(app: FastAPI, client: AsyncClient, role: str) -> api.User:
    """Somebody with a role, logged in as such."""
    account = await api.register(client)
    await give_role(app.state.server, account["username"], role)
    tokens = await api.login(client, account["username"])
    return api.User(str(account["id"]), account["username"], account["email"], api.PASSWORD, tokens)


def runner_of(server: Server) -> Runner:
    """What a worker of this server does its turns by."""
    return Runner(server.database, Acts(server.kit(AuthKit), server.kit(MfaKit)))


async def turn_of(server: Server, bulk_id: str) -> Work:
    """The job of the newest turn; one whose worker died is still there beside it."""
    jobs = [row for row in await rows_of(server, "jobs") if row["kind"] == service.KIND and row["payload"]["bulk"] == bulk_id]
    job = max(jobs, key=lambda row: int(row["payload"]["turn"]))
    return Work(job["id"], job["payload"], job["run_at"])


def counts(found: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """Total, done, skipped, refused, failed."""
    return found["total"], found["done"], found["skipped"], found["refused"], found["failed"]
