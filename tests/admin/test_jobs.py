"""Jobs in the console: seen by kind and state, one of them tried or discarded from the page that says what that means."""

import uuid
from datetime import timedelta

from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from tests.admin.scene import check_desk, staff
from tests.auth.scene import events
from tests.mail.postman import rows_of
from tests.support.clock import TravellingClock
from tests.work.scene import KIND, dead, job, running

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


async def kinds(server: Server) -> list[str]:
    return [str(row["id"]) for row in await rows_of(server, "jobs") if row["kind"] == KIND]


async def test_what_waits_runs_was_given_up(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    looker = await staff(app, client, "auditor")
    ids = [await job(server, clock), await running(server, clock), await dead(server, clock, "TimeoutError")]
    page = await looker.open("/admin/jobs", kind=KIND)
    check_desk(page)
    for one in ids:
        assert f"/admin/jobs/{one}" in page.text
    assert "TimeoutError" in page.text
    only = await looker.open("/admin/jobs", kind=KIND, state="dead")
    check_desk(only)
    assert ids[2] in only.text
    assert ids[0] not in only.text
    for odd in ({"state": "lost"}, {"cursor": "x"}, {"kind": HOSTILE}):
        shown = await looker.open("/admin/jobs", **odd)
        check_desk(shown)
        assert HOSTILE not in shown.text
    seen = await looker.open(f"/admin/jobs/{ids[2]}")
    check_desk(seen)
    assert "/discard" not in seen.text
    assert "/retry" not in seen.text
    for act in ("retry", "discard"):
        assert (await looker.form(f"/admin/jobs/{ids[2]}/{act}")).status_code == 403
    assert len(await kinds(server)) == 3


async def test_pages_of_many(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    looker = await staff(app, client, "auditor")
    for _ in range(51):
        await job(server, clock)
    first = await looker.open("/admin/jobs", kind=KIND)
    (following,) = [link["href"] for link in check_desk(first).named("a") if link.get("rel") == "next"]
    second = await client.get(str(following))
    links = [link["href"] for link in check_desk(second).named("a") if str(link["href"]).startswith("/admin/jobs/")]
    assert len(links) == 1


async def test_hostile_words_in_errors_and_payloads_do_nothing(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await staff(app, client)
    payload = {"to": "someone@example.com", "agent": HOSTILE, "values": {HOSTILE: HOSTILE}, "ticket": "SECRET"}
    one = await job(server, clock, payload, last_error=HOSTILE)
    for path in ("/admin/jobs", f"/admin/jobs/{one}"):
        page = await boss.open(path)
        check_desk(page)
        assert HOSTILE not in page.text
        assert "&lt;script&gt;" in page.text
        assert "SECRET" not in page.text
        assert "someone@example.com" not in page.text
    assert "s***@example.com" in page.text


async def test_tried_now_and_discarded(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    boss, one = await staff(app, client), await dead(server, clock)
    page = await boss.open(f"/admin/jobs/{one}")
    check_desk(page)
    assert "This can't be undone." in page.text.replace("&#39;", "'")
    assert await kinds(server) == [one]
    again = await boss.form(f"/admin/jobs/{one}/retry")
    assert (again.status_code, again.headers["location"]) == (303, "/admin/jobs?done=job-retried")
    assert len(await events(server, "job.retried")) == 1
    gone = await boss.form(f"/admin/jobs/{one}/discard")
    assert (gone.status_code, gone.headers["location"]) == (303, "/admin/jobs?done=job-discarded")
    assert await kinds(server) == []
    assert "The job was discarded." in (await boss.open("/admin/jobs", done="job-discarded")).text
    for act in ("retry", "discard"):
        late = await boss.form(f"/admin/jobs/{one}/{act}")
        assert late.headers["location"] == "/admin/jobs?done=job-gone"
    assert len(await events(server, "job.discarded")) == 1
    assert (await boss.open(f"/admin/jobs/{uuid.uuid4()}")).status_code == 404


async def test_what_runs_is_left_alone_and_a_form_needs_its_token(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss, one = await staff(app, client), await running(server, clock)
    for act in ("retry", "discard"):
        refused = await boss.form(f"/admin/jobs/{one}/{act}")
        check_desk(refused, status=409)
        assert "The job runs at this moment." in refused.text
    idle = await job(server, clock)
    for act in ("retry", "discard"):
        assert (await client.post(f"/admin/jobs/{idle}/{act}", data={"x": ""}, headers=boss.headers)).status_code == 403
    clock.advance(timedelta(minutes=11))
    led = await boss.form(f"/admin/jobs/{idle}/discard")
    assert led.headers["location"].startswith("/account/reauthenticate")
    assert set(await kinds(server)) == {one, idle}
