"""The daily round: what has had its time is deleted, what may still matter stays."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from httpx2 import AsyncClient
from sqlalchemy import delete, update

from app.auth.models import KnownDevice, LoginFailure
from app.core.server import Server
from app.jobs.models import DailyRound
from app.jobs.worker import run_daily
from app.models import HashScheme, User
from tests.mail.postman import Postman, rows_of
from tests.support import api
from tests.support.clock import TravellingClock

pytestmark = pytest.mark.usefixtures("no_welcome_mail")


async def tidy(server: Server, now: datetime) -> None:
    async with server.database.write() as db:
        await db.execute(update(DailyRound).values(due_at=now))
    assert await run_daily(server, now)


async def test_sessions_go_a_day_after_they_expire_ended_or_not(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/logout", headers=user.headers)).status_code == 204
    await api.login(client, user.username)
    start = clock()
    await tidy(server, start + timedelta(days=30, hours=23))
    assert len(await rows_of(server, "sessions")) == 2  # a token of theirs may still come, and is known as ended
    await tidy(server, start + timedelta(days=31, hours=1))
    assert await rows_of(server, "sessions") == []
    assert len(await rows_of(server, "users")) == 1


async def test_the_sessions_of_a_deleted_user_stay_as_long(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    async with server.database.write() as db:
        await db.execute(delete(User).where(User.username == user.username))
    await tidy(server, clock() + timedelta(days=20))
    assert len(await rows_of(server, "sessions")) == 1


async def test_tickets_go_seven_days_after_they_expire(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.register(client)
    await postman.fetch_token(user["email"])
    await postman.fetch_token(user["email"])  # the first is voided now
    expiry = max(row["expires_at"] for row in await rows_of(server, "tickets"))
    await tidy(server, expiry + timedelta(days=6, hours=23))
    assert len(await rows_of(server, "tickets")) == 2
    await tidy(server, expiry + timedelta(days=7, seconds=1))
    assert await rows_of(server, "tickets") == []


async def test_devices_go_when_they_expire_and_failures_when_they_are_to_be_forgotten(
    server: Server, clock: TravellingClock
) -> None:
    now = clock()
    hour = timedelta(hours=1)
    async with server.database.write() as db:
        for number, moment in enumerate((now - hour, now + hour)):
            digest = bytes([number]) * 32
            db.add(KnownDevice(id=uuid4(), user_id=uuid4(), digest=digest, created_at=now, expires_at=moment))
            db.add(LoginFailure(key=digest, failures=3, next_at=now, forget_at=moment))
    await tidy(server, now)
    assert [row["digest"] for row in await rows_of(server, "known_devices")] == [b"\x01" * 32]
    assert [row["key"] for row in await rows_of(server, "login_failures")] == [b"\x01" * 32]


async def test_schemes_that_no_hash_uses_are_forgotten_and_the_current_one_never(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    await api.register(client)
    current = {row["scheme"] for row in await rows_of(server, "hash_schemes")}
    async with server.database.write() as db:
        db.add(HashScheme(scheme="bcrypt/05"))
        db.add(HashScheme(scheme="bcrypt/06"))
        row = (await rows_of(server, "users"))[0]
        hashed = str(row["password_hash"])
        await db.execute(update(User).values(password_hash=hashed.replace("$04$", "$06$")))
    await tidy(server, clock())
    kept = {row["scheme"] for row in await rows_of(server, "hash_schemes")}
    assert kept == current | {"bcrypt/06"}


async def test_nothing_else_is_touched(postman: Postman, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    await postman.ask(user.email)
    names = ("users", "audit_events", "jobs", "sessions", "known_devices", "hash_schemes")
    before = {name: await rows_of(server, name) for name in names}
    assert all(before.values())
    await tidy(server, clock() + timedelta(days=2))
    assert {name: await rows_of(server, name) for name in names} == before
