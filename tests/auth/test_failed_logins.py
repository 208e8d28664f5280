"""Failed logins: what strangers may try, how they are slowed and stopped, and that they learn nothing by it.

A try is charged before the hash. From the fifth failure in a row of an identifier, known or not, the next try waits: one
second, doubling to fifteen minutes. Fifty failures of an account over all its identifiers stop it for strangers, silently,
until a reset.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import select, update

from app.audit.models import AuditEvent
from app.auth import repository, service
from app.auth.models import LoginFailure
from app.core.i18n import translate
from app.core.server import Server
from app.users.models import User
from tests.auth.holding import Gate, TickingClock, pool_of
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in

WRONG = "Wrong-harbour-71-kettle!"
WAITS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
STOPPED_MAIL = "Too many failed sign-ins"
Work = Callable[[], Awaitable[int]]


@pytest.fixture
def clock() -> TravellingClock:
    """Waits are over when the test says so, however slow the machine."""
    return TickingClock()


async def attempt(client: AsyncClient, name: str, password: str = WRONG, **more: Any) -> Response:
    """A stranger's try: no cookie makes it a known device."""
    client.cookies.clear()
    return await client.post("/auth/login", json={"username": name, "password": password}, **more)


async def fail(client: AsyncClient, name: str, times: int) -> None:
    for _ in range(times):
        assert (await attempt(client, name)).status_code == 401


async def statuses(client: AsyncClient, name: str, times: int) -> list[int]:
    return [(await attempt(client, name)).status_code for _ in range(times)]


async def rows(server: Server) -> list[LoginFailure]:
    async with server.database.read() as db:
        return list((await db.scalars(select(LoginFailure))).all())


async def facts(server: Server) -> Counter[str]:
    async with server.database.read() as db:
        return Counter((await db.scalars(select(AuditEvent.fact))).all())


@pytest.mark.promise("P8")
@pytest.mark.asvs("V6.3.1", "V2.4.1", "V2.3.2", "V6.3.8")
@pytest.mark.parametrize("name", ["alice", "nobody@example.com"])
async def test_from_the_fifth_failure_on_each_try_waits_longer(client: AsyncClient, clock: TravellingClock, name: str) -> None:
    await api.register(client, "alice")
    await fail(client, name, 5)
    for wait in WAITS:
        refused = await attempt(client, name)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tries")
        assert refused.headers["retry-after"] == str(wait)
        clock.advance(seconds=wait)
        assert (await attempt(client, name)).status_code == 401


@pytest.mark.asvs("V6.3.1", "V15.2.2")
async def test_a_try_that_must_wait_is_not_hashed_though_it_be_right(client: AsyncClient, server: Server) -> None:
    await api.register(client, "alice")
    async with pool_of(server) as pool:
        for name in ("alice", "nobody"):
            await fail(client, name, 5)
        before = dict(pool.done)
        for name in ("alice", "nobody"):
            assert (await attempt(client, name, api.PASSWORD)).status_code == 429
        assert dict(pool.done) == before == {"check": 10}


async def test_a_try_that_must_wait_does_not_lengthen_the_wait(
    client: AsyncClient, clock: TravellingClock, server: Server
) -> None:
    await api.register(client, "alice")
    await fail(client, "alice", 5)
    assert await statuses(client, "alice", 20) == [429] * 20
    clock.advance(seconds=1)
    assert (await attempt(client, "alice", api.PASSWORD)).status_code == 200
    assert (await facts(server))["user.login.failed"] == 5


async def test_one_account_is_one_lane_however_its_name_is_written(client: AsyncClient) -> None:
    await api.register(client, "alice")
    names = ["alice", "ALICE", "Alice", "aLICE", "alicE", "AlIcE"]
    assert [(await attempt(client, name)).status_code for name in names] == [401] * 5 + [429]
    addresses = ["alice@example.com", "ALICE@EXAMPLE.COM", "alice@Example.com", "Alice@example.com", "alice@EXAMPLE.com"]
    assert [(await attempt(client, name)).status_code for name in [*addresses, addresses[0]]] == [401] * 5 + [429]


async def test_lanes_of_others_are_untouched(client: AsyncClient) -> None:
    for name in ("alice", "bob"):
        await api.register(client, name)
    await fail(client, "alice", 5)
    assert (await attempt(client, "alice")).status_code == 429
    assert (await attempt(client, "bob")).status_code == 401
    assert (await attempt(client, "bob", api.PASSWORD)).status_code == 200


@pytest.mark.asvs("V15.3.4")
async def test_a_new_address_each_time_gets_round_nothing(client: AsyncClient) -> None:
    await api.register(client, "alice")
    answers = [
        await attempt(client, "alice", headers={"X-Forwarded-For": f"203.0.113.{n}", "User-Agent": f"agent/{n}"})
        for n in range(8)
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3


async def test_the_wait_is_over_when_it_was_said_to_be(client: AsyncClient, clock: TravellingClock) -> None:
    await fail(client, "nobody", 5)
    for wait in WAITS[:-2]:
        assert (await attempt(client, "nobody")).status_code == 429
        clock.advance(seconds=wait)
        assert (await attempt(client, "nobody")).status_code == 401
    clock.advance(seconds=898)
    early = await attempt(client, "nobody")
    assert (early.status_code, early.headers["retry-after"]) == (429, "2")


async def test_a_server_whose_clock_is_behind_makes_nobody_wait(client: AsyncClient, clock: TravellingClock) -> None:
    # As one replica of several, or as a request that read the time a moment before another that was faster.
    await api.register(client, "alice")
    await fail(client, "alice", 1)
    clock.advance(seconds=-0.5)
    assert (await attempt(client, "alice")).status_code == 401
    clock.advance(seconds=-0.5)
    assert (await attempt(client, "alice", api.PASSWORD)).status_code == 200


async def test_the_charge_is_committed_before_the_hash(client: AsyncClient, server: Server) -> None:
    await api.register(client, "alice")
    gate = Gate()
    async with pool_of(server, before=gate):
        under_way = asyncio.create_task(attempt(client, "alice"))
        await gate.reached.wait()
        assert {row.failures for row in await rows(server)} == {1}
        assert len(await rows(server)) == 2  # the identifier's and the account's
        gate.opened.set()
        assert (await under_way).status_code == 401


async def twenty_at_once(client: AsyncClient, server: Server, name: str) -> tuple[int, Counter[int]]:
    """How many of twenty parallel tries were hashed, and what they were answered."""
    gate = Gate("nothing")
    async with pool_of(server, before=gate) as pool:
        answers = await asyncio.gather(*(attempt(client, name) for _ in range(20)))
        return pool.done["check"], Counter(answer.status_code for answer in answers)


@pytest.mark.asvs("V6.3.1", "V15.4.2", "V2.3.4")
@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_of_twenty_wrong_tries_at_once_five_are_hashed(client: AsyncClient, server: Server, name: str) -> None:
    await api.register(client, "alice")
    assert await twenty_at_once(client, server, name) == (5, {401: 5, 429: 15})


async def test_control_counted_after_the_hash_all_twenty_would_be_hashed(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.register(client, "alice")
    charge, note = repository.charge_try, service._note_failure

    async def look(db: Any, key: bytes, now: Any, *_: Any, **__: Any) -> repository.Charged | None:
        next_at = await repository.find_next_at(db, key)
        return None if next_at and next_at > now else repository.Charged(1, 1, told=True)

    async def act(db: Any, tried: Any, client: Any, now: Any) -> None:
        await charge(db, tried.lane, now, timedelta(days=1))
        await note(db, tried, client, now)

    monkeypatch.setattr(repository, "charge_try", look)
    monkeypatch.setattr(service, "_note_failure", act)
    hashed, _ = await twenty_at_once(client, server, "alice")
    assert hashed > 5


async def test_a_success_clears_its_own_lane_only(client: AsyncClient) -> None:
    await api.register(client, "alice")
    await fail(client, "alice", 4)
    await fail(client, "alice@example.com", 4)
    assert (await attempt(client, "alice", api.PASSWORD)).status_code == 200
    assert await statuses(client, "alice", 6) == [401] * 5 + [429]
    assert await statuses(client, "alice@example.com", 2) == [401, 429]


async def test_failures_are_forgotten_after_a_day(client: AsyncClient, clock: TravellingClock) -> None:
    await api.register(client, "alice")
    for name in ("alice", "nobody"):
        await fail(client, name, 5)
    clock.advance(timedelta(hours=23))
    for name in ("alice", "nobody"):
        assert await statuses(client, name, 2) == [401, 429]  # one more, and a longer wait
    clock.advance(timedelta(days=1, seconds=1))
    for name in ("alice", "nobody"):
        assert await statuses(client, name, 6) == [401] * 5 + [429]


async def test_rows_name_nobody_and_are_tidied(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    from app.auth import sessions

    await attempt(client, "nobody")
    found = await rows(server)
    assert {len(row.key) for row in found} == {32}
    assert not [row for row in found if b"nobody" in row.key]
    clock.advance(timedelta(days=31))
    async with server.database.write() as db:
        await sessions.tidy(db, clock())
    assert await rows(server) == []


# The account's own stop.


async def stop(client: AsyncClient, clock: TravellingClock, *names: str, tries: int = 50) -> None:
    """Fail until the account is stopped, now by this name, now by that, waiting as long as it takes."""
    for number in range(tries):
        answer = await attempt(client, names[number % len(names)])
        assert answer.status_code == 401, number
        clock.advance(seconds=901 if number > 3 * len(names) else 0)


@pytest.mark.promise("P8")
@pytest.mark.asvs("V6.3.1", "V6.3.5")
@pytest.mark.usefixtures("no_welcome_mail")
async def test_fifty_failures_over_all_identifiers_stop_strangers_silently(
    client: AsyncClient, server: Server, clock: TravellingClock, smtp: SmtpServer, work: Work
) -> None:
    account = await api.register(client, "alice")
    async with server.database.write() as db:
        await db.execute(update(User).values(locale="de"))
    await stop(client, clock, "alice", "alice@example.com", tries=49)
    assert (await facts(server))["user.login.stopped"] == 0
    await stop(client, clock, "alice", tries=1)
    clock.advance(seconds=901)
    async with pool_of(server) as pool:
        right = await attempt(client, "alice", api.PASSWORD)
        by_address = await attempt(client, "alice@example.com", api.PASSWORD)
        clock.advance(seconds=901)
        wrong = await attempt(client, "alice", WRONG)
        unknown = await attempt(client, "nobody", WRONG)
        assert dict(pool.done) == {"check": 4}
    for answer in (right, by_address, wrong, unknown):
        assert (answer.status_code, answer.content) == (401, unknown.content)
        assert set(answer.headers) == set(unknown.headers)
    await work()
    await smtp.wait_for_async(account["email"])
    in_german = translate("de", "Too many failed sign-ins to your account")
    assert [str(mail["Subject"]) for mail in smtp.sent_to(account["email"])] == [in_german]
    assert (await facts(server))["user.login.stopped"] == 1


async def test_one_failure_less_does_not_stop_the_owner(client: AsyncClient, clock: TravellingClock) -> None:
    await api.register(client, "alice")
    await stop(client, clock, "alice", "alice@example.com", tries=49)
    assert (await attempt(client, "alice", api.PASSWORD)).status_code == 200


@pytest.mark.asvs("V6.3.1")
async def test_a_reset_lifts_the_stop(client: AsyncClient, clock: TravellingClock, smtp: SmtpServer, work: Work) -> None:
    account = await api.register(client, "alice")
    await stop(client, clock, "alice", "alice@example.com", tries=60)
    assert (await attempt(client, "alice", api.PASSWORD)).status_code == 401
    assert (await client.post("/auth/forgot-password", json={"email": account["email"]})).status_code == 202
    clock.advance(seconds=3)
    await work()
    mail = await smtp.wait_for_async(account["email"], subject="reset")
    (token,) = [link.partition("token=")[2] for link in links_in(mail) if "token=" in link]
    new = "Other-lantern-93-basket!"
    assert (await client.post("/auth/reset-password", json={"token": token, "new_password": new})).status_code == 204
    # At once, by either name: a reset clears their waits, too.
    assert (await attempt(client, "alice", new)).status_code == 200
    assert (await attempt(client, "alice@example.com", new)).status_code == 200
    assert await statuses(client, "alice", 6) == [401] * 5 + [429]


async def test_the_stop_passes_by_time(client: AsyncClient, clock: TravellingClock) -> None:
    await api.register(client, "alice")
    await stop(client, clock, "alice", "alice@example.com", tries=51)
    assert (await attempt(client, "alice", api.PASSWORD)).status_code == 401
    clock.advance(timedelta(days=31))
    assert (await attempt(client, "alice", api.PASSWORD)).status_code == 200


@pytest.mark.promise("P8")
async def test_an_unknown_name_is_counted_alike_and_mails_nobody(
    client: AsyncClient, server: Server, clock: TravellingClock, smtp: SmtpServer, work: Work
) -> None:
    await stop(client, clock, "nobody@example.com", tries=52)
    assert (await facts(server)) == {"user.login.failed": 52, "user.login.stopped": 1}
    clock.advance(seconds=10)
    await work()
    assert smtp.connections == 0


async def test_a_name_registered_after_it_was_tried_starts_afresh(client: AsyncClient, clock: TravellingClock) -> None:
    await stop(client, clock, "alice", tries=52)
    await api.register(client, "alice")
    clock.advance(seconds=901)
    assert (await attempt(client, "alice", api.PASSWORD)).status_code == 200


@pytest.mark.asvs("V6.3.1")
async def test_one_password_tried_over_many_accounts_is_slowed_by_address(app: FastAPI, client: AsyncClient) -> None:
    # By the limits of the address, switched off here, and never by a lock of the accounts.
    for number in range(30):
        assert (await attempt(client, f"nobody{number}")).status_code == 401


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_LOGIN="20/minute")
@pytest.mark.asvs("V6.3.1", "V2.4.1")
async def test_with_the_limits_on_the_twenty_first_try_of_an_address_waits(client: AsyncClient) -> None:
    answers = [await attempt(client, f"nobody{number}") for number in range(21)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert (answers[-1].json()["code"], int(answers[-1].headers["retry-after"]) > 0) == ("too_many_requests", True)
