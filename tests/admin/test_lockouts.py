"""/admin/lockouts over HTTP: who is stopped, what holds one person up, and who lets whom try again."""

import uuid
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import insert

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.deps import AuthKit
from app.auth.models import LoginFailure
from app.auth.service import STOP_AT, STOP_KEPT, account_lane_of
from app.core.client import Client
from app.core.server import Server
from tests.account.forms import Elements
from tests.admin.scene import Staff, check_desk, staff
from tests.admin.test_person import HOSTILE, do
from tests.auth.scene import events
from tests.permissions.test_staff_acts import fail_until_stopped
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.users.seeds import seed, seed_row

LOCKOUTS, PEOPLE = "/admin/lockouts", "/admin/users"


async def stop(server: Server, clock: TravellingClock, *user_ids: object, failures: int = STOP_AT) -> None:
    """As fifty failed sign-ins do it."""
    kit = server.kit(AuthKit)
    async with server.database.write() as db:
        for user_id in (uuid.UUID(str(each)) for each in user_ids):
            times = {"next_at": clock(), "forget_at": clock() + STOP_KEPT}
            await db.execute(insert(LoginFailure).values(key=account_lane_of(kit, user_id), failures=failures, **times))
            await audit.record(db, Fact.LOGIN_STOPPED, Client("192.0.2.1", "test", "request"), clock(), subject=user_id)


async def new_people(app: FastAPI, count: int) -> list[api.User]:
    async with client_of(app) as other:
        return [await api.new_user(other) for _ in range(count)]


def lifts(answer: Response) -> list[str]:
    """Whose lockouts the page offers to lift."""
    links = [str(each["href"]) for each in check_desk(answer).named("a")]
    return [link.removeprefix(f"{PEOPLE}/").removesuffix("/lift-lockouts") for link in links if link.endswith("/lift-lockouts")]


def shown(answer: Response) -> list[str]:
    """Whose page is linked to."""
    links = [str(each["href"]) for each in check_desk(answer).named("a")]
    return [link.removeprefix(f"{PEOPLE}/") for link in links if link.startswith(f"{PEOPLE}/") and link.count("/") == 3]


async def test_support_sees_who_is_stopped_and_lets_them_try_again(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    async with client_of(app) as other:
        somebody, bystander = await api.new_user(other), await api.new_user(other)
        await fail_until_stopped(other, somebody, clock)
        helper = await staff(app, client, "support")
        found = await helper.open(LOCKOUTS)
        assert shown(found) == lifts(found) == [somebody.id]
        assert somebody.email in found.text
        assert bystander.username not in found.text
        (event,) = await events(server, "user.login.stopped")
        assert f'Stopped <time datetime="{event.at:%Y-%m-%dT%H:%M:%SZ}">' in found.text
        asked = await helper.open(f"{PEOPLE}/{somebody.id}/lift-lockouts")
        assert "Whoever guesses may try again too." in asked.text
        right = {"username": somebody.username, "password": somebody.password}
        assert (await other.post("/auth/login", data=right)).status_code == 401  # asking has lifted nothing
        assert (await do(helper, somebody.id, "lift-lockouts")).status_code == 303
        assert shown(await helper.open(LOCKOUTS)) == []
        assert (await other.post("/auth/login", data=right)).status_code == 200
    (lifted,) = await events(server, "user.lockouts.lifted")
    assert (str(lifted.actor_id), str(lifted.subject_id)) == (helper.id, somebody.id)
    assert lifted.data == {"kinds": ["username", "account"]}


async def test_one_person_is_found_by_name_and_by_address_in_any_case(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    (somebody,) = await new_people(app, 1)
    async with client_of(app) as other:
        for _ in range(3):
            await other.post("/auth/login", data={"username": somebody.username, "password": "wrong-password-1!"})
            clock.advance(seconds=30)
    helper = await staff(app, client, "support")
    for sought in (somebody.username, f" {somebody.username.upper()} ", somebody.email, somebody.email.upper()):
        found = await helper.open(LOCKOUTS, q=sought)
        assert shown(found) == lifts(found) == [somebody.id], sought
        assert "Sign-in by the username" in found.text
        assert "3 in a row" in found.text
    assert shown(await helper.open(LOCKOUTS)) == []  # they wait, and are not stopped


async def test_somebody_without_a_failed_try_has_none(app: FastAPI, client: AsyncClient) -> None:
    (somebody,) = await new_people(app, 1)
    helper = await staff(app, client, "support")
    found = await helper.open(LOCKOUTS, q=somebody.username)
    assert (shown(found), lifts(found)) == ([somebody.id], [])


@pytest.mark.parametrize("sought", ["nobody", "nobody@example.com", "\x00", "x" * 5000, HOSTILE, "%", "_", "@", "\u212a"])
async def test_what_names_nobody_finds_nobody(app: FastAPI, client: AsyncClient, server: Server, sought: str) -> None:
    await seed(server, seed_row("kelvin"), seed_row("k"))
    helper = await staff(app, client, "support")
    found = await helper.open(LOCKOUTS, q=sought)
    assert shown(found) == []
    assert "Nobody is found by that." in found.text
    assert "<script>alert" not in found.text


async def test_an_empty_search_is_none(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    (somebody,) = await new_people(app, 1)
    await stop(server, clock, somebody.id)
    helper = await staff(app, client, "support")
    assert shown(await helper.open(LOCKOUTS, q="  ")) == [somebody.id]


@pytest.mark.asvs("V8.2.1")
async def test_nobody_is_offered_to_lift_for_those_above_them_nor_does_it(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    async with client_of(app) as other:
        above, colleague = await staff(app, other), await staff(app, other, "support")
    (somebody,) = await new_people(app, 1)
    await stop(server, clock, above.id, colleague.id, somebody.id)
    helper = await staff(app, client, "support")
    found = await helper.open(LOCKOUTS)
    assert set(shown(found)) == {above.id, colleague.id, somebody.id}
    assert set(lifts(found)) == {colleague.id, somebody.id}
    assert lifts(await helper.open(LOCKOUTS, q=above.username)) == []
    assert (await helper.form(f"{PEOPLE}/{above.id}/lift-lockouts", epoch="0")).status_code == 403
    assert above.id in shown(await helper.open(LOCKOUTS))
    assert await events(server, "user.lockouts.lifted") == []


async def test_an_auditor_only_looks_and_a_user_does_not(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    (somebody,) = await new_people(app, 1)
    await stop(server, clock, somebody.id)
    async with client_of(app) as other:
        auditor = await staff(app, other, "auditor")
        for found in (await auditor.open(LOCKOUTS), await auditor.open(LOCKOUTS, q=somebody.username)):
            assert (shown(found), lifts(found)) == ([somebody.id], [])
        assert (await auditor.form(f"{PEOPLE}/{somebody.id}/lift-lockouts", epoch="0")).status_code == 403
    user = await staff(app, client, "user")
    refused = await user.open(LOCKOUTS)
    assert (refused.status_code, somebody.username in refused.text) == (403, False)


async def test_what_ran_out_and_who_is_gone_is_not_shown(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    waits, gone, stopped = await new_people(app, 3)
    await stop(server, clock, waits.id, failures=STOP_AT - 1)
    await stop(server, clock, gone.id, stopped.id)
    boss = await staff(app, client)
    assert set(shown(await boss.open(LOCKOUTS))) == {gone.id, stopped.id}
    assert (await do(boss, gone.id, "delete")).status_code == 303
    assert shown(await boss.open(LOCKOUTS)) == [stopped.id]
    clock.advance(STOP_KEPT + timedelta(minutes=1))
    again = Staff(client)
    await again.sign_in(boss.username, api.PASSWORD)
    assert shown(await again.open(LOCKOUTS)) == []


async def test_hostile_names_are_text(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    (evil,) = await seed(server, seed_row(HOSTILE[:30], f'"{HOSTILE[:30]}"@example.com', display_name=HOSTILE[:64]))
    await stop(server, clock, evil["id"])
    boss = await staff(app, client)
    for found in (await boss.open(LOCKOUTS), await boss.open(LOCKOUTS, q=HOSTILE[:30])):
        assert shown(found) == lifts(found) == [str(evil["id"])]
        assert "<script>alert" not in found.text
        assert "&lt;script&gt;alert" in found.text
        assert not [each for _, each in Elements(found.text).found if "onclick" in each]
