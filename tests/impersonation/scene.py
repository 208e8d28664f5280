"""Staff, people, and one acting as the other."""

from dataclasses import dataclass
from typing import Any

from httpx2 import AsyncClient, Response

from app.core.server import Server
from tests.auth.scene import claims_of, execute
from tests.support import api

REASON = "ticket 4711"


@dataclass(frozen=True)
class Acting:
    """Somebody of the staff who acts as a person."""

    staff: api.User
    person: api.User
    answer: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return api.bearer(self.answer)


async def somebody(server: Server, client: AsyncClient, role: str) -> api.User:
    """Somebody new with this role, logged in."""
    account = await api.register(client)
    await set_role(server, account["id"], role)
    tokens = await api.login(client, account["username"])
    return api.User(str(account["id"]), account["username"], account["email"], api.PASSWORD, tokens)


async def set_role(server: Server, user_id: str, role: str) -> None:
    """Behind the application's back."""
    found = {"value": user_id.replace("-", ""), "role": role}
    assert await execute(server, "UPDATE users SET role = :role WHERE replace(CAST(id AS text), '-', '') = :value", **found) == 1


async def ask(client: AsyncClient, headers: dict[str, str], user_id: str, reason: Any = REASON) -> Response:
    return await client.post(f"/users/{user_id}/impersonate", json={"reason": reason}, headers=headers)


async def act(server: Server, client: AsyncClient, staff: str = "support", person: str = "user") -> Acting:
    """Somebody new of the staff acts as somebody new."""
    one, other = await somebody(server, client, staff), await somebody(server, client, person)
    answer = await ask(client, one.headers, other.id)
    assert answer.status_code == 201, answer.text
    return Acting(one, other, answer.json())


def parent_of(acting: Acting) -> str:
    sid: str = claims_of(acting.staff.tokens["access_token"])["sid"]
    return sid
