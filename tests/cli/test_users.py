"""users …: what an operator does to accounts, by the rules of the API, dead at once for a server that runs."""

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from tests.auth.scene import assert_dead, events, session_row, sid_of, status_of
from tests.cli.commands import Commands
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.redis import RedisServer
from tests.support.smtp import SmtpServer
from tests.support.stacks import Stack, Templates

NEW = "quite another 1!"


async def test_accounts_are_created_listed_and_shown(cli: Commands, client: AsyncClient, server: Server) -> None:
    made = await cli.succeed("users", "create", "Alice", "Alice@Example.com", typed=f"{api.PASSWORD}\n")
    assert made.split()[1:] == ["Alice", "user", "active", "Alice@example.com"]
    assert (await client.get("/auth/me", headers=api.bearer(await api.login(client, "alice")))).json()["id"] == made.split()[0]
    made = await cli.succeed("users", "create", "admin", "boss@example.com", "--role", "admin", typed=api.PASSWORD)
    assert made.split()[1:] == ["admin", "admin", "active", "boss@example.com"]
    assert [line.split()[1] for line in (await cli.succeed("users", "list")).splitlines()] == ["Alice", "admin"]
    assert [line.split()[1] for line in (await cli.succeed("users", "list", "--q", "BOSS")).splitlines()] == ["admin"]
    shown = await cli.succeed("users", "show", "ALICE@example.COM")
    assert shown.split()[1] == "Alice"
    assert api.PASSWORD not in made + shown
    created = await events(server, "user.created")
    assert [event.data for event in created] == [{"role": "user"}, {"role": "admin"}]
    assert {event.actor_id for event in created} == {None}
    assert {event.user_agent for event in created} == {"command line"}


async def test_what_registration_refuses_is_refused(cli: Commands, client: AsyncClient) -> None:
    account = await api.register(client, "alice")
    assert "taken" in await cli.fail("users", "create", "ALICE", "new@example.com", typed=api.PASSWORD)
    assert "registered" in await cli.fail("users", "create", "bob", account["email"].upper(), typed=api.PASSWORD)
    assert "username" in await cli.fail("users", "create", "al ice", "new@example.com", typed=api.PASSWORD)
    assert "email" in await cli.fail("users", "create", "bob", "no address", typed=api.PASSWORD)
    for bad in ("P@ssw0rd", ""):
        line = await cli.fail("users", "create", "bob", "new@example.com", typed=f"{bad}\n")
        assert not bad or bad not in line
    assert [line.split()[1] for line in (await cli.succeed("users", "list")).splitlines()] == ["alice"]


@pytest.mark.parametrize("command", ["show", "enable", "disable", "delete", "set-role", "set-password", "mfa-reset"])
async def test_an_unknown_name_is_said_so(bare_cli: Commands, command: str, templates: Templates, data_folder: Path) -> None:
    """On SQLite alone: what the database is makes no difference here, and a process takes long to start."""
    await bare_cli.succeed("init")
    url = templates.copy_sqlite(data_folder / "authkeep.db")
    more = ("admin",) if command == "set-role" else ()
    assert "No such user" in await bare_cli.fail("users", command, "nobody", *more, typed=NEW, DATABASE_URL=url)


@pytest.mark.promise("P2", "P10")
@pytest.mark.asvs("V7.4.2")
async def test_a_change_ends_the_persons_sessions_in_the_running_server(
    cli: Commands, app: FastAPI, client: AsyncClient, server: Server, stack: Stack, request: pytest.FixtureRequest
) -> None:
    await api.new_admin(app, client)
    user = await api.new_user(client)
    name, tokens = user.username, user.tokens
    for command, reason, state in (
        (("set-role", name, "admin"), "role_changed", "admin     active"),
        (("set-role", user.email, "user"), "role_changed", "user      active"),
        (("disable", name.upper()), "disabled", "user      disabled"),
    ):
        assert state in await cli.succeed("users", *command)
        await assert_dead(client, tokens)
        assert (await session_row(server, sid_of(tokens))).end_reason == reason
        if stack.redis:
            redis_server: RedisServer = request.getfixturevalue("redis_server")
            with redis_server.connect() as redis:
                assert redis.exists(f"{{authkeep}}:blocked:sid:{sid_of(tokens).hex}")
        if reason != "disabled":
            tokens = await api.login(client, name)
            assert await status_of(client, tokens) == 200
    form = {"username": name, "password": user.password}
    assert (await client.post("/auth/login", data=form)).status_code == 401
    assert "active" in await cli.succeed("users", "enable", name)
    await assert_dead(client, tokens)
    tokens = await api.login(client, name)
    assert await cli.succeed("users", "delete", name) == f"Deleted {name}.\n"
    await assert_dead(client, tokens)
    assert "No such user" in await cli.fail("users", "show", name)
    subject = uuid.UUID(user.id)
    for fact, count in (("user.role.changed", 2), ("user.status.changed", 2), ("user.deleted", 1)):
        found = await events(server, fact, subject_id=subject)
        assert [event.actor_id for event in found] == [None] * count


async def test_the_last_admin_stays_at_the_command_line_too(
    cli: Commands, app: FastAPI, client: AsyncClient, server: Server
) -> None:
    admin = await api.new_admin(app, client)
    await api.new_user(client)
    for command in (("set-role", admin.username, "user"), ("disable", admin.username), ("delete", admin.email)):
        assert "last active admin" in await cli.fail("users", *command)
    denied = await events(server, "access.denied", subject_id=uuid.UUID(admin.id))
    assert [(each.actor_id, each.data) for each in denied] == [(None, {"reason": "last_admin"})] * 3
    assert await status_of(client, admin.tokens, "/users/") == 200


@pytest.mark.promise("P2", "P4")
async def test_a_password_set_by_the_operator_ends_the_old_ones_sessions(
    cli: Commands,
    client: AsyncClient,
    server: Server,
    clock: TravellingClock,
    smtp: SmtpServer,
    work: Callable[[], Awaitable[int]],
) -> None:
    user = await api.new_user(client)
    for bad in ("P@ssw0rd", f"{user.username}!"):
        line = await cli.fail("users", "set-password", user.username, typed=f"{bad}\n")
        assert bad not in line
    assert await status_of(client, user.tokens) == 200
    said = await cli.succeed("users", "set-password", user.email, typed=f"{NEW}\n")
    assert said == f"Set a new password for {user.username}.\n"
    await assert_dead(client, user.tokens)
    form = {"username": user.username, "password": user.password}
    assert (await client.post("/auth/login", data=form)).status_code == 401
    assert await status_of(client, await api.login(client, user.username, NEW)) == 200
    (event,) = await events(server, "user.password.set_by_operator")
    assert (str(event.subject_id), event.actor_id) == (user.id, None)
    clock.advance(seconds=3)
    await work()
    assert "password" in str(smtp.wait_for(user.email)["Subject"]).lower()
