"""What each metric says after something of its kind happened."""

import asyncio
import contextlib
import threading
import uuid
from datetime import timedelta

import pytest
from httpx2 import AsyncClient
from sqlalchemy import text, update

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.deps import AuthKit
from app.core.ports import Rotation
from app.core.server import Server
from app.jobs import service as jobs
from app.jobs.models import Job
from app.jobs.worker import run_due, run_steady
from app.metrics import names
from tests.auth.holding import Crowd, pool_of
from tests.metrics.scrapes import BEARER, TOKEN, metrics_in, scrape, value
from tests.stats.scene import STRANGER, write
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.stacks import Stack

pytestmark = pytest.mark.env(METRICS_TOKEN=TOKEN)


async def test_logins_are_counted_by_what_came_of_them(client: AsyncClient) -> None:
    user = await api.new_user(client)
    wrong = {"username": user.username, "password": "no, not this one"}
    answers = [await client.post("/auth/login", json=wrong) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    await client.post("/auth/login", json={"username": "nobody", "password": "no, not this one"})
    samples = await scrape(client)
    results = ("succeeded", "failed", "too_many_tries", "overloaded", "step_owed", "second_factor_failed", "account_stopped")
    assert [value(samples, "authkeep_logins_total", result=each) for each in results] == [1, 6, 1, 0, 0, 0, 0]
    assert value(samples, "authkeep_security_events_total", fact="user.login.failed") == 6
    assert value(samples, "authkeep_security_events_total", fact="user.registered") == 1


async def test_what_was_not_committed_did_not_happen(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    await write(server, Fact.SESSION_THEFT, clock(), 2)
    with contextlib.suppress(RuntimeError):
        async with server.database.write() as db:
            await audit.record(db, Fact.SESSION_THEFT, STRANGER, clock())
            raise RuntimeError
    assert value(await scrape(client), "authkeep_security_events_total", fact="session.theft_detected") == 2


@pytest.mark.env(METRICS_TOKEN=TOKEN, RATE_LIMIT_ENABLED="true", RATE_LIMIT_LOGIN="2/hour")
async def test_limits_tell_how_often_each_said_no(client: AsyncClient) -> None:
    for _ in range(5):
        await client.post("/auth/login", json={"username": "nobody", "password": "no, not this one"})
    samples = await scrape(client)
    assert value(samples, "authkeep_rate_limited_total", rule="login") == 3
    assert value(samples, "authkeep_rate_limited_total", rule="register") == 0
    assert value(samples, "authkeep_logins_total", result="failed") == 2


async def test_the_queue_for_hashing_is_told_while_it_is_full(client: AsyncClient, server: Server) -> None:
    crowd = Crowd(36)  # of the pool of four threads below: nobody else gets a place
    login = {"username": "nobody", "password": "no, not this one"}
    async with pool_of(server, before=crowd):
        coming = [asyncio.create_task(client.post("/auth/login", json=login | {"username": f"nobody{n}"})) for n in range(36)]
        await crowd.all_here.wait()
        shed = await client.post("/auth/login", json=login)
        samples = await scrape(client)
        assert (shed.status_code, value(samples, "authkeep_hashing_shed_total")) == (503, 1)
        assert value(samples, "authkeep_logins_total", result="overloaded") == 1
        running = value(samples, "authkeep_hashing", state="running")
        assert 0 <= running <= value(samples, "authkeep_hashing_threads") == 4
        await asyncio.gather(*coming)
        samples = await scrape(client)
        found = [value(samples, "authkeep_hashing", state=state) for state in ("running", "waiting")]
        assert (found, value(samples, "authkeep_hashing_places_free")) == ([0, 0], 36)


async def test_more_hashes_than_threads_wait(server: Server) -> None:
    pool = server.kit(AuthKit).pool
    with pool.place() as run:
        held = threading.Event()
        hashing = [asyncio.ensure_future(run(held.wait)) for _ in range(pool.threads + 3)]
        while pool.running + pool.waiting < len(hashing):
            await asyncio.sleep(0)
        assert (pool.running, pool.waiting) == (pool.threads, 3)
        held.set()
        await asyncio.gather(*hashing)
    assert (pool.running, pool.waiting) == (0, 0)


async def test_jobs_are_told_by_kind_and_state_and_how_late_they_are(
    client: AsyncClient, server: Server, clock: TravellingClock, no_welcome_mail: None
) -> None:
    async with server.database.write() as db:
        first = await jobs.enqueue(db, "mail", {"to": "someone@example.com"}, clock())
        for kind in ("mail", "mail", "of-tomorrow"):
            await jobs.enqueue(db, kind, {"to": "someone@example.com"}, clock())
        await db.execute(update(Job).where(Job.id == first).values(dead_at=clock()))
    clock.advance(timedelta(seconds=90))
    answer = (await client.get("/metrics", headers=BEARER)).text
    assert "of-tomorrow" not in answer
    assert "someone" not in answer
    samples = await scrape(client)
    assert [value(samples, "authkeep_jobs", kind="mail", state=state) for state in ("queued", "running", "dead")] == [2, 0, 1]
    assert value(samples, "authkeep_jobs", kind="other", state="queued") == 1
    assert value(samples, "authkeep_jobs", kind="erasure", state="queued") == 0
    assert value(samples, "authkeep_jobs_late_seconds") == pytest.approx(90, abs=1)
    await run_due(server, clock())
    assert value(await scrape(client), "authkeep_jobs_late_seconds") == 0  # what failed waits for its next try


async def test_the_sealer_is_told_when_it_is_behind(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    await write(server, Fact.SESSION_ENDED, clock(), 3)
    clock.advance(timedelta(seconds=40))
    assert value(await scrape(client), "authkeep_audit_unsealed_seconds") == pytest.approx(40, abs=1)
    await run_steady(server, clock())
    samples = await scrape(client)
    assert value(samples, "authkeep_audit_unsealed_seconds") == 0
    assert value(samples, "authkeep_audit_foreign_rows") == 0


async def test_a_row_that_somebody_else_wrote_into_the_log_is_told(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    await write(server, Fact.SESSION_ENDED, clock(), 2)
    async with server.database.write() as db:
        await db.execute(text("UPDATE audit_events SET fact = 'user.erased' WHERE id = (SELECT max(id) FROM audit_events)"))
    await run_steady(server, clock())
    assert value(await scrape(client), "authkeep_audit_foreign_rows") == 1


async def test_questions_that_shared_are_told_by_how_many_they_were(
    client: AsyncClient, server: Server, stack: Stack, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    before = await scrape(client)
    await asyncio.gather(*(client.get("/auth/me", headers=user.headers) for _ in range(20)))
    if server.rotations is not None:
        nobodys = [Rotation(uuid.uuid4(), uuid.uuid4(), 0, b"", clock()) for _ in range(7)]
        assert await asyncio.gather(*map(server.rotations.rotate, nobodys)) == [None] * 7
    after = await scrape(client)

    def asked(of: str) -> tuple[float, float]:
        at = [value(each, f"authkeep_batch_size_{what}", of=of) for each in (before, after) for what in ("sum", "count")]
        return at[2] - at[0], at[3] - at[1]

    questions, statements = asked("sessions")
    assert questions == 20 + 1  # a scrape asks whether the database is there
    assert 1 <= statements < 21
    if stack.postgres:
        assert asked("refreshes") == (7, 1)
    else:
        assert ("authkeep_batch_size_count", frozenset({("of", "refreshes")})) not in after
    if stack.redis:
        assert asked("blocklist")[0] == 20


async def test_connections_in_use_and_their_bounds_are_told(client: AsyncClient, server: Server, stack: Stack) -> None:
    pool, most = ("all", 20) if stack.postgres else ("write", 1)
    async with server.database.write() as db:
        await db.execute(text("SELECT 1"))
        samples = await scrape(client)
        assert value(samples, "authkeep_database_connections", pool=pool, state="in_use") >= 1
    assert value(samples, "authkeep_database_connections_most", pool=pool) == most
    assert value(await scrape(client), "authkeep_database_connections", pool=pool, state="idle") >= 1


async def test_no_name_in_the_table_is_missing_and_none_is_there_that_the_table_lacks(client: AsyncClient, stack: Stack) -> None:
    answer = await client.get("/metrics", headers=BEARER | {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    told = {(metric.name, metric.type) for metric in metrics_in(answer.text, as_open_metrics=True)}
    there = {(each.name.removesuffix("_total"), each.kind) for each in names.EVERY}
    if not stack.redis:
        there -= {(each.name.removesuffix("_total"), each.kind) for each in (names.REDIS_PAUSED, names.REDIS_UNANSWERED)}
    assert told == there
    labels = {each.name.removesuffix("_total"): set(each.labels) for each in names.EVERY}
    for metric in metrics_in(answer.text, as_open_metrics=True):
        assert {frozenset(sample.labels) - {"le"} for sample in metric.samples} <= {frozenset(labels[metric.name])}, metric.name


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=x\x7f", "text/plain;version=abc", "*/*", "", ",;,", "a" * 4000]
)
async def test_whatever_is_accepted_the_answer_is_one_of_two(client: AsyncClient, accept: str) -> None:
    answer = await client.get("/metrics", headers=BEARER | {"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] in {
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }
    assert metrics_in(answer.text, as_open_metrics="openmetrics" in answer.headers["content-type"])
