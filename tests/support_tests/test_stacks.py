"""Stacks: their environments, and fresh databases copied from a migrated template."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from app.config import load_settings
from tests.support import stacks
from tests.support.clock import TravellingClock
from tests.support.postgres import Cluster, Postgres
from tests.support.redis import RedisServer
from tests.support.smtp import SmtpServer
from tests.support.stacks import Stack, Templates, settings_env, sqlite_url

TABLE = "CREATE TABLE migrated (id INTEGER)"


@pytest.fixture
def migrations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is migrated, by a stand-in for the app's migrations."""
    done: list[str] = []

    def migrate(url: str) -> None:
        done.append(url)
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(TABLE)
        else:
            with psycopg.connect(url) as connection:
                connection.execute(TABLE)

    monkeypatch.setattr(stacks, "migrate", migrate)
    return done


def test_sqlite_files_are_copies_of_one_migrated_once(tmp_path: Path, migrations: list[str]) -> None:
    templates = Templates(tmp_path)

    urls = [templates.copy_sqlite(tmp_path / f"{number}.db") for number in range(3)]

    assert urls == [sqlite_url(tmp_path / f"{number}.db") for number in range(3)]
    for number in range(3):
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as db:
            assert db.execute("SELECT count(*) FROM migrated").fetchone() == (0,)
    assert len(migrations) == 1


def test_postgres_databases_are_copies_of_one_migrated_once(
    tmp_path: Path, migrations: list[str], private_postgres: Postgres
) -> None:
    cluster = private_postgres.cluster

    for name in ("one", "two"):
        Templates(tmp_path).copy_postgres(cluster, name)
        assert cluster.execute("SELECT count(*) FROM migrated", database=name) == [(0,)]

    assert len(migrations) == 1


def test_a_failed_migration_leaves_no_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str) -> None:
        sqlite3.connect(url.removeprefix("sqlite:///")).close()
        raise LookupError("half way")

    monkeypatch.setattr(stacks, "migrate", fail)

    for _ in range(2):
        with pytest.raises(LookupError):
            Templates(tmp_path).copy_sqlite(tmp_path / "mine.db")


def test_an_environment_makes_settings(redis_server: RedisServer, smtp: SmtpServer, postgres: Cluster) -> None:
    env = settings_env(postgres.url("mine"), redis=redis_server, smtp=smtp, RATE_LIMIT_ENABLED="true")

    settings = load_settings(env, env_file=None)

    assert settings.redis_url == redis_server.url()
    assert (smtp.port, "auth@example.com") == (settings.SMTP_PORT, settings.EMAIL_FROM)
    assert settings.database_url.endswith(f":{postgres.port}/mine")
    assert settings.RATE_LIMIT_ENABLED
    assert settings.SECRET_KEY != settings.PASSWORD_RESET_TOKEN_SECRET
    assert set(env) <= set(type(settings).model_fields)


def test_a_test_that_asks_for_the_stack_is_given_one(stack: Stack, request: pytest.FixtureRequest) -> None:
    assert request.node.name.endswith(f"[{stack.name}]")
    assert stack in stacks.STACKS


def test_the_clock_travels() -> None:
    clock = TravellingClock()
    before = clock()

    clock.advance(timedelta(days=1), seconds=30)

    assert timedelta(days=1, seconds=30) <= clock() - before < timedelta(days=1, seconds=60)
    assert before.utcoffset() == timedelta(0)
