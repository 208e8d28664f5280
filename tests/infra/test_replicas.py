"""Two replicas that are asked without pause: a change that was answered counts for every request begun afterwards (P2).

A request may begin at any moment of a batch: before it, in it, while its statement is under way. What counts is when it began
by the clock of this process, and when the change was answered, by the same clock.
"""

import asyncio
import random
import secrets
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.infra.wire import Reply, Wire
from tests.support.api import PASSWORD
from tests.support.servers import ServerProcess
from tests.support.stacks import EMBEDDED, SERVICES, Stack

pytestmark = pytest.mark.faults
BROKEN = Path(__file__).parent / "broken"
CHANGERS = 4
REVOCATIONS = 60
ASKED_AFTERWARDS = 8  # on each replica, after each change
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Load:
    """So many ask on each replica, and pause for up to so many seconds: who never pauses asks in step with the batches."""

    askers: int
    pause: float = 0.0


@dataclass(eq=False)
class Session:
    """A session as this test knows it: when it began to be over, and which role was said from when on."""

    token: str
    roles: list[tuple[float, str]]  # (when the change was answered, role); infinity while it is under way
    over_at: float = float("inf")
    begun: dict[int, list[float]] = field(default_factory=lambda: {0: [], 1: []})  # replica -> when requests began

    def may_say(self, role: str, began: float) -> bool:
        settled = [name for since, name in self.roles if since <= began]
        return role in {settled[-1], *(name for since, name in self.roles if since > began)}


@dataclass(eq=False)
class Person:
    name: str
    id: str = ""
    password: str = PASSWORD
    session: Session | None = None


@dataclass(eq=False)
class Scene:
    ports: tuple[int, int]
    database_url: str
    chance: random.Random
    admin: str = ""
    people: list[Person] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    asked: int = 0
    revoked: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def commit(self, statement: str, user_id: str) -> None:
        """Change a row as another program would."""
        await asyncio.to_thread(self._commit, statement, user_id)

    def _commit(self, statement: str, user_id: str) -> None:
        if self.database_url.startswith("sqlite"):
            file = self.database_url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(file, timeout=10, isolation_level=None)) as database:
                assert database.execute(statement, (uuid.UUID(user_id).hex,)).rowcount == 1
            return
        with psycopg.connect(self.database_url, autocommit=True) as postgres:
            assert postgres.execute(statement.replace("?", "%s").encode(), (uuid.UUID(user_id),)).rowcount == 1

    async def ask_on(self, replica: int, pause: float) -> None:
        """Ask for somebody's session, again and again."""
        wire = await Wire.open(self.ports[replica])
        try:
            while not self.over.is_set():
                sessions = [person.session for person in self.people if person.session is not None]
                if not sessions:
                    await asyncio.sleep(0.001)
                    continue
                session, path = self.chance.choice(sessions), self.chance.choice(("/auth/me", "/auth/verify", "/auth/verify/x"))
                began = time.monotonic()
                session.begun[replica].append(began)
                reply = await wire.send("GET", path, session.token)
                self.judge(session, began, path, reply)
                if pause:
                    await asyncio.sleep(self.chance.uniform(0, pause))
        finally:
            wire.close()

    def judge(self, session: Session, began: float, path: str, reply: Reply) -> None:
        self.asked += 1
        after = f"{path} begun {(began - session.over_at) * 1000:.1f} ms after: {reply.status}"
        if reply.status not in {200, 204, 401}:
            self.wrong.append(f"neither yes nor no: {after}")
        elif reply.status == 401:
            if session.over_at == float("inf"):
                self.wrong.append(f"refused before: {path}")
        elif session.over_at < began:
            self.wrong.append(f"not refused: {after}")
        else:
            role = reply.json["role"] if path == "/auth/me" else reply.headers["x-auth-roles"]
            if not session.may_say(role, began):
                self.wrong.append(f"stale role: {role} of {session.roles} at {began}: {path}")

    async def until_asked(self, session: Session, since: float, times: int) -> None:
        """Until so many requests began after a moment, on each replica."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while min(sum(began > since for began in session.begun[replica]) for replica in (0, 1)) < times:
                await asyncio.sleep(0.002)


Way = Callable[[Scene, Person, Wire, Session], Awaitable[Reply]]


async def _change_password(scene: Scene, person: Person, wire: Wire, session: Session) -> Reply:
    old, person.password = person.password, f"{PASSWORD}-{secrets.token_hex(4)}"
    body = {"current_password": old, "new_password": person.password}
    return await wire.send("POST", "/auth/change-password", session.token, body)


async def _switch_role(scene: Scene, person: Person, wire: Wire, session: Session) -> Reply:
    role = "user" if session.roles[-1][1] == "admin" else "admin"
    session.roles.append((float("inf"), role))
    return await wire.send("PUT", f"/users/{person.id}/role", scene.admin, {"role": role})


WAYS: list[Way] = [
    lambda scene, person, wire, session: wire.send("POST", "/auth/logout", session.token),
    lambda scene, person, wire, session: wire.send("POST", "/auth/logout-all", session.token),
    lambda scene, person, wire, session: wire.send("PUT", f"/users/{person.id}/status", scene.admin, {"active": False}),
    _change_password,
    _switch_role,
]


async def change(scene: Scene, person: Person, target: int) -> None:
    """Somebody signs in, gets another role by a bare commit, and is thrown out, until that happened often enough."""
    wires = [await Wire.open(port) for port in scene.ports]
    try:
        while scene.revoked < target and not scene.over.is_set():
            wire = scene.chance.choice(wires)
            body = {"username": person.name, "password": person.password}
            login = await wire.send("POST", "/auth/login", None, body)
            assert login.status == 200, login
            token = login.json["access_token"]
            me = await wire.send("GET", "/auth/me", token)
            session = person.session = Session(token, [(0.0, me.json["role"])])
            await scene.until_asked(session, 0.0, 1)
            role = "user" if session.roles[-1][1] == "admin" else "admin"
            session.roles.append((float("inf"), role))
            await scene.commit(f"UPDATE users SET role = '{role}' WHERE id = ?", person.id)
            session.roles[-1] = (time.monotonic(), role)
            await scene.until_asked(session, time.monotonic(), 3)
            way = scene.chance.choice(WAYS)
            ends_at, session.over_at = time.monotonic(), 2**60  # from here on a no may be right
            reply = await way(scene, person, scene.chance.choice(wires), session)
            session.over_at = time.monotonic()
            assert reply.status in {200, 204}, (reply, session.over_at - ends_at)
            await scene.until_asked(session, session.over_at, ASKED_AFTERWARDS)
            person.session = None
            scene.revoked += 1
            if reply.body and reply.json.get("active") is False:
                enabled = await wire.send("PUT", f"/users/{person.id}/status", scene.admin, {"active": True})
                assert enabled.status == 200
    finally:
        for wire in wires:
            wire.close()


@asynccontextmanager
async def replicas(env: dict[str, str], folder: Path, launcher: str | None) -> AsyncIterator[Scene]:
    """Two processes on one database, some people, and an admin who is none of them."""
    script = BROKEN / f"{launcher}.py" if launcher else None
    one, two = (ServerProcess("serve", env, folder / name, launcher=script) for name in ("one", "two"))
    with one, two:
        await asyncio.gather(*(asyncio.to_thread(each.wait_ready, PATIENCE_SECONDS) for each in (one, two)))
        scene = Scene((one.port, two.port), env["DATABASE_URL"], random.Random(11))
        wire = await Wire.open(one.port)
        for number in range(CHANGERS + 1):
            person = Person(f"person{number}")
            body: dict[str, Any] = {"username": person.name, "email": f"{person.name}@example.com", "password": PASSWORD}
            registered = await wire.send("POST", "/auth/register", None, body)
            person.id = registered.json["id"]
            scene.people.append(person)
        boss = scene.people.pop()
        await scene.commit("UPDATE users SET role = 'admin' WHERE id = ?", boss.id)
        login = await wire.send("POST", "/auth/login", None, {"username": boss.name, "password": PASSWORD})
        scene.admin = login.json["access_token"]
        wire.close()
        yield scene


async def found_by_asking(env: dict[str, str], folder: Path, load: Load, *, revocations: int, launcher: str | None) -> Scene:
    """Change and ask side by side; a scene with what was wrong."""
    async with replicas(env, folder, launcher) as scene:
        asking = [asyncio.create_task(scene.ask_on(replica, load.pause)) for replica in (0, 1) for _ in range(load.askers)]
        changing = [asyncio.create_task(change(scene, person, revocations)) for person in scene.people]
        try:
            await asyncio.gather(*changing)
        finally:
            scene.over.set()
            ended = await asyncio.gather(*asking, return_exceptions=True)
            await asyncio.gather(*changing, return_exceptions=True)
        assert [each for each in ended if each is not None] == []
        print(f"{launcher}: {scene.revoked} revocations, {scene.asked} checks, {len(scene.wrong)} wrong")
        return scene


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("stack", "launcher", "load"),
    [(EMBEDDED, None, Load(2)), (SERVICES, None, Load(6)), (SERVICES, "answers_come_late", Load(16, 0.02))],
    ids=["embedded", "services", "services far away"],
)
async def test_no_request_begun_after_a_change_sees_what_was_before(
    stack: Stack, env: dict[str, str], tmp_path: Path, launcher: str | None, load: Load
) -> None:
    scene = await found_by_asking(env, tmp_path, load, revocations=REVOCATIONS, launcher=launcher)
    assert scene.wrong == []
    assert scene.revoked >= REVOCATIONS
    assert scene.asked > 2 * ASKED_AFTERWARDS * REVOCATIONS


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("stack", "launcher", "load"),
    [
        (EMBEDDED, "remembers_for_a_moment", Load(2)),
        (SERVICES, "remembers_for_a_moment", Load(6)),
        (SERVICES, "joins_statements", Load(16, 0.02)),
    ],
    ids=["embedded remembers", "services remembers", "services joins"],
)
async def test_control_a_server_that_is_a_moment_behind_is_found(
    stack: Stack, env: dict[str, str], tmp_path: Path, launcher: str, load: Load
) -> None:
    scene = await found_by_asking(env, tmp_path, load, revocations=60, launcher=launcher)
    assert any("not refused" in each for each in scene.wrong), scene.asked
    assert any("stale role" in each for each in scene.wrong), scene.asked
