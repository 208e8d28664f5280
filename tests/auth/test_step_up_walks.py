"""Long walks through logins, proofs, enrolments and losses: after each step every session may do what a small model says."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.auth import proofs, repository
from app.auth.credentials import SessionCredentials
from app.auth.sessions import Pair, open_session
from app.core.assurance import Proof
from app.core.caller import Fresh
from tests.auth.holding import TickingClock
from tests.auth.proving import App, enrol, log_in_by
from tests.auth.scene import claims_of, refresh
from tests.passkeys import scene as passkeys
from tests.passkeys.authenticator import Authenticator
from tests.support import api
from tests.support.clock import TravellingClock

SEEDS, STEPS = range(4), 70
LIMIT, NEAR = timedelta(minutes=10), timedelta(seconds=3)
NAMES: tuple[str, ...] = (
    "log_in",
    "log_in_remembered",
    "log_in_by_key",
    "prove_by_password",
    "prove_by_both",
    "prove_by_key",
    "change_password",
    "add_app",
    "add_key",
    "remove_app",
    "remove_key",
    "renew",
    "wait",
)


class Different(AssertionError):
    """The server does what the model does not."""


@dataclass
class Known:
    """A session as the model has it: the factors that had part in its login and its last proof, and how many that one had."""

    tokens: dict[str, Any]
    proved_at: datetime
    opened_with: str = ""
    proved_with: str = ""
    factors: int = 1
    alive: bool = True

    @property
    def headers(self) -> dict[str, str]:
        return api.bearer(self.tokens)


class Walk:
    """Somebody with some sessions, and perhaps an app and a passkey; each that there was has a name of its own."""

    def __init__(self, client: AsyncClient, clock: TravellingClock, user: api.User, seed: int) -> None:
        self.client, self.clock, self.user = client, clock, user
        self.chance = random.Random(seed)
        self.app: App | None = None
        self.key: Authenticator | None = None
        self.app_name = self.key_name = self.key_id = ""
        self.sessions = [Known(user.tokens, clock())]
        self.taken: set[str] = set()

    async def go(self) -> None:
        """Walk.

        Raises:
            Different: the server and the model part.
        """
        for _ in range(STEPS):
            name = self.chance.choice((*NAMES, "wait", "change_password")) if self.alive else "log_in"
            if await getattr(self, name)() is not False:
                self.taken.add(name)
            await self.compare()
            self.sessions = self.alive

    @property
    def alive(self) -> list[Known]:
        return [each for each in self.sessions if each.alive]

    @property
    def has_factor(self) -> bool:
        return self.app is not None or self.key is not None

    def some(self) -> Known:
        return self.chance.choice(self.alive)

    def is_fresh(self, session: Known) -> bool:
        young = self.clock() - session.proved_at <= LIMIT
        return session.alive and young and (session.factors == 2 or not self.has_factor)

    async def compare(self) -> None:
        while any(abs(self.clock() - each.proved_at - LIMIT) < NEAR for each in self.alive):
            self.clock.advance(NEAR)
        for session in self.sessions:
            if session.alive and claims_of(session.tokens["access_token"])["exp"] - self.clock().timestamp() < 60:
                await self.refresh(session)
            answers = [await self.client.get(path, headers=session.headers) for path in ("/auth/me", "/fresh")]
            same([each.status_code for each in answers], [200 if yes else 401 for yes in (session.alive, self.is_fresh(session))])

    # Coming in.

    async def log_in(self) -> None:
        self.sessions.append(await self.second_step() if self.has_factor else await self.by_password())

    async def log_in_remembered(self) -> bool:
        """Twice in a browser that was told to remember: the second time by the password alone."""
        if self.has_factor:
            self.sessions += [await self.second_step(remember_device=True), await self.by_password()]
            self.client.cookies.clear()
        return self.has_factor

    async def log_in_by_key(self) -> bool:
        if self.key is not None:
            answer = await passkeys.sign_in(self.client, self.key)
            same(answer.status_code, 200)
            self.sessions.append(Known(answer.json(), self.clock(), self.key_name, self.key_name, 2))
        return self.key is not None

    async def by_password(self) -> Known:
        return Known(await api.login(self.client, self.user.username, self.user.password), self.clock())

    async def second_step(self, **more: bool) -> Known:
        if self.app is not None:
            tokens = await log_in_by(self.client, self.user, self.app, **more)
            return Known(tokens, self.clock(), self.app_name, self.app_name, 2)
        assert self.key is not None
        answer = await passkeys.go_on(self.client, self.key, await passkeys.begin(self.client, self.user), None, **more)
        same(answer.status_code, 200)
        return Known(answer.json(), self.clock(), self.key_name, self.key_name, 2)

    # Proving it once more.

    async def prove_by_password(self) -> None:
        session = self.some()
        answer = await self.prove(session, password=self.user.password)
        same(answer.status_code, 401 if self.has_factor else 200)
        if not self.has_factor:
            self.renewed(session, answer.json(), self.clock(), "", 1)

    async def prove_by_both(self) -> bool:
        if self.app is not None:
            session = self.some()
            answer = await self.prove(session, password=self.user.password, code=self.app.code())
            same(answer.status_code, 200)
            self.renewed(session, answer.json(), self.clock(), self.app_name, 2)
        return self.app is not None

    async def prove_by_key(self) -> bool:
        """Now alone, now beside the password."""
        if self.key is not None:
            session = self.some()
            asked = await self.client.post("/auth/reauthenticate/passkey/options", headers=session.headers)
            body = {"credential": self.key.sign(asked.json()["public_key"])}
            answer = await self.prove(session, **body, **self.chance.choice(({}, {"password": self.user.password})))
            same(answer.status_code, 200)
            self.renewed(session, answer.json(), self.clock(), self.key_name, 2)
        return self.key is not None

    async def change_password(self) -> None:
        """One session goes on in a new one, and rests on no more than before."""
        session, new = self.some(), f"Harbour-{self.chance.random()}-kettle!"
        body = {"current_password": self.user.password, "new_password": new}
        answer = await self.client.post("/auth/change-password", json=body, headers=session.headers)
        may = not self.has_factor or (self.is_fresh(session) and session.factors == 2)
        same(answer.status_code, 200 if may else 401)
        if may:
            self.user = replace(self.user, password=new)
            two = session.factors == 2
            factor = (session.proved_with or session.opened_with) if two else ""
            for each in self.alive:
                each.alive = False
            at = session.proved_at if two else self.clock()
            self.sessions.append(Known(answer.json(), at, factor, factor, session.factors))

    async def prove(self, session: Known, **body: Any) -> Response:
        return await self.client.post("/auth/reauthenticate", json=body, headers=session.headers)

    def renewed(self, session: Known, tokens: dict[str, Any], at: datetime, factor: str, factors: int) -> None:
        session.tokens |= {"access_token": tokens["access_token"]}
        session.proved_at, session.proved_with, session.factors = at, factor, factors

    # Gaining and losing factors.

    async def add_app(self) -> None:
        """In place of another, if there is one: what that one had part in ends."""
        session = self.some()
        if not self.is_fresh(session):
            same((await self.client.post("/auth/mfa/totp", json={}, headers=session.headers)).status_code, 401)
            return
        first, replaced = not self.has_factor, self.app_name if self.app else None
        self.app, headers = await enrol(self.client, self.clock, session.headers)
        self.app_name = f"app {self.chance.random()}"
        if replaced is not None:
            self.end_with(replaced, but=session)
        self.added(session, {"access_token": headers["Authorization"].removeprefix("Bearer ")}, self.app_name, first=first)

    async def add_key(self) -> bool:
        session = self.some()
        asked = await self.client.post("/auth/passkeys/options", json={}, headers=session.headers)
        same(asked.status_code, 200 if self.is_fresh(session) else 401)
        if asked.status_code == 401 or self.key is not None:
            return False
        first, self.key = not self.has_factor, Authenticator()
        body = {"credential": self.key.create(asked.json()["public_key"])}
        answer = await self.client.post("/auth/passkeys", json=body, headers=session.headers)
        same(answer.status_code, 201)
        self.key_name, self.key_id = f"key {self.chance.random()}", answer.json()["passkey"]["id"]
        self.added(session, answer.json()["tokens"], self.key_name, first=first)
        return True

    def added(self, session: Known, tokens: dict[str, Any], factor: str, *, first: bool) -> None:
        """The first factor ends all sessions but the one that acts, which rises if it rested on one."""
        for each in self.alive:
            if first and each is not session:
                each.alive = False
        factor = factor if session.factors == 1 else session.proved_with
        self.renewed(session, tokens, session.proved_at, factor, 2)

    async def remove_app(self) -> None:
        session = self.some()
        answer = await self.client.delete("/auth/mfa/totp", headers=session.headers)
        fresh = self.is_fresh(session)
        same(answer.status_code, 401 if not fresh else 204 if self.app else 404)
        if fresh and self.app is not None:
            self.app = None
            self.end_with(self.app_name, but=session)

    async def remove_key(self) -> None:
        session = self.some()
        answer = await self.client.delete(f"/auth/passkeys/{self.key_id or session_id(session)}", headers=session.headers)
        fresh = self.is_fresh(session)
        same(answer.status_code, 401 if not fresh else 204 if self.key else 404)
        if fresh and self.key is not None:
            self.key = None
            self.end_with(self.key_name, but=session)

    def end_with(self, factor: str, *, but: Known) -> None:
        for each in self.alive:
            if each is not but and factor in (each.opened_with, each.proved_with):
                each.alive = False

    # Time.

    async def renew(self) -> None:
        await self.refresh(self.some())

    async def refresh(self, session: Known) -> None:
        answer = await refresh(self.client, session.tokens)
        same(answer.status_code, 200)
        session.tokens = answer.json()

    async def wait(self) -> None:
        self.clock.advance(timedelta(seconds=self.chance.choice((100, 250, 350))))


def session_id(session: Known) -> str:
    found: str = claims_of(session.tokens["access_token"])["sid"]
    return found


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


async def open_as_of_now(*given: Any, at: datetime, **named: Any) -> Pair:
    """Takes what was proved before for proved now."""
    return await open_session(*given, **named)


BREAKS: dict[str, tuple[object, str, object]] = {
    "does not ask for the factor": (SessionCredentials, "has_second_factor", nobody_has_one),
    "takes one factor for two": (proofs, "Proof", proof_of_two),
    "makes a proof younger by a change of password": (proofs, "open_session", open_as_of_now),
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
