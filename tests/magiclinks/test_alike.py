"""Sign-in links tell nobody whether there is an account: the database is asked the same, and the answers are the same."""

from typing import Any

import pytest
from httpx2 import AsyncClient, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.server import Server
from app.magiclinks import service
from app.users import service as users
from tests.mail.postman import Postman
from tests.timing.test_statements import KNOWN, account, heard, words

pytestmark = [pytest.mark.promise("P8"), pytest.mark.env(MAGIC_LINK="true")]


async def ask(client: AsyncClient, email: str) -> Response:
    client.cookies.clear()
    return await client.post("/auth/magic-link", json={"email": email})


async def guess(client: AsyncClient, email: str) -> Response:
    client.cookies.clear()
    return await client.post("/auth/magic-link/verify", json={"email": email, "code": "2222-2222"})


@pytest.mark.parametrize("state", KNOWN)
async def test_asking_and_guessing_ask_the_database_the_same_for_everybody(
    client: AsyncClient, server: Server, postman: Postman, state: str
) -> None:
    await ask(client, "warm@example.com")
    await guess(client, "warm@example.com")
    seen: list[list[Any]] = []
    for each in ("unknown", state):
        email, mine = await account(client, server, each), []
        await ask(client, email)
        await postman.deliver()  # from here on the known one has an open link
        for flow in (ask, ask, ask, *[guess] * 6):
            with heard(server.database) as asked:
                answer = await flow(client, email)
            answered = words(answer) if flow is guess else answer.status_code
            mine.append((list(asked), answered))
        seen.append(mine)
    assert seen[0] == seen[1]
    assert any("INSERT INTO jobs" in text for text in seen[0][0][0])
    assert not any("INSERT INTO jobs" in text for text in seen[0][2][0]), "the fourth in an hour is dropped, for everybody"


async def test_a_server_that_looks_the_address_up_at_once_is_heard(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: nobody of that name, no reason to go on."""
    careful = service.ask

    async def hasty(db: AsyncSession, limits: Any, kit: Any, email: str, *more: Any) -> None:
        if await users.find_by_key(db, email.lower()) is not None:
            await careful(db, limits, kit, email, *more)

    monkeypatch.setattr(service, "ask", hasty)
    seen = []
    for each in ("unknown", "active"):
        email = await account(client, server, each)
        with heard(server.database) as asked:
            await ask(client, email)
        seen.append(list(asked))
    assert seen[0] != seen[1]
