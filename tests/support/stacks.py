"""What a stack is, the environment that describes one, and migrated databases to copy."""

import fcntl
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.postgres import Cluster
from tests.support.processes import ROOT
from tests.support.redis import RedisServer
from tests.support.smtp import SmtpServer


@dataclass(frozen=True)
class Stack:
    """What the server keeps its data in."""

    name: str
    postgres: bool
    redis: bool

    def __str__(self) -> str:
        return self.name


EMBEDDED = Stack("embedded", postgres=False, redis=False)
SERVICES = Stack("services", postgres=True, redis=True)
STACKS = (EMBEDDED, SERVICES)  # every test that asks for `stack` runs on both
POSTGRES_ALONE = Stack("postgres_alone", postgres=True, redis=False)
SQLITE_REDIS = Stack("sqlite_redis", postgres=False, redis=True)
SMOKE_STACKS = (POSTGRES_ALONE, SQLITE_REDIS)  # for the smoke set: parametrize("stack", SMOKE_STACKS, ids=str)


def settings_env(
    database_url: str, *, redis: RedisServer | None = None, smtp: SmtpServer | None = None, **more: str
) -> dict[str, str]:
    """A complete environment for one server (or several replicas) on this database; `more` overrides."""
    env = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PASSWORD_RESET_TOKEN_SECRET": secrets.token_urlsafe(48),
        "ENVIRONMENT": "development",
        "PUBLIC_URL": "http://localhost:8000",
        "LOG_LEVEL": "WARNING",
        "BCRYPT_ROUNDS": "4",
        "RATE_LIMIT_ENABLED": "false",
        "WORKER_IN_SERVER": "false",
        "MIGRATE_ON_START": "false",
        "DATABASE_URL": database_url,
    }
    if redis is not None:
        env["REDIS_URL"] = redis.url()
    if smtp is not None:
        env |= {
            "SMTP_HOST": smtp.host,
            "SMTP_PORT": str(smtp.port),
            "SMTP_TLS": "none",
            "EMAIL_FROM": "auth@example.com",
        }
    return env | more


def sqlite_url(file: Path) -> str:
    return f"sqlite:///{file}"


def migrate(database_url: str) -> None:
    """Bring a database to the newest migration, in a thread without an event loop."""
    from app.config import load_settings
    from app.infra.migrations import upgrade

    settings = load_settings(settings_env(database_url), env_file=None)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(upgrade, settings.database_url).result()


@dataclass(frozen=True)
class Templates:
    """Migrated databases to copy, built once for all xdist workers in a folder that they share."""

    folder: Path

    def copy_sqlite(self, file: Path) -> str:
        """A fresh migrated SQLite file; returns its URL."""
        shutil.copyfile(self._sqlite(), file)
        return sqlite_url(file)

    def copy_postgres(self, cluster: Cluster, name: str) -> str:
        """A fresh migrated database in this cluster (any: each gets its own template); returns its URL."""
        template = "authkeep_template"
        with self._lock(f"postgres-{cluster.port}"):
            if template not in cluster.databases():
                cluster.drop_database("authkeep_building")
                migrate(cluster.create_database("authkeep_building"))
                cluster.execute(f"ALTER DATABASE authkeep_building RENAME TO {template}")
        return cluster.create_database(name, template)

    def _sqlite(self) -> Path:
        template = self.folder / "template.db"
        with self._lock("sqlite"):
            if not template.exists():
                building = self.folder / f"building-{secrets.token_hex(4)}.db"
                migrate(sqlite_url(building))
                with closing(sqlite3.connect(building)) as db:
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                building.rename(template)
        return template

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with (self.folder / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def new_name() -> str:
    """A database name nobody has."""
    return f"authkeep_{secrets.token_hex(6)}"


def newest_migration() -> str:
    """The revision of the newest migration that is there."""
    return max(file.name[:4] for file in (ROOT / "migrations" / "versions").glob("0*.py"))
