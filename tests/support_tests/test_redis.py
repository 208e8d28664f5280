"""Redis for tests: flushed, paused, killed, emptied, bounded."""

from collections.abc import Iterator

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.redis import RedisServer


@pytest.fixture(scope="module")
def mine() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_the_shared_server_is_empty_and_flushes(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url()) as client:
        assert client.dbsize() == 0
        client.set("a", "1")

        redis_server.flush()

        assert client.dbsize() == 0


def test_databases_are_apart(mine: RedisServer) -> None:
    with redis.Redis.from_url(mine.url()) as zero, redis.Redis.from_url(mine.url(1)) as one:
        one.set("only-in-one", "1")

        assert zero.get("only-in-one") is None


def test_paused_it_answers_nobody_until_resumed(mine: RedisServer) -> None:
    with redis.Redis(port=mine.port, socket_timeout=0.1, retry=Retry(NoBackoff(), 0)) as client:
        mine.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()

        mine.resume()
        assert mine.ping()


def test_restarted_it_has_forgotten(mine: RedisServer) -> None:
    with mine.connect() as client:
        client.set("a", "1")

    mine.restart_empty()

    with mine.connect() as client:
        assert client.get("a") is None


def test_stopped_or_killed_it_refuses(mine: RedisServer) -> None:
    for end in (mine.stop, mine.kill):
        end()
        with pytest.raises(redis.ConnectionError):
            mine.ping()
        mine.start()
        assert mine.ping()


def test_its_memory_can_be_bounded() -> None:
    with RedisServer(maxmemory="3mb") as small, small.connect() as client, pytest.raises(redis.exceptions.OutOfMemoryError):
        [client.set(f"key-{number}", "x" * 100_000) for number in range(100)]


def test_closed_it_leaves_no_process() -> None:
    with RedisServer() as server:
        assert server._process is not None
        process = psutil.Process(server._process.pid)

    assert not process.is_running()
