"""Short codes: what they are made of, how they may be typed, and that five guesses a day are all there are."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.server import Server
from app.tickets import repository, service
from app.tickets.models import Ticket
from app.tickets.tokens import CODE_ALPHABET, matches_code, read_code, write_code, write_token
from tests.mail.postman import rows_of
from tests.support.clock import TravellingClock
from tests.tickets.test_tickets import ADDRESS, KEY, LIFE, OTHER_KEY, USER, ticket

PURPOSE = "email-verification"
WRONG = "2222-2222"
Guess = Callable[..., Awaitable[bool]]


async def mailed(
    server: Server, clock: TravellingClock, address: str = ADDRESS, purpose: str = PURPOSE, subject: uuid.UUID = USER
) -> str:
    """The code of a fresh ticket."""
    ticket_id = uuid.uuid4()
    async with server.database.write() as db:
        await service.issue(db, KEY, ticket_id, purpose, subject, address, clock(), LIFE)
        found = await service.find(db, ticket_id)
    assert found is not None
    return service.code_of(KEY, found)


async def guess(
    server: Server, clock: TravellingClock, code: str, address: str = ADDRESS, purpose: str = PURPOSE, *, spend: bool = False
) -> bool:
    """Whether the code is taken."""
    try:
        async with server.database.write() as db:
            found = await service.find_by_code(db, KEY, purpose, address, code, clock())
            if spend:
                await service.spend(db, found, address, clock())
    except service.TicketInvalid:
        return False
    return True


def test_a_code_is_eight_characters_that_nobody_mistakes_for_each_other() -> None:
    codes = {write_code(KEY, ticket(id=uuid.UUID(int=number))) for number in range(2000)}
    assert len(codes) == 2000
    assert all(len(code) == 9 and code[4] == "-" for code in codes)
    used = set("".join(codes)) - {"-"}
    assert used == set(CODE_ALPHABET)
    assert not used & set("0O1IL")


def test_a_code_is_good_for_exactly_its_ticket_and_key_and_tells_nothing_of_the_link() -> None:
    code = read_code(write_code(KEY, ticket()))
    assert matches_code(KEY, ticket(), code)
    others = [
        ticket(id=uuid.UUID(int=2)),
        ticket(purpose="email-verification"),
        ticket(subject_id=uuid.UUID(int=8)),
        ticket(address="adb@example.com"),
    ]
    assert [matches_code(KEY, other, code) for other in others] == [False] * len(others)
    assert not matches_code(OTHER_KEY, ticket(), code)
    assert code not in write_token(KEY, ticket()).upper()


@pytest.mark.parametrize("typed", ["abcd-efgh", "ABCDEFGH", " abcd efgh ", "ab-cd-ef-gh", "ABCD\u2011EFGH", "abcd\u2013efgh"])
def test_a_code_may_be_typed_in_many_ways(typed: str) -> None:
    assert read_code(typed) == "ABCDEFGH"


@pytest.mark.parametrize("typed", ["", "-", "ABCD-EFG", "ABCD-EFGHJ", "\ud800", "é" * 8, "ABCD-EFGH" * 100, "\x00"])
def test_what_is_no_code_matches_nothing(typed: str) -> None:
    assert not matches_code(KEY, ticket(), read_code(typed))


async def test_a_code_finds_its_ticket_and_spends_nothing(server: Server, clock: TravellingClock) -> None:
    code = await mailed(server, clock)
    assert await guess(server, clock, code)
    assert await guess(server, clock, code.lower().replace("-", " "))
    (row,) = await rows_of(server, "tickets")
    assert row["spent_at"] is None


async def test_a_code_is_good_for_its_address_and_purpose_alone_and_dies_with_its_ticket(
    server: Server, clock: TravellingClock
) -> None:
    code = await mailed(server, clock)
    assert not await guess(server, clock, code, address="adb@example.com")
    assert not await guess(server, clock, code, purpose="magic-link")
    newer = await mailed(server, clock)
    assert not await guess(server, clock, code)
    assert await guess(server, clock, newer, spend=True)
    assert not await guess(server, clock, newer)
    last = await mailed(server, clock)
    clock.advance(LIFE)
    assert not await guess(server, clock, last)


async def test_each_of_several_subjects_with_one_address_has_a_code_of_its_own(server: Server, clock: TravellingClock) -> None:
    codes = [await mailed(server, clock, subject=uuid.UUID(int=number)) for number in range(1, 4)]
    assert len(set(codes)) == 3
    for code in codes:
        assert await guess(server, clock, code, spend=True)


async def test_after_five_wrong_guesses_the_right_code_is_refused_in_the_same_words_and_the_link_still_works(
    server: Server, clock: TravellingClock
) -> None:
    code = await mailed(server, clock)
    assert [await guess(server, clock, WRONG) for _ in range(5)] == [False] * 5
    assert not await guess(server, clock, code)
    (row,) = await rows_of(server, "code_guesses")
    assert row["guesses"] == 5
    (opened,) = await rows_of(server, "tickets")
    token = write_token(KEY, Ticket(**opened))
    async with server.database.read() as db:
        assert (await service.check(db, KEY, token, PURPOSE, clock())).id == opened["id"]


async def test_neither_a_new_code_nor_another_replica_gives_more_guesses(
    server: Server, twin: FastAPI, clock: TravellingClock
) -> None:
    for number in range(5):
        await mailed(server, clock)
        assert not await guess((server, twin.state.server)[number % 2], clock, WRONG)
    code = await mailed(server, clock)
    assert not await guess(server, clock, code)
    assert not await guess(twin.state.server, clock, code)


async def test_the_count_is_of_one_purpose_and_address_and_begins_anew_after_a_day(
    server: Server, clock: TravellingClock
) -> None:
    for _ in range(6):
        await guess(server, clock, WRONG)
        clock.advance(timedelta(hours=1))
    other = await mailed(server, clock, address="adb@example.com", subject=uuid.UUID(int=9))
    assert await guess(server, clock, other, address="adb@example.com")
    sign_in = await mailed(server, clock, purpose="magic-link")
    assert await guess(server, clock, sign_in, purpose="magic-link")
    clock.advance(timedelta(hours=18))
    code = await mailed(server, clock)
    assert await guess(server, clock, code)


async def test_a_right_code_clears_the_count(server: Server, clock: TravellingClock) -> None:
    code = await mailed(server, clock)
    for _ in range(3):
        for _ in range(4):
            assert not await guess(server, clock, WRONG)
        assert await guess(server, clock, code)
    assert await rows_of(server, "code_guesses") == []


async def test_guesses_at_an_address_that_was_never_written_to_are_counted_alike(server: Server, clock: TravellingClock) -> None:
    for _ in range(7):
        assert not await guess(server, clock, WRONG, address="nobody@example.com")
    (row,) = await rows_of(server, "code_guesses")
    assert row["guesses"] == 5
    assert b"nobody" not in row["key"]


async def crowd(server: Server, twin: FastAPI, clock: TravellingClock, codes: list[str], *, spend: bool) -> list[bool]:
    async def one(number: int, code: str) -> bool:
        try:
            return await guess((server, twin.state.server)[number % 2], clock, code, spend=spend)
        except (PoolTimeout, OperationalError):  # SQLite was busy; nothing was spent
            return False

    return list(await asyncio.gather(*(one(number, code) for number, code in enumerate(codes))))


@pytest.mark.promise("P3")
async def test_of_twenty_with_one_code_at_once_one_spends_it(server: Server, twin: FastAPI, clock: TravellingClock) -> None:
    code = await mailed(server, clock)
    assert sum(await crowd(server, twin, clock, [code] * 20, spend=True)) == 1


async def test_of_twenty_guesses_at_once_five_are_looked_at(
    server: Server, twin: FastAPI, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:

    charged: list[bool] = []
    careful = repository.charge_guess

    async def listening(*args: object) -> int | None:
        count = await careful(*args)  # type: ignore[arg-type]
        charged.append(count is not None)
        return count

    monkeypatch.setattr(repository, "charge_guess", listening)
    await crowd(server, twin, clock, [WRONG] * 20, spend=False)
    assert sum(charged) == 5
    (row,) = await rows_of(server, "code_guesses")
    assert row["guesses"] == 5


async def test_control_without_the_count_the_right_code_is_found_after_many_guesses(
    server: Server, twin: FastAPI, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def per_ticket(db: object, key: bytes, most: int, now: object, forget_at: object) -> bool:
        return True

    monkeypatch.setattr(repository, "charge_guess", per_ticket)
    code = await mailed(server, clock)
    assert [await guess(server, clock, WRONG) for _ in range(8)] == [False] * 8
    assert await guess(server, clock, code)


async def test_the_daily_round_forgets_counts_that_are_over(server: Server, clock: TravellingClock) -> None:
    await guess(server, clock, WRONG)
    async with server.database.write() as db:
        await service.tidy(db, clock())
    assert len(await rows_of(server, "code_guesses")) == 1
    clock.advance(timedelta(days=1))
    async with server.database.write() as db:
        await service.tidy(db, clock())
    assert await rows_of(server, "code_guesses") == []
