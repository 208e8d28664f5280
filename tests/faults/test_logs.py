"""No password, token, code or mail address gets into a log, at any level, whatever goes wrong meanwhile."""

import asyncio

import pytest

from tests.faults.traffic import new_password, new_person
from tests.faults.world import World, broken
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.faults


async def a_busy_day(world: World, server: ServerProcess) -> None:
    """Everything that takes a secret, done rightly, wrongly and with the database in the way."""
    traffic = world.traffic
    person = await traffic.newcomer(server)
    tokens = await traffic.tokens(server, person)
    refreshed = (await traffic.refresh(server, tokens["refresh_token"])).body
    await traffic.refresh(server, tokens["refresh_token"], agent="thief")
    await traffic.login(server, person, new_password())
    await traffic.forgot(server, person.email)
    await world.smtp.wait_for_async(person.email, subject="reset", timeout=20)
    await traffic.register(server, new_person())
    ticket = await world.mint_ticket(person)
    async with world.holding_a_lock(person):
        await asyncio.gather(
            traffic.login(server, person),
            traffic.logout(server, refreshed["access_token"], refreshed["refresh_token"]),
            traffic.reset(server, ticket, new_password()),
            traffic.register(server, new_person()),
        )
    await traffic.reset(server, ticket, "short")
    await traffic.reset(server, ticket, new_password())
    for path in (f"/account/reset-password?token={ticket}", f"/nowhere/{ticket}", f"/users/{person.email}"):
        await traffic.send(server, "page", "GET", path, token=refreshed["access_token"])
    for body in ({"username": person.username, "password": person.password, "email": 1}, {person.password: person.password}):
        await traffic.send(server, "register", "POST", "/auth/register", json=body)
    await world.smtp.wait_for_async(person.email, subject="changed", timeout=20)


@pytest.mark.promise("P9")
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
async def test_no_secret_gets_into_a_log(world: World, level: str) -> None:
    environment = "production" if level == "INFO" else "development"
    server = world.serve(LOG_LEVEL=level, ENVIRONMENT=environment, BCRYPT_ROUNDS="10", WORKER_IN_SERVER="true")

    await a_busy_day(world, server)

    assert len(world.traffic.secrets) > 12
    assert "request" in server.logs()
    assert world.leaks() == []


@pytest.mark.promise("P9")
async def test_control_a_server_that_logs_what_it_reads_is_found(world: World) -> None:
    server = world.serve(launcher=broken("logs_bodies"), WORKER_IN_SERVER="true")

    try:
        await a_busy_day(world, server)
        assert world.leaks() != []
    finally:
        world.traffic.secrets.clear()
