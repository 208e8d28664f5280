"""Who left is erased after seven days: the person is nowhere, the audit log is whole, other people notice nothing."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import delete, update

from app.audit.personal import IMPERSONAL
from app.auth import personal
from app.core.server import Server
from app.jobs.worker import run_daily, run_due
from app.models import DailyRound, Job
from tests.audit.chained import finding, seal
from tests.auth.holding import Gate, pool_of
from tests.auth.scene import assert_dead, events, execute, replica
from tests.mail.postman import Postman, dump_of, rows_of
from tests.privacy.scene import NAME, WEEK, Someone, Work, as_actor, audit_spine, everything, left, someone
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.processes import ROOT

STILL_NAMED = {"audit_events", "sessions", "webhook_deliveries"}  # by id, in rows that say nothing else of the person


async def found(server: Server, who: Someone) -> list[str]:
    """The marks of a person that are still somewhere."""
    dump = (await dump_of(server)).lower()
    return [mark for mark in who.marks if mark.lower() in dump]


async def tables_naming(server: Server, who: Someone) -> set[str]:
    ids = {str(who.id), who.id.hex}
    return {
        name for name, rows in (await everything(server)).items() if any(any(each in repr(row) for each in ids) for row in rows)
    }


async def erase(server: Server, who: Someone, client: AsyncClient, clock: TravellingClock, work: Work) -> None:
    await left(client, who.headers)
    clock.advance(WEEK + timedelta(seconds=1))
    await work()


async def test_the_person_is_nowhere_and_the_audit_log_is_whole(
    app: FastAPI, client: AsyncClient, server: Server, postman: Postman, clock: TravellingClock, work: Work
) -> None:
    await api.new_admin(app, client)
    who = await someone(app, server, postman, admin=True)
    await as_actor(server, who)
    assert set(await found(server, who)) == set(who.marks)
    assert len(await tables_naming(server, who)) > 5
    await left(client, who.headers)
    clock.advance(WEEK - timedelta(seconds=30))
    await work()
    before = await audit_spine(server)
    assert set(await found(server, who)) == set(who.marks)
    clock.advance(timedelta(seconds=31))
    await work()
    assert await found(server, who) == []
    assert await tables_naming(server, who) == STILL_NAMED
    after = await audit_spine(server)
    assert after[: len(before)] == before
    (told,) = after[len(before) :]
    assert (told[2], told[3], told[4]) == ("user.erased", None, who.id)
    rows = {row["fact"]: row for row in await rows_of(server, "audit_events") if row["subject_id"] == who.id}
    assert rows["user.profile.changed"]["data"] == {"fields": ["display_name", "locale"]}
    # What an admin did to the account stays as it was: address and agent are the admin's.
    assert (rows["user.status.changed"]["address"], rows["user.status.changed"]["user_agent"]) == ("198.51.100.9", "Admin/1")
    assert rows["user.status.changed"]["data"] == {"before": True, "after": False}
    await assert_dead(client, who.user.tokens)


async def test_what_the_log_says_of_changes_goes_with_the_person_and_the_chain_holds(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock, work: Work
) -> None:
    admin, user = await api.new_admin(app, client), await api.new_user(client)
    marks = [NAME, "Nicknamed Nobody", "first.moved@example.org", "second.moved@example.org", user.email]
    for body in ({"display_name": NAME, "email": marks[2]}, {"display_name": marks[1], "locale": "fr", "email": marks[3]}):
        changed = await client.patch(f"/users/{user.id}", json=body, headers=admin.headers)
        assert changed.status_code == 200, changed.text

    async def told() -> list[dict[str, Any]]:
        facts = {"user.profile.changed", "user.email.changed"}
        return [row["personal"] for row in await rows_of(server, "audit_events") if row["fact"] in facts]

    assert await told() == [
        {"display_name_before": None, "display_name_after": NAME},
        {"email_before": user.email, "email_after": marks[2]},
        {"display_name_before": NAME, "display_name_after": marks[1], "locale_before": None, "locale_after": "fr"},
        {"email_before": marks[2], "email_after": marks[3]},
    ]
    await seal(server)
    assert await finding(server) == ""
    assert (await client.delete(f"/users/{user.id}", headers=admin.headers)).status_code == 204
    await seal(server)
    assert await finding(server) == ""
    assert not any(await told())
    dump = (await dump_of(server)).lower()
    assert not [mark for mark in marks if mark.lower() in dump]


def test_of_each_record_it_is_decided_what_may_stay() -> None:
    """The third column of the facts in docs/audit.md; what is new there has to be put on one side or the other."""
    facts = (ROOT / "docs" / "audit.md").read_text().partition("| fact |")[2].partition("\n\n")[0]
    keys = {key for line in facts.splitlines()[2:] for key in re.findall(r"`(\w+)`", line.split("|")[3])}
    assert keys - IMPERSONAL == {"sought", "stated_reason"} | {
        f"{name}_{when}" for name in ("username", "display_name", "locale", "email", "name") for when in ("before", "after")
    }
    assert keys >= IMPERSONAL


async def test_other_people_notice_nothing(
    app: FastAPI, client: AsyncClient, server: Server, postman: Postman, clock: TravellingClock, work: Work
) -> None:
    other = await someone(app, server, postman)
    who = await someone(app, server, postman)
    await postman.deliver()

    async def of_other() -> dict[str, list[Any]]:
        marks = (other.user.id, str(other.id.hex), other.user.username)
        return {
            name: [row for row in rows if any(mark in repr(row).lower() for mark in marks)]
            for name, rows in (await everything(server)).items()
        }

    before = await of_other()
    assert sum(bool(rows) for rows in before.values()) > 8
    await erase(server, who, client, clock, work)
    assert await found(server, who) != list(who.marks)
    assert await of_other() == before
    assert (await client.post("/auth/login", data={"username": other.user.username, "password": api.PASSWORD})).status_code == 200


async def test_name_and_address_are_free_again_and_a_former_address_that_is_somebodys_is_left_alone(
    app: FastAPI, client: AsyncClient, server: Server, postman: Postman, clock: TravellingClock, work: Work, smtp: Any
) -> None:
    who = await someone(app, server, postman)
    heir = await api.register(client, email=f"former.{who.user.username}@example.com")
    await left(client, who.headers)
    clock.advance(WEEK)
    await postman.ask(heir["email"])  # waits while the erasure is done
    await work()
    clock.advance(seconds=3)
    await work()
    assert smtp.sent_to(heir["email"], "Reset your password")
    again = await api.register(client, who.user.username, who.user.email)
    assert again["id"] != who.user.id


BESIDE = {"jobs", "stat_points"}  # the job was tried; and servers count by themselves, all the time, what happens in them


async def test_it_is_all_or_nothing_and_tried_again(
    app: FastAPI,
    client: AsyncClient,
    server: Server,
    postman: Postman,
    clock: TravellingClock,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that dies in the middle leaves everything as it was: it is one transaction."""
    who = await someone(app, server, postman)
    await left(client, who.headers)
    await postman.deliver()
    await postman.work()
    real = personal.PasswordOf.erase

    async def dies(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(personal.PasswordOf, "erase", dies)
    before = {name: rows for name, rows in (await everything(server)).items() if name not in BESIDE}
    due = clock.advance(WEEK)
    await run_due(server, now=due)
    assert {name: rows for name, rows in (await everything(server)).items() if name not in BESIDE} == before
    monkeypatch.setattr(personal.PasswordOf, "erase", real)
    clock.advance(seconds=30)
    await work()
    assert await found(server, who) == []


async def test_twice_and_on_two_replicas_is_once(
    app: FastAPI, client: AsyncClient, server: Server, postman: Postman, clock: TravellingClock, env: dict[str, str], work: Work
) -> None:
    people = [await someone(app, server, postman) for _ in range(3)]
    for who in people:
        await left(client, who.headers)
    due = clock.advance(WEEK + timedelta(seconds=1))
    async with replica(env, clock) as other:
        for _ in range(2):  # the daily round adds a job to the one there is
            await execute(server, update(DailyRound).values(due_at=due))
            await run_daily(server, due)
        assert len([row for row in await rows_of(server, "jobs") if row["kind"] == "erasure"]) == 9
        await asyncio.gather(run_due(server, now=due), run_due(other.state.server, now=due))
    assert len(await events(server, "user.erased")) == 3
    assert [row for row in await rows_of(server, "jobs") if row["kind"] == "erasure"] == []
    for who in people:
        assert await found(server, who) == []


async def test_the_daily_round_finds_who_was_forgotten(
    client: AsyncClient, server: Server, clock: TravellingClock, work: Work
) -> None:
    user, stays = await api.new_user(client), await api.new_user(client)
    await left(client, user.headers)
    await left(client, stays.headers)
    await execute(server, delete(Job).where(Job.kind == "erasure"))
    await api.login(client, stays.username)
    due = clock.advance(WEEK + timedelta(days=1))
    await work()
    assert len(await rows_of(server, "users")) == 2
    await execute(server, update(DailyRound).values(due_at=due))
    assert await run_daily(server, due)
    await work()
    assert [row["username"] for row in await rows_of(server, "users")] == [stays.username]


async def test_a_login_and_the_erasure_at_once_have_one_winner(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    outcomes = set()
    for n in range(8):
        user = await api.new_user(client)
        await left(client, user.headers)
        clock.advance(WEEK - timedelta(seconds=1))
        due = clock() + timedelta(seconds=2)
        client.cookies.clear()
        login = client.post("/auth/login", data={"username": user.username, "password": user.password})
        if n % 2:
            answer, _ = await asyncio.gather(login, run_due(server, now=due))
        else:
            _, answer = await asyncio.gather(run_due(server, now=due), login)
        rows = [row for row in await rows_of(server, "users") if str(row["id"]) == user.id]
        outcomes.add(answer.status_code)
        if answer.status_code == 200:
            assert [row["leaving_at"] for row in rows] == [None]
            assert (await client.get("/auth/me", headers=api.bearer(answer.json()))).status_code == 200
        else:
            assert (answer.status_code, rows) == (401, [])
    assert outcomes <= {200, 401}


async def test_a_login_whose_password_was_checked_before_the_erasure_opens_nothing(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    await left(client, user.headers)
    clock.advance(WEEK - timedelta(seconds=1))
    gate = Gate()
    async with pool_of(server, after=gate):
        client.cookies.clear()
        login = asyncio.create_task(client.post("/auth/login", data={"username": user.username, "password": user.password}))
        await gate.reached.wait()
        await run_due(server, now=clock() + timedelta(seconds=2))
        gate.opened.set()
        assert (await login).status_code == 401
    assert await rows_of(server, "users") == []
    assert [row["ended_at"] for row in await rows_of(server, "sessions") if row["ended_at"] is None] == []


async def test_an_admin_who_deletes_erases_at_once(app: FastAPI, client: AsyncClient, server: Server, postman: Postman) -> None:
    admin = await api.new_admin(app, client)
    who = await someone(app, server, postman)
    before = await audit_spine(server)
    assert (await client.delete(f"/users/{who.id}", headers=admin.headers)).status_code == 204
    assert await found(server, who) == []
    assert await tables_naming(server, who) == STILL_NAMED
    after = await audit_spine(server)
    assert after[: len(before)] == before
    (deleted,) = await events(server, "user.deleted")
    assert (str(deleted.actor_id), deleted.subject_id, deleted.address) == (admin.id, who.id, "127.0.0.1")
    await assert_dead(client, who.user.tokens)
