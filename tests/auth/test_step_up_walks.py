"""Long walks through logins, proofs, enrolments and losses: after each step every session may do what a small model says."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.auth import proofs, repository
from app.auth.credentials import SessionCredentials
from app.core.assurance import Proof
from app.core.caller import Fresh
from tests.auth.holding import TickingClock
from tests.auth.proving import App, enrol, log_in_by
from tests.auth.scene import claims_of, refresh
from tests.support import api
from tests.support.clock import TravellingClock

SEEDS, STEPS = range(4), 50
LIMIT, NEAR = timedelta(minutes=10), timedelta(seconds=3)
NAMES = ("log_in", "log_in_remembered", "prove_by_password", "prove_by_both", "add_app", "remove_app", "renew", "wait")


class Different(AssertionError):
    """The server does what the model does not."""


@dataclass
class Known:
    """A session as the model has it: with which of the apps there were it was opened, and proved last; 0 for none."""

    tokens: dict[str, Any]
    proved_at: datetime
    opened_with: int = 0
    proved_with: int = 0
    factors: int = 1
    alive: bool = True

    @property
    def headers(self) -> dict[str, str]:
        return api.bearer(self.tokens)


class Walk:
    """Somebody with some sessions, and perhaps an app, which is the `apps`th."""

    def __init__(self, client: AsyncClient, clock: TravellingClock, user: api.User, seed: int) -> None:
        self.client, self.clock, self.user = client, clock, user
        self.chance = random.Random(seed)
        self.app: App | None = None
        self.apps = 0
        self.sessions = [Known(user.tokens, clock())]
        self.taken: set[str] = set()

    async def go(self) -> None:
        """Walk.

        Raises:
            Different: the server and the model part.
        """
        for _ in range(STEPS):
            name = self.chance.choice(NAMES) if self.alive else "log_in"
            await getattr(self, name)()
            self.taken.add(name)
            await self.compare()
            self.sessions = self.alive

    @property
    def alive(self) -> list[Known]:
        return [each for each in self.sessions if each.alive]

    def is_fresh(self, session: Known) -> bool:
        young = self.clock() - session.proved_at <= LIMIT
        return session.alive and young and (session.factors == 2 or self.app is None)

    async def compare(self) -> None:
        while any(abs(self.clock() - each.proved_at - LIMIT) < NEAR for each in self.alive):
            self.clock.advance(NEAR)
        for session in self.sessions:
            if session.alive and claims_of(session.tokens["access_token"])["exp"] - self.clock().timestamp() < 60:
                await self.refresh(session)
            answers = [await self.client.get(path, headers=session.headers) for path in ("/auth/me", "/fresh")]
            same([each.status_code for each in answers], [200 if yes else 401 for yes in (session.alive, self.is_fresh(session))])

    async def log_in(self) -> None:
        if self.app is None:
            tokens = await api.login(self.client, self.user.username)
            self.sessions.append(Known(tokens, self.clock()))
        else:
            tokens = await log_in_by(self.client, self.user, self.app)
            self.sessions.append(Known(tokens, self.clock(), self.apps, self.apps, 2))

    async def log_in_remembered(self) -> None:
        """Twice in a browser that was told to remember: the second time by the password alone."""
        if self.app is None:
            return
        tokens = await log_in_by(self.client, self.user, self.app, remember_device=True)
        self.sessions.append(Known(tokens, self.clock(), self.apps, self.apps, 2))
        self.sessions.append(Known(await api.login(self.client, self.user.username), self.clock()))
        self.client.cookies.clear()

    async def prove(self, session: Known, **body: str) -> Response:
        proof = {"password": self.user.password, **body}
        return await self.client.post("/auth/reauthenticate", json=proof, headers=session.headers)

    async def prove_by_password(self) -> None:
        session = self.chance.choice(self.alive)
        answer = await self.prove(session)
        same(answer.status_code, 401 if self.app else 200)
        if self.app is None:
            self.renewed(session, answer.json(), self.clock(), 0, 1)

    async def prove_by_both(self) -> None:
        if self.app is not None:
            session = self.chance.choice(self.alive)
            answer = await self.prove(session, code=self.app.code())
            same(answer.status_code, 200)
            self.renewed(session, answer.json(), self.clock(), self.apps, 2)

    def renewed(self, session: Known, tokens: dict[str, Any], at: datetime, app: int, factors: int) -> None:
        session.tokens |= {"access_token": tokens["access_token"]}
        session.proved_at, session.proved_with, session.factors = at, app, factors

    async def add_app(self) -> None:
        """The first ends all sessions but this; another one those that had part in the one it replaces."""
        session = self.chance.choice(self.alive)
        if not self.is_fresh(session):
            same((await self.client.post("/auth/mfa/totp", json={}, headers=session.headers)).status_code, 401)
            return
        replaced, first = self.apps, self.app is None
        self.app, headers = await enrol(self.client, self.clock, session.headers)
        self.apps += 1
        for each in self.alive:
            if each is not session and (first or replaced in (each.opened_with, each.proved_with)):
                each.alive = False
        tokens = {"access_token": headers["Authorization"].removeprefix("Bearer ")}
        proved_with = self.apps if session.factors == 1 else session.proved_with
        self.renewed(session, tokens, session.proved_at, proved_with, 2)

    async def remove_app(self) -> None:
        session = self.chance.choice(self.alive)
        answer = await self.client.delete("/auth/mfa/totp", headers=session.headers)
        fresh = self.is_fresh(session)
        same(answer.status_code, 401 if not fresh else 204 if self.app else 404)
        if fresh and self.app is not None:
            self.app = None
            for each in self.alive:
                if each is not session and self.apps in (each.opened_with, each.proved_with):
                    each.alive = False

    async def renew(self) -> None:
        await self.refresh(self.chance.choice(self.alive))

    async def refresh(self, session: Known) -> None:
        answer = await refresh(self.client, session.tokens)
        same(answer.status_code, 200)
        session.tokens = answer.json()

    async def wait(self) -> None:
        self.clock.advance(timedelta(seconds=self.chance.choice((60, 200, 400))))


def same(found: object, wanted: object) -> None:
    if found != wanted:
        raise Different(f"{found}, wanted {wanted}")


@pytest.fixture
def clock() -> TravellingClock:
    return TickingClock()


@pytest.fixture
def walks(app: FastAPI, client: AsyncClient, clock: TravellingClock) -> Callable[[int], Awaitable[set[str]]]:
    """`await walks(seed)` walks, as somebody new; which steps were taken."""

    async def fresh(caller: Fresh) -> str:
        return str(caller.user_id)

    async def walk(seed: int) -> set[str]:
        user = await api.new_user(client)
        client.cookies.clear()
        walking = Walk(client, clock, user, seed)
        await walking.go()
        return walking.taken

    app.add_api_route("/fresh", fresh)
    return walk


@pytest.mark.asvs("V7.5.1")
async def test_no_walk_gives_a_session_more_than_it_proved(walks: Callable[[int], Awaitable[set[str]]]) -> None:
    taken = [await walks(seed) for seed in SEEDS]
    assert set().union(*taken) == set(NAMES)


async def nobody_has_one(*_: object) -> bool:
    return False


def proof_of_two(at: datetime, amr: str, *_: object) -> Proof:
    """Claims two factors, whatever was given."""
    return Proof(at, amr, "aal2")


async def ends_nothing(*_: object, **__: object) -> list[object]:
    return []


BREAKS: dict[str, tuple[object, str, object]] = {
    "does not ask for the factor": (SessionCredentials, "has_second_factor", nobody_has_one),
    "takes one factor for two": (proofs, "Proof", proof_of_two),
    "leaves the sessions of a lost factor": (repository, "end_sessions_of", ends_nothing),
}


@pytest.mark.parametrize("broken", BREAKS)
async def test_a_server_that_gives_more_is_found(
    walks: Callable[[int], Awaitable[set[str]]], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The control: one of the walks comes across it."""

    async def all_of_them() -> None:
        for seed in SEEDS:
            await walks(seed)

    monkeypatch.setattr(*BREAKS[broken])
    with pytest.raises(Different):
        await all_of_them()
