"""What is remembered, for how long, and what never is."""

import asyncio
import math

import httpx2
import pytest
from fastapi import HTTPException

import authkeep_client.client
from authkeep_client import Authkeep
from tests.client.scripted import Clock, Scripted, asking, bearer, identity

URL = "https://auth.example.com"


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def remembering(scripted: Scripted, clock: Clock, seconds: float) -> Authkeep:
    return Authkeep(URL, seconds, clock=clock, transport=httpx2.ASGITransport(scripted))


@pytest.mark.parametrize("seconds", [-1, -0.001, 30.001, 31, 3600, math.inf, -math.inf, math.nan])
def test_more_than_thirty_seconds_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="cache_seconds"):
        Authkeep(URL, cache_seconds=seconds)


async def test_by_default_every_request_asks(scripted: Scripted) -> None:
    auth = Authkeep(URL, transport=httpx2.ASGITransport(scripted))
    async with asking(auth) as client:
        for _ in range(3):
            assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 200
        assert scripted.forget() == 3
        assert not auth._remembered
        scripted.answer = 401, []
        assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 401


@pytest.mark.parametrize("seconds", [0.5, 5, 30])
async def test_a_yes_is_remembered_so_long_and_no_longer(scripted: Scripted, clock: Clock, seconds: float) -> None:
    async with asking(remembering(scripted, clock, seconds)) as client:
        assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 200
        scripted.answer = 401, []  # revoked
        clock.now += seconds - 0.01
        assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 200
        assert scripted.forget() == 1
        assert (await client.get("/me", headers=bearer("a.b.d"))).status_code == 401  # of another token nothing is known
        clock.now += 0.01
        assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 401
        scripted.answer = 204, identity()
        assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 200


async def test_using_it_does_not_make_it_last(scripted: Scripted, clock: Clock) -> None:
    async with remembering(scripted, clock, 30) as auth:
        for _ in range(31):
            await auth.user("a.b.c")
            clock.now += 1
        assert scripted.forget() == 2


async def test_the_time_of_the_question_counts_against_it(clock: Clock) -> None:
    """A slow answer may be as old as its question."""

    class Slow(Scripted):
        async def __call__(self, *call: object) -> None:
            clock.now += 2
            await super().__call__(*call)  # type: ignore[arg-type]  # an ASGI call, passed on as it came

    scripted = Slow()
    async with remembering(scripted, clock, 5) as auth:
        await auth.user("a.b.c")
        clock.now += 2.9
        await auth.user("a.b.c")
        assert scripted.forget() == 1
        clock.now += 0.1
        await auth.user("a.b.c")
        assert scripted.forget() == 1


@pytest.mark.parametrize("answer", [(401, []), (403, []), (429, []), (503, []), (200, identity()), (204, [])])
async def test_a_refusal_is_never_remembered(scripted: Scripted, clock: Clock, answer: tuple[int, list[tuple[str, str]]]) -> None:
    good = scripted.answer
    async with remembering(scripted, clock, 30) as auth:
        for each in (answer, answer):
            scripted.answer = each
            with pytest.raises(HTTPException):
                await auth.user("a.b.c")
        assert scripted.forget() == 2
        scripted.answer = good
        await auth.user("a.b.c")


async def test_roles_are_remembered_with_the_rest(scripted: Scripted, clock: Clock) -> None:
    scripted.answer = 204, identity(roles="admin")
    async with asking(remembering(scripted, clock, 10)) as client:
        assert (await client.get("/admin", headers=bearer("a.b.c"))).status_code == 200
        scripted.answer = 204, identity(roles="user")
        assert (await client.get("/admin", headers=bearer("a.b.c"))).status_code == 200
        assert scripted.forget() == 1
        clock.now += 10
        assert (await client.get("/admin", headers=bearer("a.b.c"))).status_code == 403
        assert scripted.forget() == 1


async def test_only_so_many_are_remembered_and_the_least_used_goes(
    scripted: Scripted, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authkeep_client.client, "MAX_REMEMBERED", 3)
    async with remembering(scripted, clock, 30) as auth:
        for token in ("a", "b", "c", "a", "d"):  # a is used again, so b goes for d
            await auth.user(token)
        assert scripted.forget() == 4
        for token in ("a", "c", "d"):
            await auth.user(token)
        assert scripted.forget() == 0
        await auth.user("b")
        assert scripted.forget() == 1
        for number in range(100):
            await auth.user(f"other{number}")
        assert len(auth._remembered) == 3


async def test_no_token_is_kept(scripted: Scripted, clock: Clock) -> None:
    async with remembering(scripted, clock, 30) as auth:
        await auth.user("secret-token")
        assert len(auth._remembered) == 1
        assert "secret-token" not in repr(vars(auth))
    assert not auth._remembered


async def test_many_at_once_are_each_themselves(scripted: Scripted, clock: Clock) -> None:
    scripted.to = {f"token{number}": (204, identity(username=f"user{number}")) for number in range(50)}
    async with remembering(scripted, clock, 30) as auth:
        for _ in range(2):
            users = await asyncio.gather(*(auth.user(token) for token in scripted.to))
            assert [user.username for user in users] == [f"user{number}" for number in range(50)]
    assert scripted.forget() == 50
