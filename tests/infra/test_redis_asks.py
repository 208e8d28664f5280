"""Are keys there? Asked of a real Redis: the right asker gets the right answer, whoever logs in, gives up or goes away."""

import asyncio
import secrets

from tests.infra.liar import answered, asking
from tests.support.proxy import TcpProxy
from tests.support.redis import RedisServer

MANY = 5_000


def fill(server: RedisServer, *keys: str, db: int = 0) -> None:
    with server.connect() as client:
        client.select(db)
        client.mset(dict.fromkeys(keys, "1"))


def mgets(server: RedisServer) -> int:
    with server.connect() as client:
        stats = client.info("commandstats")
    return int(stats.get("cmdstat_mget", {"calls": 0})["calls"])


async def test_a_key_that_is_there_and_one_that_is_not(redis_server: RedisServer) -> None:
    fill(redis_server, "a", "b")
    async with asking(redis_server.url()) as asker:
        asked = [("a",), ("x",), ("a", "x"), ("x", "b"), ("x", "y"), ("a", "b")]
        assert await answered([asker.asks.holds_any(keys) for keys in asked]) == [True, False, True, True, False, True]
        assert [await asker.ask(*keys) for keys in asked] == [True, False, True, True, False, True]
        assert asker.told == []


async def test_a_key_of_another_kind_or_with_odd_letters_harms_nobody(redis_server: RedisServer) -> None:
    odd = ["a b", "a\r\nDEL b\r\n", "\x00", "ключ", "$3\r\nabc", ""]
    fill(redis_server, "b", *odd)
    with redis_server.connect() as client:
        client.lpush("list", "1")
    async with asking(redis_server.url()) as asker:
        assert await answered([asker.asks.holds_any([key]) for key in (*odd, "b", "list", "c")]) == [True] * 7 + [False] * 2
        assert await asker.ask("b")
        assert asker.told == []


async def test_thousands_who_ask_in_one_turn_share_one_command(redis_server: RedisServer) -> None:
    there = [f"k{number}" for number in range(0, MANY, 3)]
    fill(redis_server, *there)
    before = mgets(redis_server)
    async with asking(redis_server.url(), seconds=5) as asker:
        found = await answered([asker.asks.holds_any([f"k{number}", f"other{number}"]) for number in range(MANY)])
        assert asker.told == []
    assert found == [number % 3 == 0 for number in range(MANY)]
    assert mgets(redis_server) - before == 1


async def test_askers_of_many_turns_at_once_get_their_own_answers(redis_server: RedisServer) -> None:
    """Each of a hundred goes on at its own pace, so that turns of every size are in flight."""
    there = {secrets.token_hex(4) for _ in range(500)}
    fill(redis_server, *there)
    known = sorted(there)
    wrong: list[str] = []
    async with asking(redis_server.url(), seconds=5) as asker:

        async def go_on(number: int) -> None:
            for step in range(40):
                mine = known[(number * 40 + step) % len(known)]
                key = mine if (number + step) % 2 else f"not-{mine}"
                if await asker.asks.holds_any([f"never-{number}", key]) is not (key in there):
                    wrong.append(key)
                for _ in range((number * step) % 4):
                    await asyncio.sleep(0)

        async with asyncio.timeout(30):
            await asyncio.gather(*(go_on(number) for number in range(100)))
        assert asker.told == []
    assert wrong == []


async def test_the_password_opens_and_a_wrong_one_does_not(private_redis: RedisServer) -> None:
    fill(private_redis, "a")
    with private_redis.connect() as client:
        client.config_set("requirepass", "p@ss w/ord:")
    good, bad = "p%40ss%20w%2Ford%3A", "wrong"
    for login, works in ((f":{good}@", True), (f"default:{good}@", True), (f":{bad}@", False), ("", False)):
        async with asking(f"redis://{login}127.0.0.1:{private_redis.port}/0") as asker:
            assert await asker.ask("a") is works, login
            assert await asker.ask("b") is False
            assert [type(error).__name__ for error in asker.told] == ([] if works else ["ReplyError"] * 2), login


async def test_a_user_of_the_access_list_logs_in_by_name(private_redis: RedisServer) -> None:
    fill(private_redis, "a", "secret")
    with private_redis.connect() as client:
        client.acl_setuser("keeper", enabled=True, passwords=["+open"], commands=["+mget"], keys=["a", "b"])
        client.acl_setuser("poor", enabled=True, passwords=["+open"], commands=["+ping"], keys=["*"])
        client.acl_setuser("default", enabled=False)
    address = f"127.0.0.1:{private_redis.port}/0"
    async with asking(f"redis://keeper:open@{address}") as asker:
        assert await answered([asker.asks.holds_any(["a"]), asker.asks.holds_any(["b"])]) == [True, False]
        assert asker.told == []
        assert await asker.ask("secret") is False  # NOPERM: not known, and said so
        assert ["NOPERM" in str(error) for error in asker.told] == [True]
        assert await asker.ask("a") is True
    for login in ("keeper:wrong", "poor:open", "nobody:open"):
        async with asking(f"redis://{login}@{address}") as asker:
            assert await asker.ask("a") is False
            assert len(asker.told) == 1, login


async def test_the_database_named_is_the_one_asked(redis_server: RedisServer) -> None:
    fill(redis_server, "zero")
    fill(redis_server, "three", db=3)
    for db, found in ((0, [True, False]), (3, [False, True])):
        async with asking(redis_server.url(db)) as asker:
            assert [await asker.ask("zero"), await asker.ask("three")] == found
            assert asker.told == []
    async with asking(redis_server.url(999)) as asker:
        assert await asker.ask("zero") is False
        assert ["DB index" in str(error) for error in asker.told] == [True]


async def test_who_gives_up_costs_the_others_nothing(redis_server: RedisServer) -> None:
    fill(redis_server, *(f"k{number}" for number in range(0, 40, 2)))
    async with asking(redis_server.url()) as asker:
        for pause in range(6):  # cancelled unsent, while connecting, and with the answer on its way
            asked = [asker.asks.holds_any([f"k{number}"]) for number in range(40)]
            for _ in range(pause):
                await asyncio.sleep(0)
            for answer in asked[::3]:
                answer.cancel()
            kept = [number for number in range(40) if number % 3]
            assert await answered([asked[number] for number in kept]) == [number % 2 == 0 for number in kept]
        everybody = [asker.asks.holds_any(["k0"]) for _ in range(5)]
        for answer in everybody:
            answer.cancel()
        assert await asker.ask("k0")
        assert asker.told == []


async def test_closing_answers_whoever_waits_and_tells_nobody(redis_server: RedisServer) -> None:
    fill(redis_server, "a")
    for turns in range(5):
        async with asking(redis_server.url()) as asker:
            asked = [asker.asks.holds_any(["a"])]
            for _ in range(turns):
                await asyncio.sleep(0)
                asked.append(asker.asks.holds_any(["a"]))
            await asker.asks.close()
            assert len(await answered(asked)) == turns + 1
            assert asker.told == []


async def test_a_silent_line_means_not_known_and_a_healed_one_is_asked_anew(redis_server: RedisServer) -> None:
    fill(redis_server, "a")
    with TcpProxy(redis_server.port) as line:
        async with asking(f"redis://127.0.0.1:{line.port}/0") as asker:
            assert await asker.ask("a")
            await asyncio.to_thread(line.partition)
            assert await answered([asker.asks.holds_any(["a"]) for _ in range(3)]) == [False] * 3
            assert await asker.ask("a") is False  # the connection is made, and never speaks
            assert [type(error) for error in asker.told] == [TimeoutError] * 2
            await asyncio.to_thread(line.heal)
            assert [await asker.ask("a"), await asker.ask("b")] == [True, False]
            await asyncio.to_thread(line.cut)
            assert await asker.ask("a") is False
            assert len(asker.told) == 3
            await asyncio.to_thread(line.heal)
            assert [await asker.ask("a"), await asker.ask("b")] == [True, False]


async def test_a_redis_that_went_away_while_nobody_asked_is_found_again(private_redis: RedisServer) -> None:
    async with asking(private_redis.url(), seconds=5) as asker:
        fill(private_redis, "a")
        assert await asker.ask("a")
        await asyncio.to_thread(private_redis.restart_empty)
        async with asyncio.timeout(10):
            while asker.asks._line is not None:  # until the end of the connection is noticed
                await asyncio.sleep(0)
        assert asker.told == []
        fill(private_redis, "b")
        assert [await asker.ask("a"), await asker.ask("b")] == [False, True]
        assert asker.told == []


async def test_nobody_there_is_said_once_for_all_who_asked() -> None:
    async with asking("redis://127.0.0.1:1/0") as asker:
        assert await answered([asker.asks.holds_any(["a"]) for _ in range(50)]) == [False] * 50
        assert [type(error) for error in asker.told] == [ConnectionRefusedError]
