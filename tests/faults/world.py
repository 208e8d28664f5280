"""One stack with servers on it as processes, a client that writes everything down, and a view of the rows."""

import asyncio
import os
import signal
import sqlite3
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.checks import leaks
from tests.faults.launching import CHILD
from tests.faults.traffic import Person, Reply, Traffic, new_person
from tests.support.processes import wait_until
from tests.support.redis import RedisServer
from tests.support.servers import Kind, ServerProcess
from tests.support.smtp import SmtpServer
from tests.support.stacks import Stack, settings_env

HERE = Path(__file__).parent
QUICK = HERE / "quick.py"
START_SECONDS = 60.0  # a second and a half, on a machine that does nothing else


def broken(name: str) -> Path:
    """A launcher of a server that is broken on purpose."""
    return HERE / "broken" / f"{name}.py"


class World:
    def __init__(
        self, stack: Stack, folder: Path, database_url: str, *, redis: RedisServer | None, smtp: SmtpServer, **env: str
    ) -> None:
        self.stack, self.folder, self.database_url = stack, folder, database_url
        self.redis_server = redis
        self.smtp = smtp
        self.env = settings_env(database_url, redis=redis, smtp=smtp, LOG_LEVEL="INFO") | env
        self.servers: list[ServerProcess] = []
        self.traffic = Traffic()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def redis(self) -> RedisServer:
        assert self.redis_server is not None, "this stack has no Redis"
        return self.redis_server

    # Servers.

    def start(
        self,
        *,
        kind: Kind = "serve",
        launcher: Path | None = None,
        arguments: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> ServerProcess:
        """Start one more process on this stack; it is not waited for."""
        folder = self.folder / f"server-{len(self.servers)}"
        server = ServerProcess(kind, self.env | dict(env or {}), folder, launcher=launcher, arguments=arguments)
        self.servers.append(server)
        return server.start()

    def serve(self, *, launcher: Path | None = None, arguments: tuple[str, ...] = (), **env: str) -> ServerProcess:
        """Start one more server and wait until it is ready."""
        return self.start(launcher=launcher, arguments=arguments, env=env).wait_ready(START_SECONDS)

    def pair(self, *, launcher: Path | None = None, **env: str) -> tuple[ServerProcess, ServerProcess]:
        """Two replicas."""
        one, two = self.start(launcher=launcher, env=env), self.start(launcher=launcher, env=env)
        return one.wait_ready(START_SECONDS), two.wait_ready(START_SECONDS)

    def kill_child(self, server: ServerProcess) -> int:
        """kill -9 a server that was started with QUICK_RESTARTS, and return at once; its process id."""
        child = _read(server.folder / CHILD)
        os.kill(child, signal.SIGKILL)
        return child

    async def ready_again(self, server: ServerProcess, killed: int) -> None:
        """Wait for the server that took the place of the one killed."""
        await asyncio.to_thread(wait_until, lambda: _read(server.folder / CHILD) not in {0, killed}, "a new child")
        await asyncio.to_thread(server.wait_ready, START_SECONDS)

    # Rows.

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows a statement finds, ids as 32 hexadecimal digits; `?` for parameters."""
        if self.stack.postgres:
            cursor = self._connected().execute(query.replace("?", "%s").encode(), [_uuid(each) for each in parameters])
            found = cursor.fetchall() if cursor.description else []
        else:
            with closing(sqlite3.connect(self.sqlite_file, timeout=10, isolation_level=None)) as database:
                found = database.execute(query, parameters).fetchall()
        return [tuple(cell.hex if isinstance(cell, uuid.UUID) else cell for cell in row) for row in found]

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is not None and not self._connection.closed:
            with suppress(psycopg.OperationalError):
                self._connection.execute("SELECT 1")
                return self._connection
        self._connection = psycopg.connect(self.database_url, autocommit=True, connect_timeout=10)
        return self._connection

    def column(self, query: str, *parameters: object) -> list[Any]:
        """The first cell of each row."""
        return [row[0] for row in self.rows(query, *parameters)]

    def count(self, query: str, *parameters: object) -> int:
        """The one number a statement finds."""
        return int(self.rows(query, *parameters)[0][0])

    @property
    def sqlite_file(self) -> Path:
        return Path(self.database_url.removeprefix("sqlite:///"))

    def audits(self, person_id: str, fact: str) -> int:
        return self.count("SELECT count(*) FROM audit_events WHERE subject_id = ? AND fact = ?", person_id, fact)

    def is_ended(self, session_id: str) -> bool:
        return bool(self.column("SELECT ended_at IS NOT NULL FROM sessions WHERE id = ?", session_id)[0])

    def make_admin(self, person: Person) -> None:
        self.rows("UPDATE users SET role = 'admin', disabled_at = NULL WHERE id = ?", person.id)

    @asynccontextmanager
    async def holding_a_lock(self, person: Person) -> AsyncIterator[None]:
        """Hold a person's row, in SQLite the whole file, as somebody else's long transaction would."""
        if self.stack.postgres:
            with psycopg.connect(self.database_url, connect_timeout=10) as connection:
                connection.execute("SELECT id FROM users WHERE id = %s FOR UPDATE", (uuid.UUID(person.id),))
                yield
            return
        with closing(sqlite3.connect(self.sqlite_file, timeout=10, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("ROLLBACK")

    async def mint_ticket(self, person: Person) -> str:
        """The token of a reset link, made by the server's own code in this process, as its worker would."""
        from app.assembly import build_server, close_server
        from app.config import load_settings
        from app.core.crypto import random_id
        from app.passwords.deps import ResetKit
        from app.tickets import service as tickets

        server = build_server(load_settings(self.env, env_file=None))
        try:
            async with server.database.write() as db:
                now, key = datetime.now(UTC), server.kit(ResetKit).key
                owner, life = uuid.UUID(person.id), timedelta(minutes=15)
                token = await tickets.issue(db, key, random_id(), "password-reset", owner, person.email, now, life)
        finally:
            await close_server(server)
        assert token is not None
        self.traffic.secrets.add(token)
        return token

    # The end.

    def leaks(self) -> list[str]:
        """Secrets of this world's traffic in the logs of its processes."""
        return leaks({server.folder.name: server.logs() for server in self.servers}, self.traffic.secrets)

    async def close(self) -> None:
        for server in self.servers:
            server.kill()
        if self._connection is not None:
            self._connection.close()
        await self.traffic.close()

    async def newcomers(self, server: ServerProcess, count: int) -> list[Person]:
        """So many new people, registered side by side."""
        people = [new_person() for _ in range(count)]
        replies: list[Reply] = []
        for start in range(0, count, 8):
            replies += await asyncio.gather(*(self.traffic.register(server, each) for each in people[start : start + 8]))
        assert {reply.status for reply in replies} == {201}, [str(reply) for reply in replies if not reply.ok]
        return people


def _read(file: Path) -> int:
    with suppress(OSError):
        return int(file.read_text())
    return 0


def _uuid(value: object) -> object:
    if isinstance(value, str) and len(value) == 32:
        with suppress(ValueError):
            return uuid.UUID(value)
    return value
