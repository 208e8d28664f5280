"""Stopping, resuming, dying, two workers at once: nothing is done twice, and nothing in a name that may not do it."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.bulk import repository, running
from app.core.server import Server
from app.jobs.worker import run_daily
from tests.bulk.scene import (
    begun,
    counts,
    events,
    give_role,
    look,
    new_staff,
    people,
    press,
    refusal,
    runner_of,
    turn_of,
)
from tests.mail.postman import NEW_PASSWORD, rows_of
from tests.support import api
from tests.support.clock import TravellingClock

Worker = Callable[[], Awaitable[int]]
LOG_OUT = {"action": "log_out"}


class Died(BaseException):
    """Stands for the end of the process at this statement: nothing catches it, the transaction is rolled back."""


class Death:
    """Dies before or after its nth call of a function."""

    def __init__(self, real: Callable[..., Awaitable[Any]], at: int, *, is_before: bool) -> None:
        self.real, self.at, self.is_before, self.calls = real, at, is_before, 0

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.is_before and self.calls == self.at:
            raise Died
        answer = await self.real(*arguments, **named)
        if self.calls == self.at:
            raise Died
        return answer


async def test_stopped_it_does_nothing_and_resumed_it_does_the_rest_once(
    admin: api.User, client: AsyncClient, server: Server, work: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await people(server, 6)
    bulk_id = await begun(client, admin, **LOG_OUT, ids=ids)
    count_item = repository.count_item

    async def stop_at_the_third(db: Any, action: Any, state: str, now: datetime) -> bool:
        counted = await count_item(db, action, state, now)
        done.append(1)
        if len(done) == 3:
            raise running.Superseded
        return counted

    done: list[int] = []
    monkeypatch.setattr(repository, "count_item", stop_at_the_third)
    await runner_of(server).run(await turn_of(server, bulk_id))
    monkeypatch.undo()
    assert counts(await look(client, admin, bulk_id)) == (6, 2, 0, 0, 0)  # the third was rolled back whole
    stopped = await press(client, admin, bulk_id, "stop")
    assert (stopped.status_code, stopped.json()["state"], stopped.json()["reason"]) == (200, "stopped", "by_hand")
    await work()
    assert len(await events(server, "session.ended")) == 2
    assert refusal(await press(client, admin, bulk_id, "stop")) == (409, "bulk_not_running")
    resumed = await press(client, admin, bulk_id, "resume")
    assert (resumed.status_code, resumed.json()["state"], resumed.json()["reason"]) == (200, "running", None)
    assert refusal(await press(client, admin, bulk_id, "resume")) == (409, "bulk_not_stopped")
    await work()
    assert (await look(client, admin, bulk_id))["state"] == "done"
    assert sorted(str(row["subject_id"]) for row in await events(server, "session.ended")) == ids
    assert refusal(await press(client, admin, bulk_id, "resume")) == (409, "bulk_not_stopped")
    assert [row["fact"] for row in await rows_of(server, "audit_events") if row["fact"].startswith("bulk.")] == [
        "bulk.started",
        "bulk.stopped",
        "bulk.resumed",
        "bulk.ended",
    ]


@pytest.mark.parametrize("place", ["take_item", "count_item", "finish", "take_turn", "note_collected", "add_items"])
async def test_dead_at_any_statement_it_is_taken_up_again_and_none_doubles(
    admin: api.User, client: AsyncClient, server: Server, work: Worker, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    ids = await people(server, 4, "robot")
    bulk_id = await begun(client, admin, **LOG_OUT, filter={"q": "robot"})
    monkeypatch.setattr(running, "TURN_SECONDS", 60.0)  # a turn that ends early does not get to the last statements
    real, deaths = getattr(repository, place), 0
    for at, is_before in ((1, True), (1, False), (2, True), (2, False)):
        die = Death(real, at, is_before=is_before)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(repository, place, die)
            try:
                await runner_of(server).run(await turn_of(server, bulk_id))
            except Died:
                deaths += 1
    assert deaths > 0
    await work()
    found = await look(client, admin, bulk_id)
    assert (found["state"], counts(found)) == ("done", (4, 4, 0, 0, 0))
    assert sorted(str(row["subject_id"]) for row in await events(server, "session.ended")) == ids
    assert len(await events(server, "bulk.ended")) == 1


async def test_two_workers_at_the_same_turn_do_each_account_once(
    admin: api.User, client: AsyncClient, server: Server, twin: FastAPI, work: Worker
) -> None:
    ids = await people(server, 12)
    bulk_id = await begun(client, admin, **LOG_OUT, ids=ids)
    job = await turn_of(server, bulk_id)
    await asyncio.gather(*(runner_of(each).run(job) for each in (server, twin.state.server, server)))
    await work()
    found = await look(client, admin, bulk_id)
    assert (found["state"], counts(found)) == ("done", (12, 12, 0, 0, 0))
    assert sorted(str(row["subject_id"]) for row in await events(server, "session.ended")) == ids
    assert len(await events(server, "bulk.ended")) == 1


async def test_a_job_of_an_older_turn_does_nothing(admin: api.User, client: AsyncClient, server: Server, work: Worker) -> None:
    ids = await people(server, 2)
    bulk_id = await begun(client, admin, **LOG_OUT, ids=ids)
    old = await turn_of(server, bulk_id)
    await press(client, admin, bulk_id, "stop")
    await press(client, admin, bulk_id, "resume")
    await runner_of(server).run(old)
    assert await events(server, "session.ended") == []
    await work()
    assert len(await events(server, "session.ended")) == 2


@pytest.mark.parametrize(("role", "reason"), [("user", "starter_not_permitted"), ("auditor", "starter_not_permitted")])
async def test_it_ends_with_the_starters_permission_and_goes_on_in_the_name_of_who_resumes_it(
    app: FastAPI, admin: api.User, client: AsyncClient, server: Server, work: Worker, role: str, reason: str
) -> None:
    support = await new_staff(app, client, "support")
    ids = await people(server, 3)
    bulk_id = await begun(client, support, action="disable", ids=ids)
    await give_role(server, support.username, role)
    await work()
    found = await look(client, admin, bulk_id)
    assert (found["state"], found["reason"], counts(found)) == ("stopped", reason, (3, 0, 0, 0, 0))
    (stopped,) = await events(server, "bulk.stopped")
    assert stopped["data"] == {"bulk": bulk_id, "reason": reason}
    assert (await press(client, support, bulk_id, "resume")).status_code in {401, 403}
    assert (await press(client, admin, bulk_id, "resume")).status_code == 200
    await work()
    assert counts(await look(client, admin, bulk_id)) == (3, 3, 0, 0, 0)
    assert {str(row["actor_id"]) for row in await events(server, "user.status.changed")} == {admin.id}


async def test_it_goes_on_without_the_starters_session_but_not_without_the_account(
    app: FastAPI, admin: api.User, client: AsyncClient, server: Server, work: Worker
) -> None:
    support = await new_staff(app, client, "support")
    ids = await people(server, 2)
    first = await begun(client, support, action="disable", ids=ids)
    assert (await client.post("/auth/logout-all", headers=support.headers)).status_code == 204
    await work()
    assert (await look(client, admin, first))["state"] == "done"
    support = api.User(support.id, support.username, "", "", await api.login(client, support.username))
    for word, method, path, body in (
        ("starter_not_permitted", "PUT", f"/users/{support.id}/status", {"active": False}),
        ("starter_gone", "DELETE", f"/users/{support.id}", None),
    ):
        if word == "starter_gone":
            await client.put(f"/users/{support.id}/status", json={"active": True}, headers=admin.headers)
            support = api.User(support.id, support.username, "", "", await api.login(client, support.username))
        bulk_id = await begun(client, support, action="enable", ids=ids)
        answer = await client.request(method, path, json=body, headers=admin.headers)
        assert answer.status_code in {200, 204}
        await work()
        found = await look(client, admin, bulk_id)
        assert (found["state"], found["reason"], found["done"]) == ("stopped", word, 0)


async def test_a_password_that_is_changed_stops_what_was_begun_under_the_old_one(
    app: FastAPI, admin: api.User, client: AsyncClient, server: Server, work: Worker
) -> None:
    """Who takes an account back from a thief stops what the thief began."""
    support = await new_staff(app, client, "support")
    ids = await people(server, 3)
    bulk_id = await begun(client, support, action="disable", ids=ids)
    change = {"current_password": api.PASSWORD, "new_password": NEW_PASSWORD}
    answer = await client.post("/auth/change-password", json=change, headers=support.headers)
    assert answer.status_code == 200, answer.text
    await work()
    found = await look(client, admin, bulk_id)
    assert (found["state"], found["reason"], counts(found)) == ("stopped", "starter_changed", (3, 0, 0, 0, 0))
    support = api.User(support.id, support.username, "", "", await api.login(client, support.username, NEW_PASSWORD))
    assert (await press(client, support, bulk_id, "resume")).status_code == 200
    await work()
    assert counts(await look(client, admin, bulk_id)) == (3, 3, 0, 0, 0)


async def test_whoever_lacks_the_permission_neither_stops_nor_resumes(
    app: FastAPI, admin: api.User, client: AsyncClient, server: Server
) -> None:
    support, user = await new_staff(app, client, "support"), await api.new_user(client)
    bulk_id = await begun(client, admin, action="delete", ids=[str(uuid.uuid4())])
    for who in (support, user):
        for word in ("stop", "resume"):
            assert refusal(await press(client, who, bulk_id, word)) == (403, "forbidden")
    assert (await look(client, admin, bulk_id))["state"] == "running"


async def test_an_account_that_can_not_be_done_holds_up_no_other(
    admin: api.User, client: AsyncClient, server: Server, work: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await people(server, 3)
    bulk_id = await begun(client, admin, **LOG_OUT, ids=ids)
    take = repository.take_item

    async def fail(db: Any, bulk: uuid.UUID, user_id: uuid.UUID, now: datetime, **named: Any) -> bool:
        if str(user_id) == ids[1] and not named:
            raise ValueError("nobody thought of this")
        return await take(db, bulk, user_id, now, **named)

    monkeypatch.setattr(repository, "take_item", fail)
    await work()
    found = await look(client, admin, bulk_id)
    assert (found["state"], counts(found)) == ("done", (3, 2, 0, 0, 1))
    assert found["not_done"] == [{"user_id": ids[1], "state": "failed", "reason": "error"}]


async def test_whoever_is_erased_meanwhile_is_named_nowhere_and_not_waited_for(
    admin: api.User, client: AsyncClient, server: Server, work: Worker
) -> None:
    ids = await people(server, 3)
    bulk_id = await begun(client, admin, **LOG_OUT, ids=ids)
    assert (await client.delete(f"/users/{ids[0]}", headers=admin.headers)).status_code == 204
    assert sorted(str(row["user_id"]) for row in await rows_of(server, "bulk_items")) == ids[1:]
    await work()
    found = await look(client, admin, bulk_id)
    assert (found["state"], found["left"], counts(found)) == ("done", 0, (3, 2, 1, 0, 0))


async def test_what_was_left_lying_is_taken_up_by_the_daily_round(
    admin: api.User, client: AsyncClient, server: Server, work: Worker, clock: TravellingClock
) -> None:
    ids = await people(server, 2)
    bulk_id = await begun(client, admin, **LOG_OUT, ids=ids)
    async with server.database.write() as db:
        from app.jobs import service as jobs

        await jobs.forget(db, "bulk")
    await work()
    assert await events(server, "session.ended") == []
    await run_daily(server, clock.advance(timedelta(days=1, hours=2)))
    await work()
    assert (await look(client, await again(client, admin), bulk_id))["state"] == "done"


async def test_thirty_days_later_it_is_forgotten(
    admin: api.User, client: AsyncClient, server: Server, work: Worker, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TIDIED_AT_ONCE", 2)
    await begun(client, admin, **LOG_OUT, ids=await people(server, 5))
    await work()
    await run_daily(server, clock.advance(timedelta(days=29)))
    await work()
    assert len(await rows_of(server, "bulk_items")) == 5
    await run_daily(server, clock.advance(timedelta(days=2)))
    await work()
    assert await rows_of(server, "bulk_items") == []
    assert await rows_of(server, "bulk_actions") == []


async def again(client: AsyncClient, who: api.User) -> api.User:
    """The same person, logged in anew."""
    return api.User(who.id, who.username, who.email, who.password, await api.login(client, who.username))
