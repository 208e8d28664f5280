"""What these tests do again and again: register, read letters, verify, change an address."""

import asyncio
import re
from email.message import EmailMessage
from typing import Any

from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.core.server import Server
from tests.mail.postman import Postman, rows_of, token_in
from tests.support import api
from tests.support.apps import client_of
from tests.support.smtp import text_of

VERIFY, TAKEN = "Confirm your mail address", "You already have an account"
CHANGE, CHANGED, UNDONE = (
    "Confirm your new mail address",
    "Your mail address was changed",
    "The change of your mail address was undone",
)
NOT_OF_THE_ANSWER = {"x-request-id", "date"}


def words(response: Response) -> tuple[int, dict[str, str], str]:
    """All of an answer that may not differ."""
    headers = {name: value for name, value in response.headers.items() if name not in NOT_OF_THE_ANSWER}
    return response.status_code, headers, response.text


def refusal(response: Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


DEAD = (400, "ticket_invalid")


def code_in(message: EmailMessage) -> str:
    """The code of a letter."""
    (code,) = re.findall(r"^([2-9A-Z]{4}-[2-9A-Z]{4})\r?$", text_of(message), re.MULTILINE)
    return str(code)


async def letter(postman: Postman, to: str, subject: str = VERIFY) -> EmailMessage:
    """The newest letter of a subject to an address, once the worker has worked."""
    await postman.deliver()
    return postman.smtp.sent_to(to, subject)[-1]


async def sign_up(client: AsyncClient, username: str, email: str, password: str = api.PASSWORD) -> Response:
    return await client.post("/auth/register", json={"username": username, "email": email, "password": password})


async def verify(client: AsyncClient, **proof: str) -> Response:
    return await client.post("/auth/verify-email", json=proof)


async def resend(client: AsyncClient, email: str) -> Response:
    return await client.post("/auth/verify-email/resend", json={"email": email})


async def log_in(client: AsyncClient, name: str, password: str = api.PASSWORD) -> Response:
    return await client.post("/auth/login", json={"username": name, "password": password})


async def ask_change(client: AsyncClient, user: api.User, new_email: str) -> Response:
    return await client.post("/auth/me/email", json={"new_email": new_email}, headers=user.headers)


async def change_token(postman: Postman, user: api.User, new_email: str) -> str:
    """The token that confirms a change."""
    assert (await ask_change(postman.client, user, new_email)).status_code == 202
    return token_in(await letter(postman, new_email, CHANGE))


async def confirm(client: AsyncClient, token: str) -> Response:
    return await client.post("/auth/me/email/confirm", json={"token": token})


async def undo(client: AsyncClient, token: str) -> Response:
    return await client.post("/auth/me/email/undo", json={"token": token})


async def undo_token(postman: Postman, user: api.User, old_email: str, new_email: str) -> str:
    """The token that undoes a change which has just happened."""
    assert (await confirm(postman.client, await change_token(postman, user, new_email))).status_code == 204
    return token_in(await letter(postman, old_email, CHANGED))


async def user_of(server: Server, username: str) -> dict[str, Any]:
    (row,) = [row for row in await rows_of(server, "users") if row["username"] == username]
    return row


async def facts_of(server: Server) -> list[str]:
    return [row["fact"] for row in sorted(await rows_of(server, "audit_events"), key=lambda row: row["id"])]


async def twenty(client: AsyncClient, twin: FastAPI, path: str, body: dict[str, str]) -> list[int]:
    """What twenty who post the same at once to two replicas are told."""
    async with client_of(twin) as other:
        answers = await asyncio.gather(*((client, other)[number % 2].post(path, json=body) for number in range(20)))
    return [answer.status_code for answer in answers]
