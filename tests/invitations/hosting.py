"""What tests of invitations do again and again: invite, accept, look at the list."""

from httpx2 import AsyncClient, Response

from tests.mail.postman import Postman, token_in
from tests.support import api

SUBJECT = "You are invited"
GUEST = "guest@example.org"
DEAD = (400, "ticket_invalid")


def refusal(response: Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def invite(client: AsyncClient, admin: api.User, email: str = GUEST, role: str = "user") -> Response:
    return await client.post("/users/invitations", json={"email": email, "role": role}, headers=admin.headers)


async def invited(postman: Postman, admin: api.User, email: str = GUEST, role: str = "user") -> str:
    """The token of a fresh invitation."""
    answer = await invite(postman.client, admin, email, role)
    assert answer.status_code == 201, answer.text
    await postman.deliver()
    return token_in(postman.smtp.sent_to(email, SUBJECT)[-1])


async def accept(client: AsyncClient, token: str, username: str = "guest1", password: str = api.PASSWORD) -> Response:
    body = {"token": token, "username": username, "password": password}
    return await client.post("/auth/invitations/accept", json=body)


async def open_ones(client: AsyncClient, admin: api.User) -> list[str]:
    answer = await client.get("/users/invitations", headers=admin.headers)
    assert answer.status_code == 200, answer.text
    return [item["email"] for item in answer.json()["items"]]
