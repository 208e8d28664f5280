"""The database is asked the same for everybody: statement by statement, transaction by transaction, in the same order.

What a known account in any state costs at login and at forgot-password is what an unknown one costs. The listener hears every
statement and every begin, commit and rollback of both engines; what is compared is their text, in which values are places.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx2 import AsyncClient, Response
from redis import Redis
from sqlalchemy import event, insert, select
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncConnection

from app import statements
from app.auth import service as auth
from app.auth.deps import AuthKit
from app.auth.models import LoginFailure
from app.auth.service import STOP_AT
from app.core.crypto import keyed_digest
from app.core.server import Server
from app.database import Database
from app.jobs.models import Job
from app.passwords import service as passwords
from app.users.models import User
from app.users.names import name_key
from bench.accounts import PASSWORD, WRONG
from bench.broken_timing import hasty_log_in, inline_request_reset
from tests.support import api
from tests.support.redis import RedisServer
from tests.support.stacks import Stack

pytestmark = [
    pytest.mark.promise("P8"),
    pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_LOGIN="9999/minute", RATE_LIMIT_FORGOT_PASSWORD="9999/minute"),
]
KNOWN = ("active", "disabled", "stopped", "leaving", "left for good")
LEFT = {"leaving": timedelta(days=6), "left for good": timedelta(days=7, seconds=1)}
WELCOME = {"active", "leaving"}  # to whoever knows the password
NOT_OF_THE_ANSWER = {"x-request-id", "date"}


@contextmanager
def heard(database: Database) -> Iterator[list[str]]:
    """What the database is asked meanwhile: by SQLAlchemy, and past it (app/statements.py)."""
    asked: list[str] = []
    execute = statements._execute

    async def past(connection: AsyncConnection, text: bytes, parameters: list[Any]) -> Any:
        asked.append(text.decode())
        return await execute(connection, text, parameters)

    def statement(_connection: Any, _cursor: Any, text: str, _values: Any, _context: Any, many: bool) -> None:
        asked.append(f"{text} [many]" if many else text)

    def boundary(name: str) -> Callable[[Any], None]:
        return lambda _connection: asked.append(name)

    engines = list({id(engine): engine.sync_engine for engine in (database._writer, database._reader)}.values())
    listeners: list[tuple[Engine, str, Any]] = []
    for engine in engines:
        for name, listener in [
            ("before_cursor_execute", statement),
            *((n, boundary(n)) for n in ("begin", "commit", "rollback")),
        ]:
            event.listen(engine, name, listener)  # type: ignore[arg-type]  # any of the events
            listeners.append((engine, name, listener))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(statements, "_execute", past)
            yield asked
    finally:
        for engine, name, listener in listeners:
            event.remove(engine, name, listener)


def words(response: Response) -> tuple[int, dict[str, str], str]:
    """All of an answer that may not differ."""
    headers = {name: value for name, value in response.headers.items() if name not in NOT_OF_THE_ANSWER}
    return response.status_code, headers, response.text


async def account(client: AsyncClient, server: Server, state: str) -> str:
    """The address of a new account in this state; for "unknown", one that nobody has."""
    if state == "unknown":
        return f"{api.new_username()}@example.com"
    user = await api.register(client, password=PASSWORD)
    async with server.database.write() as db:
        row = (await db.scalars(select(User).where(User.username == user["username"]))).one()
        if state == "disabled":
            row.disabled_at = datetime.now(UTC)
        if state in LEFT:
            row.leaving_at = datetime.now(UTC) - LEFT[state]
        if state == "stopped":
            await add_failures(server, db, auth.account_lane_of(server.kit(AuthKit), row.id), STOP_AT)
    return str(user["email"])


async def add_failures(server: Server, db: Any, lane: bytes, failures: int) -> None:
    now = server.clock()
    await db.execute(
        insert(LoginFailure).values(
            key=lane,
            failures=failures,
            told_at=now if failures >= STOP_AT else None,
            next_at=now,
            forget_at=now + timedelta(days=1),
        )
    )


async def login(client: AsyncClient, address: str, *, password: str = WRONG, **more: str) -> Response:
    return await client.post("/auth/login", json={"email": address, "password": password, **more})


async def forget(client: AsyncClient, address: str) -> Response:
    return await client.post("/auth/forgot-password", json={"email": address})


@pytest.fixture
async def asked(client: AsyncClient, server: Server) -> AsyncIterator[list[str]]:
    """What the database is asked from here on; connections and the compiled statements are there already."""
    await login(client, "warm@example.com")
    await forget(client, "warm@example.com")
    with heard(server.database) as asked:
        yield asked


@pytest.mark.parametrize("typed", ["a wrong password", "a wrong password and a device", "the right password"])
@pytest.mark.parametrize("state", KNOWN)
async def test_a_login_asks_the_database_the_same_for_everybody(
    state: str, typed: str, client: AsyncClient, server: Server, asked: list[str]
) -> None:
    right = typed == "the right password"
    if right and state in WELCOME:
        typed = "a wrong password"  # the right one is no refusal
    more = {"device": "A" * 43} if "device" in typed else {}
    seen, answers = [], []
    for each in ("unknown", state):
        address = await account(client, server, each)
        asked.clear()
        answers.append(
            words(await login(client, address, password=PASSWORD if right and state not in WELCOME else WRONG, **more))
        )
        seen.append(list(asked))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    assert seen[0] == seen[1]
    assert sum(text == "commit" for text in seen[0]) == 2
    assert any("audit_events" in text for text in seen[0])
    assert any("login_failures" in text for text in seen[0])


@pytest.mark.parametrize("state", KNOWN)
async def test_every_further_try_asks_the_same_until_it_has_to_wait(
    state: str, client: AsyncClient, server: Server, asked: list[str]
) -> None:
    tries: list[list[tuple[list[str], Any]]] = []
    for each in ("unknown", state):
        address = await account(client, server, each)
        mine = []
        for _ in range(7):
            asked.clear()
            answer = words(await login(client, address))
            mine.append((list(asked), answer))
        tries.append(mine)
    assert [answer[0] for _, answer in tries[0]] == [401, 401, 401, 401, 401, 429, 429]
    assert tries[0] == tries[1]


async def test_the_failure_that_stops_an_account_asks_the_same_where_there_is_none(
    client: AsyncClient, server: Server, asked: list[str]
) -> None:
    """It writes an audit row and a mail to the owner; of an account that is not there too, the mail to nobody."""
    kit, seen = server.kit(AuthKit), []
    for each in ("unknown", "active"):
        address = await account(client, server, each)
        async with server.database.write() as db:
            user = await db.scalar(select(User).where(User.email_key == address))
            lane = auth.account_lane_of(kit, user.id) if user else keyed_digest(kit.lane_key, "account", name_key(address))
            await add_failures(server, db, lane, STOP_AT - 1)
        asked.clear()
        assert (await login(client, address)).status_code == 401
        seen.append(list(asked))
    assert seen[0] == seen[1]
    assert any("INSERT INTO jobs" in text for text in seen[0])


@pytest.mark.parametrize("state", KNOWN)
async def test_forgetting_a_password_asks_the_database_the_same_for_everybody(
    state: str, client: AsyncClient, server: Server, asked: list[str]
) -> None:
    tries: list[list[tuple[list[str], Any]]] = []
    for each in ("unknown", state):
        address = await account(client, server, each)
        mine = []
        for _ in range(4):
            asked.clear()
            answer = words(await forget(client, address))
            mine.append((list(asked), answer))
        tries.append(mine)
    assert tries[0] == tries[1]
    assert {answer[0] for _, answer in tries[0]} == {202}
    first, dropped = tries[0][0][0], tries[0][3][0]
    assert any("INSERT INTO jobs" in text for text in first)
    assert not any("INSERT INTO jobs" in text for text in dropped), "the fourth in an hour is dropped, for everybody"


async def test_the_job_of_a_forgotten_password_holds_the_same_for_everybody(client: AsyncClient, server: Server) -> None:
    shapes = []
    for each in ("unknown", "active"):
        address = await account(client, server, each)
        await forget(client, address)
        async with server.database.read() as db:
            job = (await db.scalars(select(Job).where(Job.kind == passwords.KIND).order_by(Job.created_at.desc()))).first()
        assert job is not None
        assert job.payload.pop("email") == address
        shapes.append({name: type(value) for name, value in job.payload.items()})
    assert shapes[0] == shapes[1]


async def test_redis_is_asked_the_same_for_everybody(
    client: AsyncClient, server: Server, stack: Stack, request: pytest.FixtureRequest
) -> None:
    if not stack.redis:
        assert server.refusals is None, "there is no Redis to ask on this stack"
        return
    redis_server: RedisServer = request.getfixturevalue("redis_server")
    with redis_server.connect() as redis:
        for ask in (login, forget):
            await ask(client, "warm@example.com")
            counts = []
            for state in ("unknown", *KNOWN):
                address = await account(client, server, state)
                counts.append(await calls_of(redis, ask, client, address))
            assert counts[0]
            assert all(each == counts[0] for each in counts), counts


async def calls_of(redis: Redis, ask: Any, client: AsyncClient, address: str) -> dict[str, int]:
    """How often which command reached Redis during one request."""
    redis.config_resetstat()
    await ask(client, address)
    found: dict[str, Any] = redis.info("commandstats")
    return {name: each["calls"] for name, each in found.items() if not name.startswith(("cmdstat_config", "cmdstat_info"))}


# The control: what the broken server of bench/ asks is not the same, and is heard.


@pytest.mark.parametrize(
    ("module", "name", "broken", "ask"),
    [(auth, "log_in", hasty_log_in, login), (passwords, "request_reset", inline_request_reset, forget)],
    ids=["login", "forgot-password"],
)
async def test_a_server_that_returns_early_is_heard(
    module: Any,
    name: str,
    broken: Any,
    ask: Any,
    client: AsyncClient,
    server: Server,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, broken)
    seen = []
    for state in ("unknown", "active"):
        address = await account(client, server, state)
        asked.clear()
        await ask(client, address)
        seen.append(list(asked))
    assert seen[0] != seen[1]
