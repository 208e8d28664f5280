"""Counting: each hour has the number of its events, however often, late or by how many workers it is counted."""

import asyncio
from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from app.audit import search_repository as search
from app.audit.facts import Fact
from app.core.latency import BOUNDS_MS, Latency, percentile
from app.core.server import Server
from app.jobs.worker import run_steady
from app.stats import counting, repository
from app.stats.counting import EVERY, Counter, Flusher
from app.stats.service import GAUGES, hour_of, look, tidy
from tests.mail.postman import rows_of
from tests.stats.scene import at_half_past, count, give_turn_back, numbers, points_of, write
from tests.support.clock import TravellingClock

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def now(clock: TravellingClock) -> datetime:
    """Half past an hour."""
    return at_half_past(clock())


async def test_each_event_is_counted_in_its_hour_and_others_are_not(server: Server, now: datetime) -> None:
    await write(server, Fact.USER_REGISTERED, now - HOUR, 2)
    await write(server, Fact.INVITATION_ACCEPTED, now - HOUR)
    await write(server, Fact.LOGIN_SUCCEEDED, now, 4)
    await write(server, Fact.LOGIN_FAILED, now - 30 * HOUR, 5)
    await write(server, Fact.SESSION_ENDED, now, 9)
    await write(server, Fact.LOGIN_SUCCEEDED, hour_of(now))  # belongs to the hour that it begins
    await write(server, Fact.LOGIN_SUCCEEDED, hour_of(now) - timedelta(microseconds=1))
    await count(server, now)
    hour = hour_of(now)
    assert await numbers(server) == {
        ("sign_ups", hour - HOUR): 3,
        ("logins", hour): 5,
        ("logins", hour - HOUR): 1,
        ("failed_logins", hour - 30 * HOUR): 5,
    }


async def test_counted_again_the_numbers_stay_and_late_rows_come_in(server: Server, now: datetime) -> None:
    await write(server, Fact.LOGIN_SUCCEEDED, now, 3)
    await count(server, now)
    await count(server, now + EVERY)
    assert [row["value"] for row in await points_of(server, "logins") if row["value"]] == [3]
    await write(server, Fact.LOGIN_SUCCEEDED, now, 2)
    await count(server, now + 2 * EVERY)
    assert await numbers(server) == {("logins", hour_of(now)): 5}
    last = hour_of(now) + HOUR
    await write(server, Fact.LOGIN_SUCCEEDED, last - timedelta(seconds=1))
    await count(server, last + 4 * MINUTE)
    assert (await numbers(server))["logins", hour_of(now)] == 6


async def test_hours_without_a_worker_are_counted_when_one_comes_back(server: Server, now: datetime) -> None:
    await count(server, now)
    for back in range(50):
        await write(server, Fact.LOGIN_FAILED, now + 50 * HOUR - back * HOUR)
    await count(server, now + 50 * HOUR)
    found = await numbers(server)
    assert [found.get(("failed_logins", hour_of(now) + number * HOUR)) for number in range(1, 51)] == [1] * 50


async def test_where_nothing_happened_before_there_is_nothing_to_go_through(server: Server, now: datetime) -> None:
    await write(server, Fact.LOGIN_SUCCEEDED, now)
    await Counter(server.database).tick(now)
    async with server.database.read() as db:
        assert not (await look(db, now)).is_behind
    assert {row["at"] for row in await points_of(server, "logins")} == {hour_of(now)}
    assert await numbers(server) == {("logins", hour_of(now)): 1}


async def test_one_turn_goes_through_a_day_of_what_happened_before(server: Server, now: datetime) -> None:
    await write(server, Fact.LOGIN_FAILED, now - 36 * 24 * HOUR)  # older than what is kept
    await write(server, Fact.LOGIN_FAILED, now - 34 * 24 * HOUR)
    counter = Counter(server.database)
    await counter.tick(now)
    hours = {row["at"] for row in await points_of(server, "logins")}
    assert len(hours) == 24
    assert min(hours) == hour_of(now) - 34 * 24 * HOUR
    async with server.database.read() as db:
        assert (await look(db, now)).is_behind
    for _ in range(40):
        await counter.tick(now)
    async with server.database.read() as db:
        assert not (await look(db, now)).is_behind
    # Days on which nothing happened are passed over.
    assert {row["at"] for row in await points_of(server, "logins")} == {*hours, hour_of(now)}
    assert await numbers(server) == {("failed_logins", hour_of(now) - 34 * 24 * HOUR): 1}


async def test_of_many_workers_one_has_the_turn(server: Server, twin: FastAPI, now: datetime) -> None:
    await count(server, now)
    later = now + EVERY
    takers = [server.database, twin.state.server.database] * 5

    async def take(place: int) -> int | None:
        async with takers[place].write() as db:
            return await repository.take_turn(db, later, EVERY)

    taken = await asyncio.gather(*(take(place) for place in range(10)))
    assert len([each for each in taken if each is not None]) == 1


async def test_a_worker_that_was_slow_writes_nothing_over_newer_numbers(
    server: Server, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads, and before it writes another takes the turn, sees more and is done."""
    await count(server, now)
    await write(server, Fact.LOGIN_SUCCEEDED, now)
    slow = asyncio.Event()
    go_on = asyncio.Event()
    count_by_hour = search.count_by_hour

    async def slowly(*args: object) -> object:
        found = await count_by_hour(*args)  # type: ignore[arg-type]  # passed on as they are
        slow.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(counting, "count_by_hour", slowly)
    first = asyncio.create_task(Counter(server.database).tick(now + EVERY))
    await slow.wait()
    monkeypatch.setattr(counting, "count_by_hour", count_by_hour)
    await write(server, Fact.LOGIN_SUCCEEDED, now, 6)
    await count(server, now + 2 * EVERY)
    assert await numbers(server) == {("logins", hour_of(now)): 7}
    go_on.set()
    await first
    assert await numbers(server) == {("logins", hour_of(now)): 7}


async def test_a_worker_that_dies_with_the_turn_is_followed_by_another(
    server: Server, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(server, Fact.LOGIN_SUCCEEDED, now)

    async def die(*_: object) -> object:
        raise OperationalError("", None, Exception())

    with monkeypatch.context() as patched:
        patched.setattr(counting, "count_by_hour", die)
        with pytest.raises(OperationalError):
            await Counter(server.database).tick(now)
    await count(server, now + EVERY - timedelta(seconds=1))
    assert await numbers(server) == {}
    await count(server, now + EVERY)
    assert await numbers(server) == {("logins", hour_of(now)): 1}


async def test_a_turn_taken_by_a_clock_far_ahead_holds_nobody_up(server: Server, now: datetime) -> None:
    await count(server, now + timedelta(days=900))
    await write(server, Fact.LOGIN_SUCCEEDED, now)
    await count(server, now)
    assert (await numbers(server))["logins", hour_of(now)] == 1


async def test_sessions_and_mails_are_told_as_they_are(server: Server, app: FastAPI, now: datetime) -> None:
    from tests.support import api
    from tests.support.apps import client_of

    async with client_of(app) as client:
        user = await api.new_user(client)
        await api.login(client, user.username)
        over = await api.login(client, user.username)
        assert (await client.post("/auth/logout", headers=api.bearer(over))).status_code == 204
    waiting = len([row for row in await rows_of(server, "jobs") if row["kind"] == "mail"])
    await count(server, now)
    found = {row["name"]: row["value"] for name in GAUGES for row in await points_of(server, name)}
    assert found == {"active_sessions": 2, "mails_queued": waiting, "mails_dead": 0}
    await count(server, now + timedelta(days=40), turns=80)
    async with server.database.read() as db:
        later = await look(db, now + timedelta(days=40))
    assert later.active_sessions == 0


async def test_latency_of_all_processes_adds_up_and_comes_from_requests(
    server: Server, twin: FastAPI, app: FastAPI, clock: TravellingClock
) -> None:
    from tests.support.apps import client_of

    other: Server = twin.state.server
    for each, path in ((app, "/health/live"), (twin, "/nowhere"), (app, "/health/live")):
        async with client_of(each) as client:
            await client.get(path)
    await asyncio.gather(run_steady(server, clock(), last=True, local=True), run_steady(other, clock(), last=True, local=True))
    await run_steady(server, clock(), last=True, local=True)
    async with server.database.read() as db:
        assert (await look(db, clock())).latency.count == 3


async def test_what_could_not_be_flushed_is_flushed_later(server: Server, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    latency = Latency()
    flusher = Flusher(server.database, latency)
    latency.add(12, "GET", "/", 200)

    async def die(*_: object) -> None:
        latency.add(13, "POST", None, 404)  # an answer of meanwhile
        raise OperationalError("", None, Exception())

    await flusher.tick(now)
    assert await numbers(server) == {}, "a flush waits for its minute"
    with monkeypatch.context() as patched:
        patched.setattr(repository, "add_to_points", die)
        with pytest.raises(OperationalError):
            await flusher.tick(now + EVERY)
    await flusher.tick(now + 2 * EVERY)
    await flusher.finish(now + 2 * EVERY)
    assert await numbers(server) == {("latency.15", hour_of(now)): 2}


def test_percentiles_name_the_bound_within_which_they_are() -> None:
    latency = Latency()
    assert percentile(latency.take(), 0.5) is None
    for ms in [0.1] * 50 + [1.0] + [40.0] * 48 + [9_999.0]:
        latency.add(ms, "GET", "/", 200)
    counts = latency.take()
    assert sum(counts) == 100
    assert [percentile(counts, share) for share in (0.5, 0.52, 0.99, 1.0)] == [1, 50, 50, None]
    assert sum(latency.take()) == 0
    latency.add(5_000, "GET", "/", 200)
    latency.add(None, "GET", "/", 200)  # streamed
    assert percentile(latency.take(), 0.99) == BOUNDS_MS[-1]


async def test_what_nobody_sees_any_more_goes_and_the_turn_stays(server: Server, now: datetime) -> None:
    await count(server, now)
    async with server.database.write() as db:
        await tidy(db, now + timedelta(days=34))
    rows = await rows_of(server, "stat_points")
    assert {row["name"] for row in rows} >= {"turn", "logins"}
    assert min(row["at"] for row in rows if row["name"] != "turn") >= now - timedelta(days=1)
    await give_turn_back(server)
    await count(server, now)
    assert len(await points_of(server, "turn")) == 1
