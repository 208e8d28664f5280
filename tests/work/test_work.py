"""/jobs: listed by state and kind without secrets, tried now, discarded; never while a worker is at it."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.core.permissions import Role
from app.core.server import Server
from app.jobs.sockets import HANDLERS, Handler, Work
from app.jobs.worker import run_due
from app.privacy.service import remember_overdue
from app.users.models import User
from tests.auth.scene import events, execute
from tests.mail.postman import rows_of
from tests.permissions.scene import give_role, new_staff
from tests.support import api
from tests.support.clock import TravellingClock
from tests.work.scene import KIND, dead, job, running


async def listed(client: AsyncClient, who: api.User, **params: str | int) -> list[str]:
    answer = await client.get("/jobs", params={"kind": KIND, **params}, headers=who.headers)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_a_list_by_state_newest_first_in_pages(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await new_staff(app, client, Role.AUDITOR)
    queued, runs, gone = await job(server, clock), await running(server, clock), await dead(server, clock)
    left = await job(server, clock, lease=uuid.uuid4(), lease_until=clock() - timedelta(seconds=1))
    assert await listed(client, boss) == [left, gone, runs, queued]
    assert await listed(client, boss, state="queued") == [left, queued]
    assert await listed(client, boss, state="running") == [runs]
    assert await listed(client, boss, state="dead") == [gone]
    assert await listed(client, boss, kind="nothing") == []
    first = (await client.get("/jobs", params={"kind": KIND, "limit": 3}, headers=boss.headers)).json()
    assert await listed(client, boss, cursor=first["next_cursor"]) == [queued]
    for odd in ({"cursor": "x"}, {"cursor": first["next_cursor"], "state": "dead"}, {"state": "lost"}, {"kind": "<b>"}):
        answer = await client.get("/jobs", params={"kind": KIND, **odd}, headers=boss.headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), odd


async def test_no_whole_address_and_nothing_that_a_secret_is_made_of(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await new_staff(app, client, Role.ADMIN)
    values = {"note": "write to someone@example.net or <x@example.com>", "username": "someone"}
    await job(server, clock, {"to": "someone@example.com", "values": values, "ticket": "SECRET", "change": "SECRET"})
    answer = await client.get("/jobs", params={"kind": KIND}, headers=boss.headers)
    (item,) = answer.json()["items"]
    said = {"note": "write to s***@example.net or <x***@example.com>", "username": "someone"}
    assert item["payload"] == {"to": "s***@example.com", "values": said}
    assert "SECRET" not in answer.text


async def test_one_that_was_given_up_is_tried_at_once_and_for_days(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss, gone = await new_staff(app, client, Role.ADMIN), await dead(server, clock)
    done: list[Work] = []

    async def fail(work: Work) -> None:
        done.append(work)
        raise OSError

    server.plug(HANDLERS, Handler(KIND, fail))
    answer = await client.post(f"/jobs/{gone}/retry", headers=boss.headers)
    assert (answer.status_code, answer.json()["state"], answer.json()["dead_at"]) == (200, "queued", None)
    await run_due(server, now=clock())
    (row,) = [row for row in await rows_of(server, "jobs") if row["kind"] == KIND]
    assert [str(work.id) for work in done] == [gone]
    assert row["dead_at"] is None
    (event,) = await events(server, "job.retried")
    assert (str(event.actor_id), event.subject_id, event.data) == (boss.id, None, {"job": gone, "kind": KIND})


async def test_discarded_it_is_gone_and_known(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    boss, one = await new_staff(app, client, Role.ADMIN), await job(server, clock, {"to": "someone@example.com"})
    assert (await client.delete(f"/jobs/{one}", headers=boss.headers)).status_code == 204
    assert await listed(client, boss) == []
    again = await client.delete(f"/jobs/{one}", headers=boss.headers)
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    assert (await client.post(f"/jobs/{one}/retry", headers=boss.headers)).status_code == 404
    (event,) = await events(server, "job.discarded")
    assert event.data == {"job": one, "kind": KIND}
    assert await events(server, "job.retried") == []


async def test_two_at_once_discard_it_once(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    boss, one = await new_staff(app, client, Role.ADMIN), await job(server, clock)
    answers = await asyncio.gather(*(client.delete(f"/jobs/{one}", headers=boss.headers) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [204, 404, 404, 404]
    assert len(await events(server, "job.discarded")) == 1


async def test_what_runs_is_left_alone_until_its_lease_ends(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss, one = await new_staff(app, client, Role.ADMIN), await running(server, clock)
    for method, path in (("POST", f"/jobs/{one}/retry"), ("DELETE", f"/jobs/{one}")):
        answer = await client.request(method, path, headers=boss.headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "job_running")
    assert await events(server, "job.retried") == await events(server, "job.discarded") == []
    clock.advance(seconds=61)
    answer = await client.post(f"/jobs/{one}/retry", headers=boss.headers)
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    (row,) = [row for row in await rows_of(server, "jobs") if row["kind"] == KIND]
    assert row["lease"] is None


@pytest.mark.asvs("V8.2.1")
async def test_who_may_only_look_changes_nothing(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    looker, one = await new_staff(app, client, Role.AUDITOR), await job(server, clock)
    for method, path in (("POST", f"/jobs/{one}/retry"), ("DELETE", f"/jobs/{one}")):
        assert (await client.request(method, path, headers=looker.headers)).status_code == 403
    assert await listed(client, looker) == [one]
    await give_role(app, looker.username, Role.SUPPORT)
    assert (await client.get("/jobs", headers=looker.headers)).status_code == 403


async def test_discarding_needs_a_fresh_proof(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    boss, one = await new_staff(app, client, Role.ADMIN), await job(server, clock)
    clock.advance(timedelta(minutes=11))
    answer = await client.delete(f"/jobs/{one}", headers=boss.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication")
    assert await listed(client, boss) == [one]


async def test_a_discarded_erasure_is_asked_for_again(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss, person = await new_staff(app, client, Role.ADMIN), await api.new_user(client)
    assert (await client.request("DELETE", "/auth/me", headers=person.headers)).status_code == 202
    (one,) = [row["id"] for row in await rows_of(server, "jobs") if row["kind"] == "erasure"]
    assert (await client.delete(f"/jobs/{one}", headers=boss.headers)).status_code == 204
    left = clock() - timedelta(days=400)
    assert await execute(server, update(User).where(User.id == uuid.UUID(person.id)).values(leaving_at=left)) == 1
    async with server.database.write() as db:
        await remember_overdue(db, clock())
    await run_due(server, now=clock())
    assert person.id not in {str(row["id"]) for row in await rows_of(server, "users")}
    assert [row for row in await rows_of(server, "jobs") if row["kind"] == "erasure"] == []
