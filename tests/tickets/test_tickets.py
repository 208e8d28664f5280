"""Tickets: tokens derived from their rows, at most one open for an account and purpose, spent by one statement."""

import asyncio
import uuid
from base64 import urlsafe_b64decode
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.server import Server
from app.tickets import repository, service
from app.tickets.models import Ticket
from app.tickets.tokens import matches, read_id, write_token
from tests.mail.postman import rows_of
from tests.support.clock import TravellingClock

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
LIFE = timedelta(minutes=15)
USER = uuid.UUID(int=7)
ADDRESS = "ada@example.com"


def ticket(**changes: object) -> Ticket:
    values = {"id": uuid.UUID(int=1), "purpose": "password-reset", "subject_id": USER, "address": ADDRESS}
    return Ticket(**(values | changes))


@pytest.mark.asvs("V11.5.1", "V7.2.3")
def test_a_token_is_its_id_and_a_256_bit_mac_and_the_same_at_each_call() -> None:
    token = write_token(KEY, ticket())
    assert token == write_token(KEY, ticket())
    raw = urlsafe_b64decode(token)
    assert len(raw) == 16 + 32
    assert read_id(token) == uuid.UUID(int=1)
    assert matches(KEY, ticket(), token)


def test_a_token_is_good_for_exactly_its_id_purpose_user_address_and_key() -> None:
    token = write_token(KEY, ticket())
    others = [
        ticket(id=uuid.UUID(int=2)),
        ticket(purpose="email-verification"),
        ticket(subject_id=uuid.UUID(int=8)),
        ticket(address="adb@example.com"),
        ticket(purpose="password-rese", subject_id=USER),
    ]
    assert [matches(KEY, other, token) for other in others] == [False] * len(others)
    assert not matches(OTHER_KEY, ticket(), token)


def test_every_bit_of_a_token_counts() -> None:
    token = write_token(KEY, ticket())
    for place in range(len(token)):
        for char in "AZaz09-_":
            if char != token[place]:
                changed = token[:place] + char + token[place + 1 :]
                assert read_id(changed) != uuid.UUID(int=1) or not matches(KEY, ticket(), changed)


def test_what_is_no_token_has_no_id() -> None:
    odd = ["", "A", "AAAA", "A" * 63, "A" * 65, "A" * 68, "=" * 64, "+/" * 32, "é" * 64, "\x00" * 64, "\ud800" * 64, "A" * 10**5]
    assert [read_id(text) for text in odd] == [None] * len(odd)


async def issue(server: Server, clock: TravellingClock, purpose: str = "password-reset") -> str:
    async with server.database.write() as db:
        token = await service.issue(db, KEY, uuid.uuid4(), purpose, USER, ADDRESS, clock(), LIFE)
    assert token is not None
    return token


async def is_good(server: Server, clock: TravellingClock, token: str, purpose: str = "password-reset") -> bool:
    try:
        async with server.database.read() as db:
            await service.check(db, KEY, token, purpose, clock())
    except service.TicketInvalid:
        return False
    return True


async def test_a_newer_ticket_voids_the_older_of_its_purpose_alone(server: Server, clock: TravellingClock) -> None:
    verification = await issue(server, clock, "email-verification")
    older, newer = await issue(server, clock), await issue(server, clock)
    assert not await is_good(server, clock, older)
    assert await is_good(server, clock, newer)
    assert await is_good(server, clock, verification, "email-verification")
    assert not await is_good(server, clock, verification)


async def test_the_database_itself_refuses_a_second_open_ticket(server: Server, clock: TravellingClock) -> None:
    await issue(server, clock)
    now = clock()
    with pytest.raises(IntegrityError):
        async with server.database.write() as db:
            await repository.add_ticket(db, uuid.uuid4(), "password-reset", USER, ADDRESS, now, now + LIFE)


async def test_checking_spends_nothing(server: Server, clock: TravellingClock) -> None:
    token = await issue(server, clock)
    assert all([await is_good(server, clock, token) for _ in range(3)])
    (row,) = await rows_of(server, "tickets")
    assert row["spent_at"] is None


async def test_issuing_again_gives_the_same_token_until_it_is_spent_or_voided(server: Server, clock: TravellingClock) -> None:
    ticket_id = uuid.uuid4()

    async def again() -> str | None:
        async with server.database.write() as db:
            return await service.issue(db, KEY, ticket_id, "password-reset", USER, ADDRESS, clock(), LIFE)

    first = await again()
    clock.advance(timedelta(hours=1))
    assert await again() == first
    assert len(await rows_of(server, "tickets")) == 1
    async with server.database.write() as db:
        await service.void(db, USER, clock())
    assert await again() is None


@pytest.mark.promise("P3")
@pytest.mark.asvs("V2.3.4")
async def test_of_many_who_spend_one_ticket_at_once_one_succeeds(server: Server, twin: FastAPI, clock: TravellingClock) -> None:
    token = await issue(server, clock)
    now = clock()
    async with server.database.read() as db:
        checked = await service.check(db, KEY, token, "password-reset", now)

    async def spend(number: int) -> bool:
        database = (server, twin.state.server)[number % 2].database
        try:
            async with database.write() as db:
                await service.spend(db, checked, ADDRESS, now)
        except (service.TicketInvalid, PoolTimeout, OperationalError):  # the latter two: SQLite was busy; nothing was spent
            return False
        return True

    assert sum(await asyncio.gather(*(spend(number) for number in range(20)))) == 1


async def test_a_checked_ticket_can_still_not_be_spent_when_it_stopped_being_good_meanwhile(
    server: Server, clock: TravellingClock
) -> None:
    async def spend(token: str, address: str = ADDRESS, after: timedelta = timedelta(), *, voided: bool = False) -> None:
        async with server.database.read() as db:
            checked = await service.check(db, KEY, token, "password-reset", clock())
        async with server.database.write() as db:
            if voided:
                await service.void(db, USER, clock())
            await service.spend(db, checked, address, clock() + after)

    token = await issue(server, clock)
    with pytest.raises(service.TicketInvalid):
        await spend(token, address="new@example.com")
    with pytest.raises(service.TicketInvalid):
        await spend(token, after=LIFE)
    with pytest.raises(service.TicketInvalid):
        await spend(token, voided=True)
    assert await is_good(server, clock, token)  # each was rolled back whole
    await spend(token)
    assert not await is_good(server, clock, token)


async def test_all_can_be_voided_at_once(server: Server, clock: TravellingClock) -> None:
    tokens = [await issue(server, clock, purpose) for purpose in ("password-reset", "email-verification")]
    async with server.database.write() as db:
        assert await service.void_all(db, clock()) == 2
    assert not await is_good(server, clock, tokens[0])
    assert not await is_good(server, clock, tokens[1], "email-verification")
