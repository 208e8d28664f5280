"""init, migrate, check, openapi, after-restore: a place to run in, secrets shown to nobody, a restored backup made true."""

import json
import sqlite3
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.config import Settings, load_settings
from app.core.server import Server
from tests.auth.scene import assert_dead, events, session_row, sid_of, status_of
from tests.cli.commands import Commands
from tests.mail.postman import rows_of
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.postgres import Cluster
from tests.support.smtp import SmtpServer, links_in
from tests.support.stacks import Stack, new_name, sqlite_url


@pytest.mark.asvs("V13.2.3", "V6.3.2")
async def test_init_writes_fresh_secrets_for_the_owner_alone_and_never_again(bare_cli: Commands, tmp_path: Path) -> None:
    assert "fresh secrets" in await bare_cli.succeed("init")
    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = file.read_bytes()
    assert "nothing was changed" in await bare_cli.succeed("init")
    assert file.read_bytes() == written
    elsewhere = Commands({}, tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    out = await elsewhere.succeed("init")
    first, second = dotenv_values(file), dotenv_values(elsewhere.folder / ".env")
    secrets = [each[name] for each in (first, second) for name in ("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET")]
    assert len(set(secrets)) == 4
    assert all(secret and len(secret) >= 64 and secret not in out for secret in secrets)
    assert load_settings({}, env_file=file).is_development


async def test_migrate_makes_the_tables_and_may_be_repeated(
    stack: Stack, cli: Commands, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = new_name()
    url = sqlite_url(tmp_path / "new" / "fresh.db")
    cluster: Cluster | None = request.getfixturevalue("postgres") if stack.postgres else None
    if cluster is not None:
        url = cluster.create_database(name)
    try:
        assert "not migrated" in await cli.fail("users", "list", DATABASE_URL=url)
        for _ in range(2):
            assert "newest revision" in await cli.succeed("migrate", DATABASE_URL=url)
        assert await cli.succeed("users", "list", DATABASE_URL=url) == ""
    finally:
        if cluster is not None:
            cluster.drop_database(name)
    if cluster is None:
        file = tmp_path / "new" / "fresh.db"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with sqlite3.connect(file) as db:
            assert db.execute("SELECT count(*) FROM users").fetchone() == (0,)
        db.close()


@pytest.mark.asvs("V16.2.5")
async def test_check_shows_every_setting_and_no_secret(cli: Commands, stack: Stack) -> None:
    secrets = {
        "SMTP_PASSWORD": "mail-hunter2-secret",
        "REDIS_URL": "redis://:redis-hunter2@localhost:6379/0",
        "SMTP_TLS": "starttls",
        "SMTP_USER": "mailer",
    }
    result = await cli("check", **secrets, **({} if stack.postgres else {"DATABASE_URL": "sqlite:///data/some.db"}))
    assert result.code == 0, result
    shown = dict(line.split("=", 1) for line in result.out.splitlines())
    assert shown.keys() == Settings.model_fields.keys()
    assert shown["SECRET_KEY"] == shown["PASSWORD_RESET_TOKEN_SECRET"] == shown["SMTP_PASSWORD"] == "********"
    assert shown["BCRYPT_ROUNDS"] == "4"
    everything = result.out + result.err
    assert "hunter2" not in everything
    for name in ("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET"):
        assert cli.env[name] not in everything
    if stack.postgres:
        password = cli.env["DATABASE_URL"].split(":")[2].partition("@")[0]
        assert password not in everything
        assert shown["DATABASE_URL"].endswith(cli.env["DATABASE_URL"].partition("@")[2])
        assert ":***@" in shown["DATABASE_URL"]
    else:
        assert shown["DATABASE_URL"].endswith("///data/some.db")
    assert "warning: ENVIRONMENT=development" in result.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "hunter2"),
        ("SECRET_KEY", "change-me-change-me-change-me-hunter2"),
        ("DATABASE_URL", "mysql://root:hunter2@localhost/x"),
        ("DATABASE_URL", "hunter2"),
        ("REDIS_URL", "http://:hunter2@localhost"),
        ("PORT", "hunter2"),
        ("BCRYPT_ROUNDS", "hunter2"),
        ("RATE_LIMIT_LOGIN", "hunter2"),
    ],
)
async def test_bad_settings_are_one_line_and_exit_2_without_the_value(bare_cli: Commands, name: str, value: str) -> None:
    env = {
        "SECRET_KEY": "k" * 8 + "0123456789abcdefghijklmnopqrstuvwxyz",
        "PASSWORD_RESET_TOKEN_SECRET": "0123456789zyxwvutsrqponmlkjihgfedcba",
    }
    line = await bare_cli.fail("check", code=2, **{**env, name: value})
    assert name in line
    assert "hunter2" not in line


async def test_every_command_minds_bad_settings(bare_cli: Commands) -> None:
    for command in (("migrate",), ("users", "show", "alice"), ("serve", "--workers", "2"), ("worker",), ("openapi",)):
        assert "SECRET_KEY" in await bare_cli.fail(*command, code=2)


async def test_an_unreachable_database_is_one_line_without_its_password(bare_cli: Commands, tmp_path: Path) -> None:
    await bare_cli.succeed("init")
    url = "postgresql://authkeep:hunter2@127.0.0.1:1/authkeep"
    for command in (("users", "list"), ("migrate",)):
        assert "hunter2" not in await bare_cli.fail(*command, DATABASE_URL=url)
    (tmp_path / "broken.db").write_bytes(b"hunter2 " * 2000)
    assert "hunter2" not in await bare_cli.fail("users", "list", DATABASE_URL=sqlite_url(tmp_path / "broken.db"))


async def test_openapi_is_printed_as_json(bare_cli: Commands, app: FastAPI) -> None:
    await bare_cli.succeed("init")
    document = json.loads(await bare_cli.succeed("openapi"))
    assert document["openapi"].startswith("3.")
    assert document["paths"].keys() == app.openapi()["paths"].keys()


async def test_help_names_every_command(bare_cli: Commands) -> None:
    shown = await bare_cli.succeed("--help")
    for command in ("init", "serve", "worker", "migrate", "check", "users", "after-restore", "openapi"):
        assert f"  {command} " in shown


@pytest.mark.parametrize(
    ("arguments", "about"),
    [(("nonsense",), "nonsense"), (("users", "set-role", "alice", "king"), "king"), (("users", "show"), "NAME")],
)
async def test_a_command_mistyped_is_one_line_and_exit_1(bare_cli: Commands, arguments: tuple[str, ...], about: str) -> None:
    assert about in await bare_cli.fail(*arguments)


@pytest.mark.promise("P2")
@pytest.mark.usefixtures("no_welcome_mail")
async def test_after_restore_ends_every_session_and_voids_every_link(
    cli: Commands,
    client: AsyncClient,
    server: Server,
    clock: TravellingClock,
    smtp: SmtpServer,
    work: Callable[[], Awaitable[int]],
) -> None:
    users = [await api.new_user(client) for _ in range(2)]
    for user in users:
        assert (await client.post("/auth/forgot-password", json={"email": user.email})).status_code == 202
    clock.advance(seconds=3)
    await work()
    assert "aborted" in (await cli.fail("after-restore")).lower()  # nobody said yes
    assert [await status_of(client, user.tokens) for user in users] == [200, 200]
    assert (await client.post("/auth/login/passkey/options", json={})).status_code == 200
    said = await cli.succeed("after-restore", "--yes")
    assert await rows_of(server, "passkey_challenges") == []
    assert "Ended 2 sessions and voided 2 links." in said
    for user in users:
        await assert_dead(client, user.tokens)
        assert (await session_row(server, sid_of(user.tokens))).end_reason == "restored"
        (link,) = {link for link in links_in(smtp.wait_for(user.email)) if "token=" in link}
        body = {"token": link.partition("token=")[2], "new_password": "quite another 1!"}
        refused: Any = (await client.post("/auth/reset-password", json=body)).json()
        assert refused["code"] == "ticket_invalid"
        assert await status_of(client, await api.login(client, user.username)) == 200
    (event,) = await events(server, "database.restored")
    assert event.data == {"sessions": 2, "tickets": 2, "position": 0}
    assert "Ended 2 sessions and voided 0 links." in await cli.succeed("after-restore", typed="y\n")
