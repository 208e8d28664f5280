"""The fixtures of the suite: servers to stand on, a stack's environment, the app on it and a client of the app."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.support.apps import client_of, running
from tests.support.clock import TravellingClock
from tests.support.collection import Suite, read_list, read_one_stack
from tests.support.forks import Forking
from tests.support.postgres import Cluster, Postgres
from tests.support.processes import ROOT, fast_temp
from tests.support.redis import RedisServer
from tests.support.session import Session
from tests.support.smtp import SmtpServer
from tests.support.stacks import Stack, Templates, new_name, settings_env

if TYPE_CHECKING:
    from app.config import Settings
    from app.core.server import Server

HERE = Path(__file__).parent
SESSION = pytest.StashKey[Session]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "env(**settings): settings of this test's server, e.g. RATE_LIMIT_ENABLED='true'")
    one_stack = read_one_stack(HERE / "one_stack.txt", ROOT)
    config.pluginmanager.register(Suite(one_stack, read_list(HERE / "skips.txt", ROOT)), "authkeep-suite")
    config.stash[SESSION] = Session(config)
    Forking.wanted = True


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist sets up a worker."""
    node.config.stash[SESSION].tell(node.workerinput)


def pytest_unconfigure(config: pytest.Config) -> None:
    if SESSION in config.stash:
        config.stash[SESSION].close()


# Servers. Those of the whole run or worker are shared: a test that breaks one asks for a private one.


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Cluster:
    """One PostgreSQL for the whole run."""
    return pytestconfig.stash[SESSION].cluster


@pytest.fixture(scope="session")
def templates(pytestconfig: pytest.Config) -> Templates:
    """Migrated databases to copy."""
    return Templates(pytestconfig.stash[SESSION].folder)


@pytest.fixture(scope="session")
def _redis_of_worker() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(_redis_of_worker: RedisServer) -> RedisServer:
    """One Redis for each xdist worker, empty at the start of each test."""
    _redis_of_worker.flush()
    return _redis_of_worker


@pytest.fixture(scope="session")
def _smtp_of_worker() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


@pytest.fixture
def smtp(_smtp_of_worker: SmtpServer) -> SmtpServer:
    """One mail server for each xdist worker, empty and in order at the start of each test."""
    _smtp_of_worker.clear()
    return _smtp_of_worker


@pytest.fixture
def private_postgres() -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, to pause, restart and kill."""
    with Postgres() as server:
        yield server


@pytest.fixture
def private_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, to pause, empty and kill."""
    with RedisServer() as server:
        yield server


# The stack, the app on it, a client of the app.

BREAKERS = {"private_postgres", "private_redis"}
WAITS = {
    "app.main.FIRST_LOOK_SECONDS": 60.0,
    "app.auth.hashing.NICENESS": 0,  # it would give way to the other tests
    "app.core.edge.DEADLINE_SECONDS": 60.0,
    "app.database.POOL_WAIT_SECONDS": 30.0,
    "app.database.STATEMENT_TIMEOUT_MS": 60_000,
    "app.database.LOCK_TIMEOUT_MS": 60_000,
    "app.database.IDLE_TIMEOUT_MS": 60_000,
    "app.database.CONNECT_SECONDS": 30,
    "app.infra.postgres_batches.ANSWER_SECONDS": 30.0,
    "app.infra.redis.ANSWER_SECONDS": 10.0,
}


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app in the test's process waits for a busy machine: only tests that break a server need the waits of production.

    The bounds themselves are shown on servers that are processes, in tests/faults.
    """
    if not BREAKERS & set(request.fixturenames) and request.node.get_closest_marker("waits") is None:
        for name, seconds in WAITS.items():
            monkeypatch.setattr(name, seconds)


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """Where the test's SQLite file is: in memory if there is room, since a commit waits for its disk."""
    with tempfile.TemporaryDirectory(prefix="authkeep-test-", dir=fast_temp()) as folder:
        yield Path(folder)


@pytest.fixture
def env(
    request: pytest.FixtureRequest, stack: Stack, data_folder: Path, smtp: SmtpServer, templates: Templates
) -> Iterator[dict[str, str]]:
    """The environment of a server on this stack, with a fresh migrated database. `@pytest.mark.env(NAME="value")` overrides."""
    redis = request.getfixturevalue("redis_server") if stack.redis else None
    overrides = {name: value for mark in reversed(list(request.node.iter_markers("env"))) for name, value in mark.kwargs.items()}
    if not stack.postgres:
        yield settings_env(templates.copy_sqlite(data_folder / "authkeep.db"), redis=redis, smtp=smtp, **overrides)
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = new_name()
    try:
        yield settings_env(templates.copy_postgres(cluster, name), redis=redis, smtp=smtp, **overrides)
    finally:
        cluster.drop_database(name)


@pytest.fixture
def settings(env: dict[str, str]) -> "Settings":
    from app.config import load_settings

    return load_settings(env, env_file=None)


@pytest.fixture
def clock() -> TravellingClock:
    """The app's clock: `clock.advance(seconds=60)`."""
    return TravellingClock()


@pytest.fixture
async def app(settings: "Settings", clock: TravellingClock) -> AsyncIterator[FastAPI]:
    """The app, started."""
    from app.main import create_app

    async with running(create_app(settings, clock=clock)) as app:
        yield app


@pytest.fixture
def server(app: FastAPI) -> "Server":
    """What the features are installed into: settings, database, ports."""
    server: Server = app.state.server
    return server


@pytest.fixture
def no_welcome_mail(server: "Server") -> None:
    """Registering mails nothing: the mails, jobs and tickets that a test counts are its own."""
    from app.auth.sockets import REGISTERED

    server.parts[REGISTERED] = []


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the app, at 127.0.0.1."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
def work(server: "Server", clock: TravellingClock) -> Callable[[], Awaitable[int]]:
    """`await work()` runs the jobs that are due by the test's clock, and those they cause; how many tries it took."""

    async def work() -> int:
        from app.jobs.worker import run_due

        total = 0
        for _ in range(100):
            if not (tries := await run_due(server, now=clock())):
                return total
            total += tries
        raise AssertionError("jobs keep falling due")

    return work
