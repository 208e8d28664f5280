"""PostgreSQL for tests: copied, paused, restarted, killed."""

import os
import socket
import struct
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from tests.support import postgres as support
from tests.support.postgres import Cluster, Postgres


@pytest.fixture(scope="module")
def mine() -> Iterator[Postgres]:
    with Postgres(max_connections="20") as server:
        yield server


def test_the_shared_cluster_copies_a_template(postgres: Cluster) -> None:
    template, copy = f"template_{os.getpid()}", f"copy_{os.getpid()}"
    postgres.create_database(template)
    postgres.execute("CREATE TABLE facts AS SELECT 42 AS answer", database=template)

    postgres.create_database(copy, template=template)

    assert postgres.execute("SELECT answer FROM facts", database=copy) == [(42,)]
    postgres.drop_database(copy)
    postgres.drop_database(template)
    assert not {template, copy} & postgres.databases()


def test_settings_are_those_of_tests(postgres: Cluster) -> None:
    rows = postgres.execute(
        "SELECT name, setting FROM pg_settings"
        " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'max_connections')"
    )

    assert dict(rows) == {
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "on",
        "max_connections": "300",
    }


def test_a_wrong_password_is_refused(postgres: Cluster) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        Cluster(postgres.port, "wrong").execute("SELECT 1")


def test_dropping_a_database_throws_out_its_users(mine: Postgres) -> None:
    with psycopg.connect(mine.cluster.create_database("busy")) as connection:
        mine.cluster.drop_database("busy")

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_private_one_has_its_own_settings(mine: Postgres) -> None:
    assert mine.cluster.execute("SHOW max_connections") == [("20",)]


def test_paused_it_answers_nobody_until_resumed(mine: Postgres) -> None:
    with psycopg.connect(mine.url()) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        mine.pause()

        assert backend.status() == psutil.STATUS_STOPPED
        with socket.create_connection(("127.0.0.1", mine.port), timeout=0.1) as line:
            line.sendall(struct.pack("!ii", 8, 80877103))  # "may we speak TLS?"
            with pytest.raises(TimeoutError):
                line.recv(1)

        mine.resume()
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restarted_it_keeps_port_and_data(mine: Postgres, mode: str) -> None:
    mine.cluster.execute(f"CREATE TABLE kept_{mode} AS SELECT 1 AS one")
    with psycopg.connect(mine.url()) as connection:
        mine.restart("fast" if mode == "fast" else "immediate")

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert mine.cluster.execute(f"SELECT one FROM kept_{mode}") == [(1,)]


def test_killed_it_refuses_and_started_again_it_has_what_was_committed(mine: Postgres) -> None:
    mine.cluster.execute("CREATE TABLE committed AS SELECT 1 AS one")

    mine.kill()

    with pytest.raises(psycopg.OperationalError, match="refused"):
        mine.cluster.execute("SELECT 1")
    mine.start()
    assert mine.cluster.execute("SELECT one FROM committed") == [(1,)]


def test_it_starts_from_binaries_that_nobody_cannot_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        return  # only root runs it as somebody else
    wheel = support.installation()
    monkeypatch.setattr(support, "open_to_all", lambda path: not wheel.is_relative_to(path))
    support.installation.cache_clear()
    try:
        copy = support.installation()
        assert copy != wheel
        with Postgres() as server:
            assert server.cluster.execute("SELECT 1") == [(1,)]
    finally:
        support.installation.cache_clear()


def test_a_start_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no_such_setting"):
        Postgres(no_such_setting="on")
