"""GET /stats: the numbers, for whom they are."""

from datetime import timedelta

from fastapi import FastAPI
from httpx2 import AsyncClient

from app import __version__
from app.audit.facts import Fact
from app.core.server import Server
from tests.admin.scene import give_role
from tests.mail.postman import rows_of
from tests.stats.scene import at_half_past, count, write
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.stacks import newest_migration


async def test_staff_reads_and_nobody_else(app: FastAPI, client: AsyncClient, server: Server) -> None:
    assert (await client.get("/stats")).status_code == 401
    user = await api.new_user(client)
    refused = await client.get("/stats", headers=user.headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "access.denied" in {row["fact"] for row in await rows_of(server, "audit_events")}
    for role in ("support", "auditor", "admin"):
        await give_role(app, user.username, role)
        assert (await client.get("/stats", headers=user.headers)).status_code == 200, role


async def test_the_numbers_by_hour_and_day_and_how_the_server_is(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await api.new_admin(app, client)
    fresh = (await client.get("/stats", headers=boss.headers)).json()
    assert (fresh["counted_at"], fresh["active_sessions"], fresh["is_behind"]) == (None, None, True)
    now = clock()
    await write(server, Fact.LOGIN_FAILED, at_half_past(now, 23), 2)
    await write(server, Fact.LOGIN_FAILED, at_half_past(now, 24), 4)
    await write(server, Fact.LOGIN_FAILED, now - timedelta(days=29), 8)
    await write(server, Fact.LOGIN_FAILED, now - timedelta(days=31), 16)
    await count(server, now)
    found = (await client.get("/stats", headers=boss.headers)).json()
    assert [len(found["hours"]), len(found["days"])] == [24, 30]
    assert found["hours"][0]["failed_logins"] == 2
    assert found["hours"][-1]["sign_ups"] == found["hours"][-1]["logins"] == 1
    assert sum(point["failed_logins"] for point in found["hours"]) == 2
    assert sum(point["failed_logins"] for point in found["days"]) == 14
    assert found["days"][0]["failed_logins"] == 8
    assert found["active_sessions"] == 1
    assert found["is_behind"] is False
    assert found["version"] == __version__
    assert found["checks"]["database"] == "ok"
    assert found["revision"] == newest_migration()
