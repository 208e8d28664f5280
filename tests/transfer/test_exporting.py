"""What is exported comes back the same; it holds no credentials unless asked for, and no formula."""

import csv
import io
import json
from datetime import timedelta

import pyotp
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import text

from app.core.server import Server
from app.mfa.carrying import NoSecret
from app.transfer import exporting
from tests.auth.scene import events, execute
from tests.mail.postman import rows_of
from tests.mfa.app_of import enrol, second_step
from tests.passkeys.authenticator import Authenticator
from tests.passkeys.scene import sign_in, somebody
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.transfer.scene import bring, person, taken_out


async def all_kinds(client: AsyncClient, app: FastAPI, server: Server, clock: TravellingClock) -> Authenticator:
    """People with everything that an account can have."""
    await api.new_admin(app, client)
    await enrol(client, clock, await api.new_user(client))
    keys = Authenticator()
    await somebody(client, keys, 2)
    await api.register(client, "disabled1")
    await execute(server, text("UPDATE users SET disabled_at = created_at WHERE username = 'disabled1'"))
    await api.register(client, "leaving1")
    await execute(server, text("UPDATE users SET leaving_at = created_at, locale = 'fr' WHERE username = 'leaving1'"))
    for number, name in enumerate(("=1+1", "'quoted", "@cmd", 'with "quotes", commas', "Ω μέγα", "-")):
        await api.register(client, f"shown{number}")
        await execute(
            server, text("UPDATE users SET display_name = :name WHERE username = :who"), name=name, who=f"shown{number}"
        )
    await api.register(client, "plus1", "+plus@example.com")
    return keys


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_what_is_exported_comes_back_the_same(
    kind: str,
    app: FastAPI,
    client: AsyncClient,
    server: Server,
    empty: FastAPI,
    clock: TravellingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 3)
    keys = await all_kinds(client, app, server, clock)
    written = await taken_out(server, kind, credentials=True)
    other: Server = empty.state.server
    people = len(await rows_of(server, "users"))
    assert (await bring(other, written, kind=f".{kind}", trusted=True)).numbers == (people, 0, 0)
    assert await taken_out(other, kind, credentials=True) == written
    assert (await bring(other, written, kind=f".{kind}", trusted=True)).numbers == (0, people, 0)

    async with client_of(empty) as visitor:
        totp = next(row for row in map(json.loads, (await taken_out(other, credentials=True)).splitlines()) if "totp" in row)
        owed = await visitor.post("/auth/login", data={"username": totp["username"], "password": api.PASSWORD})
        assert owed.json()["status"] == "mfa_required"
        clock.advance(timedelta(seconds=60))
        code = pyotp.TOTP(totp["totp"]).at(clock())
        assert (await second_step(visitor, owed.json()["attempt"], code)).status_code == 200
        assert (await sign_in(visitor, keys)).status_code == 200


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_without_being_asked_for_no_credentials_are_in_it(
    kind: str, app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    await all_kinds(client, app, server, clock)
    written, whole = await taken_out(server, kind), await taken_out(server, kind, credentials=True)
    secrets = [
        str(value)
        for row in map(json.loads, (await taken_out(server, credentials=True)).splitlines())
        for value in (row.get("password_hash"), row.get("totp"), *(each["credential_id"] for each in row.get("passkeys", [])))
        if value
    ]
    assert len(secrets) > len(await rows_of(server, "users"))
    assert [secret for secret in secrets if secret in written] == []
    assert [secret for secret in secrets if secret not in whole] == []
    for name in ("password_hash", "totp", "passkeys"):
        assert name not in written
    assert written.count("\n") == len(await rows_of(server, "users")) + (kind == "csv")


async def test_no_cell_is_a_formula(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    await all_kinds(client, app, server, clock)
    rows = list(csv.reader(io.StringIO(await taken_out(server, "csv", credentials=True))))
    cells = [cell for row in rows for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))] == []
    assert {"'=1+1", "''quoted", "'@cmd", "'-", "'+plus@example.com"} <= set(cells)


async def test_each_export_is_recorded_before_anything_leaves(server: Server) -> None:
    await bring(server, [person("alice")])
    async for piece in exporting.export(server, "csv", credentials=True):
        assert piece.startswith("id,username")
        break
    (recorded,) = await events(server, "users.exported")
    assert recorded.data == {"format": "csv", "credentials": True}
    assert (recorded.actor_id, recorded.user_agent) == (None, "command line")


async def test_a_secret_under_another_key_ends_the_export_instead_of_being_left_out(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    await enrol(client, clock, await api.new_user(client))
    await execute(server, text("UPDATE totp_factors SET secret_sealed = :other"), other=b"x" * 60)
    with pytest.raises(NoSecret):
        await taken_out(server, credentials=True)
