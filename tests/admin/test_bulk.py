"""Bulk actions in the console: choosing, confirming, watching, stopping, resuming."""

import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from urllib.parse import urlencode

from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.core.server import Server
from tests.admin.scene import Staff, check_desk, give_role, staff
from tests.bulk.scene import people
from tests.mail.postman import rows_of
from tests.support.clock import TravellingClock
from tests.users.seeds import LONG_AGO, seed, seed_row

Worker = Callable[[], Awaitable[int]]
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


async def send(who: Staff, path: str, *pairs: tuple[str, str], token: bool = True) -> Response:
    """A form with several fields of one name."""
    found = TOKEN.search((await who.client.get("/admin/bulk")).text)
    assert found is not None
    body = urlencode([*pairs, *([("form_token", found[1])] if token else [])])
    return await who.client.post(path, content=body, headers=FORM)


def chosen(ids: list[str], **fields: str) -> list[tuple[str, str]]:
    return [*(("user", each) for each in ids), *fields.items()]


async def test_from_the_choice_to_the_end(app: FastAPI, client: AsyncClient, server: Server, work: Worker) -> None:
    boss = await staff(app, client)
    ids = await people(server, 3)
    asked = await send(boss, "/admin/bulk/new", *chosen(ids[:2]))
    check_desk(asked)
    assert "People: 2" in asked.text
    assert "Delete" in asked.text
    assert await rows_of(server, "bulk_actions") == []
    confirm = await send(boss, "/admin/bulk/new", *chosen(ids[:2], action="disable"))
    check_desk(confirm)
    assert "<h1>Disable</h1>" in confirm.text
    assert "person0" in confirm.text
    assert await rows_of(server, "bulk_actions") == []
    started = await send(boss, "/admin/bulk", *chosen(ids[:2], action="disable"))
    assert started.status_code == 303
    page = await boss.client.get(started.headers["location"])
    check_desk(page)
    assert "It has begun" in page.text
    assert 'hx-trigger="every 2s"' in page.text
    path = started.headers["location"].partition("?")[0]
    part = await boss.client.get(f"{path}/progress")
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "set-cookie" not in part.headers
    await work()
    over = await boss.client.get(f"{path}/progress")
    assert over.headers["hx-refresh"] == "true"
    assert "hx-trigger" not in over.text
    check_desk(await boss.client.get(path))
    listed = await boss.client.get("/admin/bulk")
    check_desk(listed)
    assert "2 of 2" in listed.text
    disabled = {str(row["id"]) for row in await rows_of(server, "users") if row["disabled_at"]}
    assert disabled == set(ids[:2])


async def test_all_that_a_search_finds(app: FastAPI, client: AsyncClient, server: Server, work: Worker) -> None:
    boss = await staff(app, client)
    ids = await people(server, 30, "robot")
    await people(server, 2, "human")
    fields = [("everybody", "yes"), ("q", "robot"), ("role", ""), ("active", "yes")]
    confirm = await send(boss, "/admin/bulk/new", *fields, ("action", "set_role"), ("give", "support"))
    check_desk(confirm)
    assert "Give a role: Support" in confirm.text
    assert "People: 30" in confirm.text
    started = await send(boss, "/admin/bulk", *fields, ("action", "set_role"), ("give", "support"))
    assert started.status_code == 303
    await work()
    assert sorted(str(row["id"]) for row in await rows_of(server, "users") if row["role"] == "support") == ids


async def test_all_whose_address_is_not_verified(app: FastAPI, client: AsyncClient, server: Server, work: Worker) -> None:
    boss = await staff(app, client)
    open_ids = await people(server, 3, "robot", email_verified_at=None)
    await people(server, 2, "robotic", email_verified_at=LONG_AGO)
    listed = await boss.open("/admin/users", q="robot", verified="no")
    check_desk(listed)
    assert '<input type="hidden" name="verified" value="no">' in listed.text
    assert 'name="everybody"' in listed.text
    fields = [("everybody", "yes"), ("q", "robot"), ("verified", "no")]
    asked = await send(boss, "/admin/bulk/new", *fields)
    check_desk(asked)
    assert '<input type="hidden" name="verified" value="no">' in asked.text
    confirm = await send(boss, "/admin/bulk/new", *fields, ("action", "disable"))
    check_desk(confirm)
    assert '<input type="hidden" name="verified" value="no">' in confirm.text
    assert "People: 3" in confirm.text
    assert (await send(boss, "/admin/bulk", *fields, ("action", "disable"))).status_code == 303
    await work()
    assert sorted(str(row["id"]) for row in await rows_of(server, "users") if row["disabled_at"]) == open_ids


async def test_stop_resume_and_why_not(app: FastAPI, client: AsyncClient, server: Server, work: Worker) -> None:
    boss = await staff(app, client)
    ids = await people(server, 2, "<b>&quot;x")
    started = await send(boss, "/admin/bulk", *chosen([*ids, boss.id], action="disable"))
    path = started.headers["location"].partition("?")[0]
    stopped = await boss.form(f"{path}/stop")
    assert stopped.status_code == 303
    await work()
    page = await boss.client.get(path)
    check_desk(page)
    assert "Somebody stopped it." in page.text
    again = await boss.form(f"{path}/stop")
    check_desk(again, status=409)
    assert (await boss.form(f"{path}/resume")).status_code == 303
    await work()
    page = await boss.client.get(path)
    check_desk(page)
    assert "It is the account of who started this." in page.text
    check_desk(await boss.form(f"{path}/resume"), status=409)


async def test_nobody_chosen_odd_ids_and_unknown_actions_begin_nothing(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)
    (one,) = await people(server, 1)
    for pairs in (
        [],
        [("user", "x"), ("action", "disable")],
        chosen([one], action="explode"),
        chosen([one], action="set_role", give="root"),
        chosen([one], action="set_role"),
    ):
        answer = await send(boss, "/admin/bulk", *pairs)
        check_desk(answer)
    assert (await send(boss, "/admin/bulk", *chosen([one], action="disable"), token=False)).status_code == 403
    many = [str(uuid.uuid4()) for _ in range(1_040)]
    assert (await send(boss, "/admin/bulk", *chosen(many, action="disable"))).status_code == 400
    assert await rows_of(server, "bulk_actions") == []
    assert (await boss.client.get(f"/admin/bulk/{uuid.uuid4()}")).status_code == 404


async def test_support_is_offered_what_it_may_do_and_nothing_else(app: FastAPI, client: AsyncClient, server: Server) -> None:
    helper = await staff(app, client, "support")
    (one,) = await people(server, 1)
    asked = await send(helper, "/admin/bulk/new", *chosen([one]))
    check_desk(asked)
    assert 'value="disable"' in asked.text
    assert 'value="delete"' not in asked.text
    assert 'name="give"' not in asked.text
    assert (await send(helper, "/admin/bulk", *chosen([one], action="delete"))).status_code == 403
    assert await rows_of(server, "bulk_actions") == []
    await give_role(app, helper.username, "auditor")
    assert (await helper.client.get("/admin/bulk")).status_code == 403


async def test_beginning_needs_a_fresh_proof_and_watching_does_not(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await staff(app, client)
    (one,) = await people(server, 1)
    started = await send(boss, "/admin/bulk", *chosen([one], action="enable"))
    path = started.headers["location"].partition("?")[0]
    clock.advance(timedelta(minutes=11))
    assert (await boss.client.get(path)).status_code == 200
    for target in ("/admin/bulk/new", "/admin/bulk", f"{path}/resume"):
        answer = await send(boss, target, *chosen([one], action="enable"))
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/account/reauthenticate")


async def test_all_that_an_odd_search_finds_is_nobody(app: FastAPI, client: AsyncClient, server: Server, work: Worker) -> None:
    boss = await staff(app, client)
    await seed(server, *[seed_row(f"zed{number}") for number in range(3)])
    for sought in ("\x00", "\u202e", "zed\x00", "\ue000"):
        assert "Nobody is found by that." in (await boss.open("/admin/users", q=sought)).text
        shown = await boss.post("/admin/bulk/new", everybody="yes", q=sought, action="disable")
        assert shown.status_code == 200
        assert "zed0" not in shown.text
        begun = await boss.post("/admin/bulk", everybody="yes", q=sought, action="disable")
        bulk_id = begun.headers["location"].partition("?")[0].rpartition("/")[2]
        await work()
        assert (await boss.open(f"/admin/bulk/{bulk_id}")).status_code == 200
    assert [row["username"] for row in await rows_of(server, "users") if row["disabled_at"] is not None] == []
    assert {row["total"] for row in await rows_of(server, "bulk_actions")} == {0}
