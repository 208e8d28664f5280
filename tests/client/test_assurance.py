"""A service asks for a second factor, or for a fresh proof, by the client: of a scripted server, and of the real one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from authkeep_client import Authkeep, User
from tests.auth.proving import proved
from tests.client.scripted import Headers, Scripted, bearer, identity
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.clock import TravellingClock

URL = "http://localhost:8000"
ERROR = 'Bearer error="insufficient_user_authentication"'
MORE = [("WWW-Authenticate", f'{ERROR}, acr_values="evil", realm="x"')]


@asynccontextmanager
async def asking(auth: Authkeep, **wanted: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service with one route, for those who are proved as well as `wanted` says."""
    service = FastAPI(lifespan=auth.lifespan)

    @service.get("/")
    async def route(user: Annotated[User, Depends(auth.require_assurance(**wanted))]) -> str:
        return user.username

    async with running(service), client_of(service) as client:
        yield client


def yes(*more: tuple[str, str]) -> tuple[int, Headers]:
    return 204, [*identity(), *more]


async def test_what_is_wanted_is_asked_for_at_each_request() -> None:
    scripted = Scripted()
    scripted.answer = yes(("X-Auth-Acr", "aal2-phr"))
    for wanted, query in (
        ({"acr": "aal2"}, b"acr=aal2"),
        ({"acr": "aal2-phr", "max_age": 300}, b"acr=aal2-phr&max_age=300"),
        ({"max_age": 0}, b"acr=aal1&max_age=0"),
        ({}, b"acr=aal1"),
    ):
        async with asking(Authkeep(URL, 30, transport=httpx2.ASGITransport(scripted)), **wanted) as client:
            for _ in range(2):
                assert (await client.get("/", headers=bearer("a.b.c"))).json() == "alice"
        assert [(asked["path"], asked["query_string"]) for asked in scripted.asked] == [("/auth/verify", query)] * 2
        scripted.forget()


async def test_a_refusal_says_what_would_do_in_the_clients_own_words() -> None:
    scripted = Scripted()
    scripted.answer = 401, MORE
    for wanted, challenge in (
        ({"acr": "aal2"}, f'{ERROR}, acr_values="aal2"'),
        ({"acr": "aal2", "max_age": 300}, f'{ERROR}, acr_values="aal2", max_age=300'),
        ({"max_age": 300}, f"{ERROR}, max_age=300"),
    ):
        async with asking(Authkeep(URL, transport=httpx2.ASGITransport(scripted)), **wanted) as client:
            refused = await client.get("/", headers=bearer("a.b.c"))
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, challenge)


@pytest.mark.parametrize("said", [[], [("WWW-Authenticate", "Bearer")], [("WWW-Authenticate", 'Bearer error="invalid_token"')]])
async def test_a_token_that_is_not_good_is_no_case_for_a_better_proof(said: Headers) -> None:
    scripted = Scripted()
    scripted.answer = 401, said
    async with asking(Authkeep(URL, transport=httpx2.ASGITransport(scripted)), acr="aal2") as client:
        refused = await client.get("/", headers=bearer("a.b.c"))
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
        assert (await client.get("/")).headers["www-authenticate"] == "Bearer"


ODD: list[tuple[int, Headers]] = [
    yes(),  # an older server, which does not know what it was asked
    *(yes(("X-Auth-Acr", acr)) for acr in ("aal1", "", "aal3", "AAL2", "aal2 ", "aal2,aal2-phr")),
    yes(("X-Auth-Acr", "aal2"), ("X-Auth-Acr", "aal2")),
    (204, [("X-Auth-Acr", "aal2")]),
    (200, yes(("X-Auth-Acr", "aal2"))[1]),
    (403, []),
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
async def test_any_other_answer_lets_nobody_in(odd: tuple[int, Headers]) -> None:
    scripted = Scripted()
    scripted.answer = odd
    async with asking(Authkeep(URL, transport=httpx2.ASGITransport(scripted)), acr="aal2") as client:
        assert (await client.get("/", headers=bearer("a.b.c"))).status_code == 503


@pytest.mark.parametrize("wanted", [{"acr": "aal3"}, {"acr": ""}, {"max_age": -1}, {"max_age": 10**9}])
def test_what_there_is_not_can_not_be_wanted(wanted: dict[str, Any]) -> None:
    make: Callable[..., Any] = Authkeep(URL).require_assurance
    with pytest.raises(ValueError, match="wanted one of aal1, aal2, aal2-phr"):
        make(**wanted)


async def test_the_real_server_is_understood(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    plain, well = (await api.new_user(client)).headers, api.bearer(await proved(server, client))
    auth = Authkeep(URL, 30, transport=httpx2.ASGITransport(app))
    async with asking(auth, acr="aal2", max_age=300) as service:
        refused = await service.get("/", headers=plain)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, f'{ERROR}, acr_values="aal2", max_age=300')
        assert (await service.get("/", headers=well)).status_code == 200
        clock.advance(seconds=310)
        assert (await service.get("/", headers=well)).status_code == 401
