"""Whatever is called in whatever order: nobody who owes a step holds a live session. Hypothesis looks for the order."""

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.auth import remembered
from app.core.server import Server
from app.mfa.policy import MfaStep
from tests.auth.scene import claims_of, sid_of
from tests.auth.test_cookie_transport import cookies_in
from tests.mail.postman import rows_of
from tests.mfa.app_of import STEP, Authenticator
from tests.support import api
from tests.support.clock import TravellingClock

T = TypeVar("T")
NAME = "authkeep-remembered"
HOW_OFTEN = settings(
    max_examples=8,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # the first order that is found will do
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Person:
    """Somebody, and all that they, or a thief, ever got hold of."""

    user: api.User
    password: str = api.PASSWORD
    app: Authenticator | None = None
    pending: Authenticator | None = None
    codes: list[str] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    tokens: list[dict[str, Any]] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    good: set[str] = field(default_factory=set)  # those of the cookies that were not revoked
    excused: set[uuid.UUID] = field(default_factory=set)  # sessions that such a cookie opened
    seen: list[str] = field(default_factory=list)  # codes of the app that were sent before


@dataclass
class World:
    """The server that a machine plays with."""

    app: FastAPI
    client: AsyncClient
    server: Server
    clock: TravellingClock
    loop: asyncio.AbstractEventLoop
    boss: api.User
    boss_headers: dict[str, str] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it where the server runs; the machine has a thread of its own."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Response:
        answer = await self.client.request(method, path, json=body, headers=headers)
        self.client.cookies.clear()
        assert answer.status_code < 500, answer.text
        return answer


PEOPLE = st.integers(0, 1)
ANY = st.sampled_from([0, 0, 0, 0, 1, 2, 3])  # which of what somebody holds, from the newest on


def newest(held: list[T], back: int) -> T:
    return held[-1 - back % len(held)]


def machine_in(world: World) -> type[RuleBasedStateMachine]:
    """The rules, on this server."""

    class Machine(RuleBasedStateMachine):
        people: list[Person]

        @initialize()
        def arrive(self) -> None:
            world.boss_headers = api.bearer(world.do(api.login(world.client, world.boss.username)))
            world.client.cookies.clear()
            self.people = [Person(world.do(self._newcomer())) for _ in range(2)]
            self.add_an_app(0, 0)  # one begins with a factor, and a browser that is remembered; the other without
            self.wait(1)
            self.come_back(0)

        async def _newcomer(self) -> api.User:
            account = await api.register(world.client)
            return api.User(account["id"], account["username"], account["email"], api.PASSWORD, {})

        def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
            """The body of the answer; whatever opens anything is kept, as a thief would."""
            answer = world.do(world.call(method, path, body, headers))
            found = answer.json() if answer.content else {}
            for person in self.people if isinstance(found, dict) else ():
                if "refresh_token" in found and world.do(self._owner(found)) == person.user.id:
                    person.tokens.append(found)
                    world.reached.add(" ".join(claims_of(found["access_token"])["amr"]))
                    kept = [cookie.value for name, cookie in cookies_in(answer).items() if name == NAME]
                    person.cookies += kept
                    person.good.update(kept)
            return found

        async def _owner(self, tokens: dict[str, Any]) -> str:
            me = await world.call("GET", "/auth/me", headers=api.bearer(tokens))
            return str(me.json().get("id"))

        @rule(who=PEOPLE, cookie=st.none() | ANY, of=PEOPLE)
        def log_in(self, who: int, cookie: int | None, of: int) -> None:
            person, held = self.people[who], self.people[of].cookies
            sent = newest(held, cookie) if held and cookie is not None else None
            headers = {"Cookie": f"{NAME}={sent}"} if sent else {}
            body = {"username": person.user.username, "password": person.password}
            found = self._call("POST", "/auth/login", body, headers)
            if "attempt" in found:
                person.attempts.append(found["attempt"])
            elif sent in person.good:
                person.excused.add(sid_of(found))
                world.reached.add("remembered")

        @rule(who=PEOPLE, attempt=ANY, code=st.sampled_from(["right", "seen", "wrong", "other"]), remember=st.booleans())
        def give_code(self, who: int, attempt: int, code: str, remember: bool) -> None:
            person, other = self.people[who], self.people[1 - who]
            apps = {"right": person.app, "other": other.app, "wrong": None, "seen": None}
            shown = apps[code].code(world.clock()) if apps[code] else "000000"  # type: ignore[union-attr]  # looked at before
            text = person.seen[-1] if code == "seen" and person.seen else shown
            person.seen.append(text)
            if person.attempts:
                body = {"attempt": newest(person.attempts, attempt), "code": text, "remember_device": remember}
                self._call("POST", "/auth/login/totp", body)

        @rule(who=PEOPLE, attempt=ANY, code=ANY, of=PEOPLE)
        def give_recovery_code(self, who: int, attempt: int, code: int, of: int) -> None:
            person, codes = self.people[who], self.people[of].codes
            if person.attempts and codes:
                body = {"attempt": newest(person.attempts, attempt), "code": newest(codes, code)}
                self._call("POST", "/auth/login/recovery", body)

        def _proof(self, person: Person, by: int | None) -> tuple[dict[str, Any], dict[str, str]]:
            if by is not None and person.tokens:
                return {}, api.bearer(newest(person.tokens, by))
            return ({"attempt": person.attempts[-1]}, {}) if person.attempts else ({}, {})

        @rule(who=PEOPLE, by=st.none() | ANY)
        def set_up_an_app(self, who: int, by: int | None) -> None:
            person = self.people[who]
            body, headers = self._proof(person, by)
            found = self._call("POST", "/auth/mfa/totp", body, headers)
            if "secret" in found:
                person.pending = Authenticator(found["secret"])

        @rule(who=PEOPLE, by=st.none() | ANY)
        def confirm_the_app(self, who: int, by: int | None) -> None:
            person = self.people[who]
            if person.pending is None:
                return
            body, headers = self._proof(person, by)
            code = person.pending.code(world.clock())
            found = self._call("POST", "/auth/mfa/totp/confirm", {**body, "code": code}, headers)
            if "access_token" in found:
                person.app, person.pending = person.pending, None
                person.seen.append(code)
                person.good.clear()
                if "attempt" in body:
                    world.reached.add("enrolled by attempt")

        @rule(who=PEOPLE, by=st.none() | ANY)
        def add_an_app(self, who: int, by: int | None) -> None:
            self.log_in(who, None, who)
            self.set_up_an_app(who, by)
            self.confirm_the_app(who, by)

        @rule(who=PEOPLE)
        def be_told_to_add_an_app(self, who: int) -> None:
            self.decide(who, {"required": True})
            self.add_an_app(who, None)

        @rule(who=PEOPLE, remember=st.booleans())
        def sign_in(self, who: int, remember: bool) -> None:
            self.log_in(who, None, who)
            self.wait(1)
            self.give_code(who, 0, "right", remember)

        @rule(who=PEOPLE)
        def come_back(self, who: int) -> None:
            self.sign_in(who, remember=True)
            self.log_in(who, 0, who)

        @rule(who=PEOPLE)
        def recover(self, who: int) -> None:
            self.act(who, 0, "codes")
            self.log_in(who, None, who)
            self.give_recovery_code(who, 0, 0, who)

        @rule(who=PEOPLE, by=ANY, what=st.sampled_from(["codes", "remove", "everywhere", "forget", "password", "again"]))
        def act(self, who: int, by: int, what: str) -> None:
            person = self.people[who]
            if not person.tokens:
                return
            tokens = newest(person.tokens, by)
            headers, code = api.bearer(tokens), person.app.code(world.clock()) if person.app else None
            changed = f"{person.password}x" if len(person.password) < 60 else person.password
            method, path, body = {
                "codes": ("POST", "/auth/mfa/recovery-codes", None),
                "remove": ("DELETE", "/auth/mfa/totp", None),
                "everywhere": ("POST", "/auth/logout-all", None),
                "forget": ("DELETE", "/auth/mfa/remembered-devices", None),
                "password": ("POST", "/auth/change-password", {"current_password": person.password, "new_password": changed}),
                "again": ("POST", "/auth/reauthenticate", {"password": person.password} | ({"code": code} if code else {})),
            }[what]
            found = self._call(method, path, body, headers)
            if what == "codes" and "codes" in found:
                person.codes = found["codes"] + person.codes
            if what == "password" and "access_token" in found:
                person.password = changed
            if what in {"remove", "everywhere", "forget", "password"} and "code" not in found:
                person.good.clear()

        @rule(who=PEOPLE, by=ANY)
        def refresh(self, who: int, by: int) -> None:
            tokens = self.people[who].tokens
            if tokens:
                self._call("POST", "/auth/refresh", {"refresh_token": newest(tokens, by)["refresh_token"]})

        @rule(who=PEOPLE, body=st.sampled_from([{"required": True}, {"required": False}, {"reset": True}]))
        def decide(self, who: int, body: dict[str, bool]) -> None:
            person = self.people[who]
            found = self._call("PUT", f"/users/{person.user.id}/mfa", body, world.boss_headers)
            if "reset" in body and "methods" in found:
                person.good.clear()

        @rule(steps=st.sampled_from([1, 2]))
        def wait(self, steps: int) -> None:
            world.clock.advance(steps * STEP)

        @invariant()
        def nobody_who_owes_a_step_is_signed_in(self) -> None:
            assert world.do(owing(world, self.people)) == []

    return Machine


async def owing(world: World, people: list[Person]) -> list[str]:
    """The live sessions of those who must have given a second factor, did not, and were not remembered to have."""
    guarded = {row["user_id"] for row in await rows_of(world.server, "totp_factors") if row["confirmed_at"]}
    required = {row["user_id"] for row in await rows_of(world.server, "mfa_requirements") if row["required_at"]}
    excused = {session for person in people for session in person.excused}
    ours = {uuid.UUID(person.user.id) for person in people}  # those of earlier games are still there
    return [
        f"{row['amr']} {row['acr']}"
        for row in await rows_of(world.server, "sessions")
        if row["ended_at"] is None
        and row["user_id"] in ours
        and (
            (row["user_id"] in guarded and row["acr"] == "aal1" and row["id"] not in excused)
            or (row["user_id"] in required and row["user_id"] not in guarded)
        )
    ]


async def play(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> World:
    """Let Hypothesis play; the world, for what was reached."""
    boss = await api.new_admin(app, client)
    world = World(app, client, server, clock, asyncio.get_running_loop(), boss)
    await asyncio.to_thread(run_state_machine_as_test, machine_in(world), settings=HOW_OFTEN)
    return world


@pytest.mark.asvs("V6.3.3", "V6.3.4")
async def test_no_sequence_of_calls_signs_in_who_owes_a_step(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    world = await play(app, client, server, clock)
    # It got about: each way was gone to its end.
    assert world.reached >= {"pwd", "pwd otp", "pwd recovery", "enrolled by attempt", "remembered"}


async def nothing_owed(*_: object) -> None:
    """A step that asks for nothing."""


async def test_control_a_step_left_out_is_found(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MfaStep, "owes", nothing_owed)
    with pytest.raises(AssertionError, match="pwd aal1"):
        await play(app, client, server, clock)


async def test_control_a_cookie_that_outlives_its_factor_is_found(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def anybody(*_: object) -> bool:
        return True

    monkeypatch.setattr(remembered, "is_remembered", anybody)
    with pytest.raises(AssertionError, match="pwd aal1"):
        await play(app, client, server, clock)
