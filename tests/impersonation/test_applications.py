"""What an application learns of somebody who acts as another, by the client: of the real server, and of one that lies."""

import uuid
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from authkeep_client import Authkeep, User
from tests.client.scripted import Scripted, bearer, identity
from tests.impersonation.scene import act
from tests.support.apps import client_of, running

URL = "http://localhost:8000"


def service_of(auth: Authkeep) -> FastAPI:
    service = FastAPI(lifespan=auth.lifespan)

    @service.get("/me")
    async def me(user: Annotated[User, Depends(auth.user)]) -> dict[str, str]:
        return {"id": str(user.id), "impersonator": str(user.impersonator)}

    @service.post("/payments")
    async def pay(user: Annotated[User, Depends(auth.require_assurance(max_age=600))]) -> str:
        return user.username

    return service


async def test_the_client_says_who_acts_and_keeps_them_from_what_wants_the_person(
    app: FastAPI, client: AsyncClient, server: Server
) -> None:
    acting = await act(server, client)
    service = service_of(Authkeep(URL, transport=httpx2.ASGITransport(app)))
    async with running(service), client_of(service) as asked:
        known = (await asked.get("/me", headers=acting.headers)).json()
        assert known == {"id": acting.person.id, "impersonator": acting.staff.id}
        own = (await asked.get("/me", headers=acting.person.headers)).json()
        assert own == {"id": acting.person.id, "impersonator": "None"}
        refused = await asked.post("/payments", headers=acting.headers)
        assert (refused.status_code, "act as somebody else" in refused.json()["detail"]) == (403, True)
        assert (await asked.post("/payments", headers=acting.person.headers)).status_code == 200


@pytest.mark.parametrize("said", ["", "nobody", str(uuid.uuid4()).upper()], ids=["empty", "no id", "upper case"])
async def test_an_actor_that_is_none_is_nobodys_yes(said: str) -> None:
    server = Scripted()
    server.answer = 204, [*identity(), ("X-Auth-Actor", said)]
    service = service_of(Authkeep(URL, transport=httpx2.ASGITransport(server)))
    async with running(service), client_of(service) as asked:
        assert (await asked.get("/me", headers=bearer("a.b.c"))).status_code == 503


async def test_two_actors_are_nobodys_yes_and_a_bare_403_is_no_word_of_acting() -> None:
    server = Scripted()
    server.answer = 204, [*identity(), *[("X-Auth-Actor", str(uuid.uuid4()))] * 2]
    service = service_of(Authkeep(URL, transport=httpx2.ASGITransport(server)))
    async with running(service), client_of(service) as asked:
        assert (await asked.get("/me", headers=bearer("a.b.c"))).status_code == 503
        server.answer = 403, []
        assert (await asked.post("/payments", headers=bearer("a.b.c"))).status_code == 503


async def test_a_route_that_asks_for_assurance_refuses_whoever_acts(app: FastAPI, client: AsyncClient, server: Server) -> None:
    """A control of the rules themselves: no level and no age is so low that acting reaches it."""
    from app.core.caller import Assurance, Caller

    async def low(caller: Annotated[Caller, Assurance("aal1")]) -> dict[str, Any]:
        return {"who": str(caller.user_id)}

    app.add_api_route("/low", low)
    acting = await act(server, client)
    answer = await client.get("/low", headers=acting.headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "impersonated")
    assert (await client.get("/low", headers=acting.person.headers)).status_code == 200
