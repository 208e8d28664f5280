"""What is measured on: PostgreSQL, Redis and files of our own, servers on one core, all else on another."""

import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from app.config import load_settings
from bench.speed.cores import Cores, on, plan
from bench.speed.seeds import Crowd, settle
from tests.support.postgres import Postgres
from tests.support.processes import fast_temp, remove_if_we_die
from tests.support.redis import RedisServer
from tests.support.servers import ServerProcess
from tests.support.stacks import Templates, new_name, settings_env

POSTGRES = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "2GB",
    "maintenance_work_mem": "256MB",
}
PRODUCTION = {
    "ENVIRONMENT": "production",
    "PUBLIC_URL": "https://auth.example.com",
    "LOG_LEVEL": "INFO",
    "RATE_LIMIT_ENABLED": "false",  # all load comes from one address
    "WORKER_IN_SERVER": "true",
    "MIGRATE_ON_START": "true",
}
UVICORN = ["--no-access-log", "--no-server-header", "--no-proxy-headers", "--log-level", "warning"]  # as `serve` has them
CHEAP = Path(__file__).with_name("cheap_hashes.py")
LEAST_PRODUCTION_COST = 10
Process = TypeVar("Process", bound=ServerProcess)


@dataclass(frozen=True, slots=True)
class Home:
    """A database with people in it, and the environment of the servers that keep it."""

    stack: str
    env: dict[str, str]
    crowd: Crowd

    @property
    def cost(self) -> int:
        """The bcrypt cost of its passwords."""
        return int(self.env["BCRYPT_ROUNDS"])


class Plain(ServerProcess):
    """A yardstick of bench/, run by uvicorn with the flags `python -m app serve` gives it."""

    def __init__(self, module: str, env: dict[str, str], folder: Path) -> None:
        super().__init__("uvicorn", env, folder)
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        self.program = ["-m", "uvicorn", f"bench.{module}:app", *address, *UVICORN]

    def wait_page(self, path: str) -> Self:
        """Until it answers."""
        return self._wait_for_page(path, 20)


@dataclass
class Stand:
    """Everything is started when first asked for, and ended with the stand."""

    users: int
    cost: int = 12  # of the passwords' bcrypt, where a case does not say
    lasting: bool = False  # a server once started serves every case that needs one like it: for smoke runs, which are short
    cores: Cores = field(default_factory=plan)
    asked: dict[tuple[int, str, int], dict[str, float]] = field(default_factory=dict)  # of lasting servers, what came of it
    kept: dict[str, Any] = field(default_factory=dict)  # what one case has filled and another can use
    _ends: ExitStack = field(default_factory=ExitStack)
    _homes: dict[tuple[str, int], Home] = field(default_factory=dict)
    _running: dict[object, ServerProcess] = field(default_factory=dict)

    @cached_property
    def folder(self) -> Path:
        """In memory if there is room: a disk's noise would hide differences."""
        folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory(prefix="authkeep-speed-", dir=fast_temp())))
        remove_if_we_die(folder)
        return folder

    @cached_property
    def postgres(self) -> Postgres:
        """As people run it, but with its data in memory."""
        return self._ends.enter_context(Postgres(**POSTGRES))

    @cached_property
    def redis(self) -> RedisServer:
        """One for all databases."""
        return self._ends.enter_context(RedisServer())

    def home(self, stack: str, cost: int | None = None) -> Home:
        """The database of a stack whose passwords have this cost, with everybody in it."""
        cost = cost or self.cost
        if (stack, cost) not in self._homes:
            env = self.environment(self.database(stack), cost, redis=self.redis if stack == "services" else None)
            crowd = settle(load_settings(env, env_file=None), self.new_folder(), users=self.users, sessions=self.users, cost=cost)
            self._homes[stack, cost] = Home(stack, env, crowd)
        return self._homes[stack, cost]

    def database(self, stack: str) -> str:
        """The URL of a migrated database nobody has used."""
        templates = Templates(self.folder)
        if stack == "embedded":
            return templates.copy_sqlite(self.new_folder() / "authkeep.db")
        return templates.copy_postgres(self.postgres.cluster, new_name())

    def environment(self, database_url: str, cost: int, redis: RedisServer | None, **more: str) -> dict[str, str]:
        """Production; below the least cost that production allows, production in all but name (cheap_hashes.py)."""
        named = {} if cost >= LEAST_PRODUCTION_COST else {"ENVIRONMENT": "development"}
        return settings_env(database_url, redis=redis) | PRODUCTION | named | {"BCRYPT_ROUNDS": str(cost)} | more

    @contextmanager
    def server(self, home: Home, cores: Collection[int] | None = None, *arguments: str) -> Iterator[ServerProcess]:
        """`python -m app serve` for this home, ready, on the server's core unless others are named."""
        on_cores = frozenset(cores or self.cores.server)
        with self._kept((id(home), on_cores, arguments), self.unstarted(home, *arguments)) as server:
            if not server.running:
                self.start(server, on_cores)
            yield server.wait_ready()

    @contextmanager
    def unstarted(self, home: Home, *arguments: str) -> Iterator[ServerProcess]:
        """The same, for who starts it; killed in the end, its folder removed (an access log grows by gigabytes)."""
        launcher = CHEAP if home.cost < LEAST_PRODUCTION_COST else None
        server = ServerProcess("serve", home.env, self.new_folder(), launcher=launcher, arguments=arguments)
        try:
            yield server
        finally:
            self._end(server)

    @contextmanager
    def plain(self, module: str) -> Iterator[Plain]:
        """A yardstick of bench/, answering."""
        with self._kept(module, self.unstarted_plain(module)) as server:
            if not server.running:
                self.start(server)
            yield server.wait_page("/me")

    @contextmanager
    def unstarted_plain(self, module: str) -> Iterator[Plain]:
        """The same, for who starts it."""
        server = Plain(module, {}, self.new_folder())
        try:
            yield server
        finally:
            self._end(server)

    def start(self, server: ServerProcess, cores: Collection[int] | None = None) -> None:
        """Start it where it belongs."""
        with on(cores or self.cores.server):
            server.start()

    @contextmanager
    def _kept(self, key: object, made: AbstractContextManager[Process]) -> Iterator[Process]:
        if not self.lasting:
            with made as server:
                yield server
            return
        if key not in self._running:
            self._running[key] = self._ends.enter_context(made)
        yield cast("Process", self._running[key])

    @staticmethod
    def _end(server: ServerProcess) -> None:
        if server.running:
            server.terminate()
        shutil.rmtree(server.folder, ignore_errors=True)

    def new_folder(self) -> Path:
        """A folder nobody else uses."""
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        return folder

    def __enter__(self) -> "Stand":
        self._ends.enter_context(on(self.cores.load))  # so that all it starts runs there, unless told otherwise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()
