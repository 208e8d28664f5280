"""A Redis that answers wrongly, late or in pieces: nobody gets somebody else's answer, nobody is left waiting."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.infra import redis as redis_module
from app.infra.redis import RedisRefusals
from app.infra.redis_asks import RedisAsks
from tests.infra.liar import PATIENCE_SECONDS, Asker, Liar, Talk, answered, asking, liar, values

PATIENT = 5.0  # for tests in which nobody is to be late


def url_of(it: Liar, login: str = "") -> str:
    return f"redis://{login}127.0.0.1:{it.port}/0"


# Answers that arrive, one way or another.


async def test_answers_byte_by_byte_and_many_in_one_packet() -> None:
    async with liar({"a", "d"}) as it, asking(url_of(it), PATIENT) as asker:
        held: list[bytes] = []

        async def keep(talk: Talk, words: list[str]) -> None:
            held.append(values(key in it.there for key in words[1:]))

        it.say = keep
        asked = []
        for key in "abcd":
            asked.append(asker.asks.holds_any([key, f"no-{key}"]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await it.heard(2)
        talk, sent = it.talks[0], b"".join(held)
        for byte in sent[:-1]:
            talk.say(bytes([byte]))
            await talk.writer.drain()
            await asyncio.sleep(0)
        assert not asked[-1].done()
        talk.say(sent[-1:])
        assert await answered(asked) == [True, False, False, True]
        assert len(it.asked) == len(held) > 1  # several turns, and the last answers came together
        assert asker.told == []


@dataclass(frozen=True)
class Plan:
    """Which keys are there; who asks for which in each turn; in pieces of which sizes the answers come."""

    there: frozenset[int]
    turns: list[list[list[int]]]
    pieces: list[int]
    held: int  # so many questions are in flight before the first answer leaves


KEYS = st.integers(0, 12)
PLANS = st.builds(
    Plan,
    there=st.frozensets(KEYS),
    turns=st.lists(st.lists(st.lists(KEYS, min_size=1, max_size=3), min_size=1, max_size=4), min_size=1, max_size=8),
    pieces=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    held=st.integers(1, 8),
)


async def wrongly_answered(kind: type[RedisAsks], plan: Plan) -> list[str]:
    """What each asker was told that is not so."""
    async with liar(f"k{number}" for number in plan.there) as it, asking(url_of(it), PATIENT, kind) as asker:
        assert await asker.ask("anything") is False  # connected, so that every turn is a command of its own from here on
        backlog: list[bytes] = []
        sizes = itertools.cycle(plan.pieces)
        held_until = 1 + min(plan.held, len(plan.turns))

        async def say(talk: Talk, words: list[str]) -> None:
            backlog.append(values(key in it.there for key in words[1:]))
            if len(it.asked) < held_until:
                return
            data = b"".join(backlog)
            backlog.clear()
            while data:
                size = next(sizes)
                talk.say(data[:size])
                data = data[size:]
                await asyncio.sleep(0)

        it.say = say
        asked: list[tuple[list[int], asyncio.Future[bool]]] = []
        for turn in plan.turns:
            asked += [(keys, asker.asks.holds_any([f"k{key}" for key in keys])) for keys in turn]
            await asyncio.sleep(0)
        found = await answered([answer for _, answer in asked])
        told = [f"told: {error!r}" for error in asker.told]
        return told + [
            f"{keys}: {answer}"
            for (keys, _), answer in zip(asked, found, strict=True)
            if answer is not bool(plan.there.intersection(keys))
        ]


class WrongTurn(RedisAsks):
    """The control: an answer is taken for that of the newest question."""

    def _answered(self, values: object) -> None:
        self._sent.rotate(1)
        super()._answered(values)


class WrongOrder(RedisAsks):
    """The control: within a turn the last who asked gets the first values."""

    def _send(self, line: object) -> None:
        for turn in self._unsent:
            turn.answers.reverse()
        super()._send(line)  # type: ignore[arg-type]  # its own


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(plan=PLANS)
async def test_whatever_is_asked_in_whichever_turns_everyone_gets_their_own_answer(plan: Plan) -> None:
    assert await wrongly_answered(RedisAsks, plan) == []


@pytest.mark.parametrize("kind", [WrongTurn, WrongOrder])
async def test_control_an_answer_given_to_the_wrong_asker_is_found(kind: type[RedisAsks]) -> None:
    plan = Plan(frozenset({1}), [[[1], [2]], [[3], [1, 4]], [[5], [6]]], [7], held=3)
    assert await wrongly_answered(RedisAsks, plan) == []
    found = await wrongly_answered(kind, plan)
    assert any("told" not in each for each in found), found


# Answers that come too late.


class Keeping(RedisAsks):
    """The control: a question without an answer costs nothing but itself; the connection is kept."""

    def _give_up(self) -> bool:
        line, self._line = self._line, None
        waited = super()._give_up()
        self._line = line
        return waited


async def two_questions(kind: type[RedisAsks], late: bool, true: bool) -> tuple[bool, bool]:
    """What two askers were told; the first one's answer, `late`, comes when the second has asked, before the `true` one."""
    async with liar() as it, asking(url_of(it), 0.5, kind) as asker:

        async def say_nothing(talk: Talk, words: list[str]) -> None: ...

        it.say = say_nothing
        first = await asker.ask("first")
        second = asker.asks.holds_any(["second"])
        await it.heard(2)
        it.talks[0].say(values([late]))
        for _ in range(3):
            await asyncio.sleep(0)
        it.talks[-1].say(values([true]))
        return first, (await answered([second]))[0]


@pytest.mark.promise("P2")
@pytest.mark.parametrize(("late", "true"), [(True, False), (False, True)])
async def test_a_late_answer_answers_no_other_question(late: bool, true: bool) -> None:
    assert await two_questions(RedisAsks, late, true) == (False, true)


@pytest.mark.parametrize(("late", "true"), [(True, False), (False, True)])
async def test_control_a_connection_kept_after_a_late_answer_answers_the_wrong_question(late: bool, true: bool) -> None:
    assert await two_questions(Keeping, late, true) == (False, late)


async def test_the_end_of_an_old_connection_does_not_end_the_new_one() -> None:
    async with liar({"b"}) as it, asking(url_of(it), 0.5) as asker:

        async def say_nothing(talk: Talk, words: list[str]) -> None: ...

        it.say = say_nothing
        assert await asker.ask("a") is False
        second = asker.asks.holds_any(["b"])
        await it.heard(2)
        it.talks[0].writer.transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not second.done()
        it.talks[1].say(values([True]))
        assert await answered([second]) == [True]
        assert len(asker.told) == 1


async def test_a_question_asked_later_waits_no_longer_than_its_own_time() -> None:
    async with liar() as it, asking(url_of(it), 0.3) as asker:

        async def say_nothing(talk: Talk, words: list[str]) -> None: ...

        it.say = say_nothing
        loop = asyncio.get_running_loop()
        waited: list[float] = []

        async def ask() -> None:
            began = loop.time()
            assert await asker.asks.holds_any(["a"]) is False
            waited.append(loop.time() - began)

        asked = [asyncio.create_task(ask())]
        for number in range(1, 6):
            await it.heard(number)
            asked.append(asyncio.create_task(ask()))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*asked)
        assert max(waited) < 0.3 + 1.0
        assert len(waited) == 6
        assert {type(error) for error in asker.told} == {TimeoutError}


# Answers that are none.

NONSENSE = {
    "too few": b"*1\r\n$-1\r\n",
    "too many": b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    "empty": b"*0\r\n",
    "nil list": b"*-1\r\n",
    "nil": b"$-1\r\n",
    "number": b":2\r\n",
    "a word of as many letters as keys": b"+OK\r\n",
    "a text of as many letters as keys": b"$2\r\nok\r\n",
    "an error in the list": b"*2\r\n-ERR no\r\n$-1\r\n",
    "numbers in the list": b"*2\r\n:0\r\n:0\r\n",
    "lists in the list": b"*2\r\n*0\r\n*0\r\n",
    "a map": b"%2\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n$-1\r\n",
    "false": b"#f\r\n",
    "true": b"#t\r\n",
    "null": b"_\r\n",
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "no login": b"-NOAUTH Authentication required.\r\n",
    "elsewhere": b"-MOVED 3999 127.0.0.1:6381\r\n",
    "out of memory": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "junk": bytes(range(128, 256)) * 4,
    "zeros": bytes(64),
    "a list without end": b"*99999999999999999999\r\n",
    "a text without end": b"*2\r\n$99999999999999999999\r\n",
    "a negative text": b"*2\r\n$-5\r\n",
    "deep": b"*1\r\n" * 64,
    "half": b"*2\r\n$-1\r\n$1\r\n",
    "nothing": b"",
}


async def refused_by(it: Liar, asker: Asker, answer: bytes, *, end: bool) -> None:
    """Three askers in two turns are answered no, it is told once, and the next question is answered as if nothing had been."""
    assert await asker.ask("there", "x")

    async def lie(talk: Talk, words: list[str]) -> None:
        talk.say(answer if len(it.asked) == 2 else b"")
        if end:
            talk.writer.close()

    it.say = lie
    asked = [asker.asks.holds_any(["a", "b"])]
    await asyncio.sleep(0)
    asked += [asker.asks.holds_any(["c"]), asker.asks.holds_any(["d"])]
    assert await answered(asked) == [False] * 3
    assert len(asker.told) == 1, asker.told
    it.say = it.truth
    assert await answered([asker.asks.holds_any([key]) for key in ("there", "x", "there")]) == [True, False, True]
    assert len(it.talks) == 2
    assert len(asker.told) == 1, asker.told


@pytest.mark.promise("P5")
@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("end", [False, True], ids=["kept", "closed"])
async def test_an_answer_that_is_none_answers_everybody_no_and_tells(nonsense: str, end: bool) -> None:
    async with liar({"there"}) as it, asking(url_of(it), 0.4) as asker:
        await refused_by(it, asker, NONSENSE[nonsense], end=end)


async def test_a_true_answer_before_the_nonsense_counts() -> None:
    async with liar({"a"}) as it, asking(url_of(it), PATIENT) as asker:
        assert await asker.ask("a")

        async def lie(talk: Talk, words: list[str]) -> None:
            if len(it.asked) == 3:
                talk.say(values([True]) + b"*1\r\n$-1\r\n*0\r\n")

        it.say = lie
        first = asker.asks.holds_any(["a"])
        await asyncio.sleep(0)
        second = asker.asks.holds_any(["a", "b"])
        assert await answered([first, second]) == [True, False]
        assert len(asker.told) == 1


async def test_an_answer_that_nobody_asked_for_is_not_kept_for_the_next() -> None:
    async with liar({"a"}) as it, asking(url_of(it), PATIENT) as asker:
        assert await asker.ask("a")
        it.talks[0].say(values([True]))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while asker.asks._line is not None:  # until it is noticed
                await asyncio.sleep(0)
        assert await asker.ask("b") is False
        assert await asker.ask("a") is True
        assert (len(it.talks), asker.told) == (2, [])


# A greeting that goes wrong.

GREETINGS = {
    "wrong password": [b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"],
    "junk": [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "in, then out": [b"+OK\r\n", b"-ERR DB index is out of range\r\n"],
    "in, and more": [b"+OK\r\n+OK\r\n+OK\r\n*1\r\n$1\r\n1\r\n"],
    "in, and an error": [b"+OK\r\n-ERR\r\n"],
    "nothing": [],
    "in, then nothing": [b"+OK\r\n"],
}


@pytest.mark.promise("P5")
@pytest.mark.parametrize("greeting", GREETINGS)
@pytest.mark.parametrize("end", [False, True], ids=["kept", "closed"])
async def test_a_greeting_that_fails_is_no_answer_and_the_next_is_tried(greeting: str, end: bool) -> None:
    async with liar({"a"}) as it, asking(f"redis://:word@127.0.0.1:{it.port}/2", 0.4) as asker:
        said = iter(GREETINGS[greeting])

        async def lie(talk: Talk, words: list[str]) -> None:
            talk.say(next(said, b""))
            if end:
                talk.writer.close()

        it.say = lie
        assert await answered([asker.asks.holds_any(["a"]) for _ in range(3)]) == [False] * 3
        assert len(asker.told) == 1
        it.say = it.truth
        assert await answered([asker.asks.holds_any([key]) for key in "ab"]) == [True, False]
        assert it.talks[-1].commands[:2] == [["AUTH", "word"], ["SELECT", "2"]]
        assert len(asker.told) == 1


async def test_questions_that_come_while_it_connects_share_one_connection() -> None:
    async with liar({"a"}) as it, asking(f"redis://me:word@127.0.0.1:{it.port}/2", PATIENT) as asker:
        asked: list[asyncio.Future[bool]] = []
        for _ in range(6):
            asked.append(asker.asks.holds_any(["a"]))
            await asyncio.sleep(0)
        assert await answered(asked) == [True] * 6
        assert [talk.commands[:2] for talk in it.talks] == [[["AUTH", "me", "word"], ["SELECT", "2"]]]
        assert len(it.asked) > 1  # a command for each turn


# The breaker.


async def test_after_no_answer_redis_is_left_alone_and_then_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_module, "PAUSE_SECONDS", 3600.0)
    async with liar({"a"}) as it:
        refusals = RedisRefusals(url_of(it))
        try:
            assert await answered(_asked(refusals, "a", "b")) == [True, False]

            async def lie(talk: Talk, words: list[str]) -> None:
                talk.say(b"-LOADING\r\n")

            it.say = lie
            healthy = [refusals.healthy]
            assert await answered(_asked(refusals, "a", "a")) == [False, False]
            healthy.append(refusals.healthy)
            it.say = it.truth
            before = len(it.asked)
            assert await answered(_asked(refusals, *"aaaa")) == [False] * 4
            assert len(it.asked) == before
            refusals._paused_until = 0.0  # an hour later
            healthy.append(refusals.healthy)
            assert healthy == [True, False, True]
            assert await answered(_asked(refusals, "a", "b")) == [True, False]
        finally:
            await refusals.close()


def _asked(refusals: RedisRefusals, *keys: str) -> Sequence[asyncio.Future[bool]]:
    return [asyncio.ensure_future(refusals.holds_any([key])) for key in keys]
