"""docs/privacy.md says of each table what becomes of a person's rows; each is checked against a person who has one there."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.models import Base
from tests.mail.postman import Postman, rows_of
from tests.passkeys.scene import enrol
from tests.privacy.scene import Someone, as_actor, someone
from tests.support.processes import ROOT

LINE = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
NOT_SHOWN = {  # columns that the export leaves out, and why
    "users": {
        "username_key": "derived from the username",
        "email_key": "derived from the address",
        "password_hash": "a secret's; its scheme is said",
        "epoch": "counts changes, for the server's own use",
    },
    "sessions": {
        "user_id": "the account itself",
        "generation": "counts refreshes, for the server's own use",
        "rotated_at": "the moment of the last refresh, which used_at says",
        "rotated_by": "a keyed digest",
        "cookie_digest": "a secret's",
        "impersonator_id": "somebody of the staff; that there was one is said as `impersonated`",
        "parent_id": "the session of that one",
    },
    "known_devices": {"user_id": "the account itself", "digest": "a secret's"},
    "login_failures": {"key": "a keyed digest", "told_at": "whether a mail was sent, which is an event"},
    "login_attempts": {"user_id": "the account itself", "digest": "a secret's", "epoch": "for the server's own use"},
    "remembered_devices": {"user_id": "the account itself"},
    "totp_factors": {"user_id": "the account itself", "secret_sealed": "a secret", "last_step": "when a code was last used"},
    "recovery_codes": {"user_id": "the account itself", "digest": "a secret's"},
    "mfa_requirements": {"user_id": "the account itself"},
    "tickets": {"subject_id": "the account, or a row that is shown", "binding": "a digest of a browser's secret"},
    "jobs": {"lease": "the worker's own", "lease_until": "the worker's own", "failing_since": "the worker's own"}
    | {"last_error": "the name of an error"},
    "dev_mails": {"text": "may hold a live link; development only", "html": "may hold a live link; development only"},
    "audit_events": {
        "actor_id": "said as `by`",
        "subject_id": "said as `about`",
        "impersonator_id": "somebody else",
        "personal": "said in `data`",
        "client_salt": "random",
        "personal_salt": "random",
        "client_digest": "there once it is erased",
        "personal_digest": "there once it is erased",
        "position": "the row's place in the chain",
        "seal": "a digest",
        "mark": "a keyed digest",
    },
    "pending_registrations": {
        "username_key": "derived from the username",
        "email_key": "derived from the address",
        "password_hash": "a secret's, and perhaps somebody else's",
        "scheme": "of that hash",
    },
    "email_changes": {"user_id": "the account itself", "epoch": "for the server's own use", "old_email_key": "derived"},
    "bulk_actions": {
        "filter": "what was searched for: other people",
        "collected_to": "somebody else",
        "turn": "for the server's own use",
        "started_by": "said by where it stands",
        "acting_id": "as that",
        "acting_epoch": "a counter of ours",
    },
    "webhook_deliveries": {"endpoint_id": "a system that is told of events, not of the person alone"},
    "bulk_items": {"user_id": "the account itself"},
    "passkeys": {
        "user_id": "the account itself",
        "credential_id": "the authenticator's own name for it",
        "public_key": "of no use to a person",
        "user_handle": "random, the authenticator's own name for the account",
    },
    "invitations": {"email_key": "derived from the address", "invited_by": "said by where it stands", "accepted_by": "as that"},
}


def decided() -> dict[str, tuple[str, str]]:
    """Of each table: where the export has it, and what erasing does."""
    words = (ROOT / "docs" / "privacy.md").read_text()
    return {table: (where.strip(), erased.strip()) for table, where, erased in LINE.findall(words)}


def shown(data: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """What stands under a path such as `password.failed_tries`."""
    found: Any = data
    for name in path.split("`")[1].split("."):
        found = found[name]
    return [found] if isinstance(found, dict) else found


def names(row: dict[str, Any], who: Someone) -> bool:
    text = repr({key: value for key, value in row.items() if not isinstance(value, bytes)}).lower()
    return any(mark in text for mark in (who.user.id, who.id.hex, who.user.username))


@pytest.fixture
async def who(app: FastAPI, client: AsyncClient, server: Server, postman: Postman) -> Someone:
    found = await someone(app, server, postman)
    await enrol(client, found.user)
    await as_actor(server, found)
    return found


def test_every_table_is_decided() -> None:
    assert set(decided()) == set(Base.metadata.tables)


async def test_every_part_stands_in_the_docs(server: Server) -> None:
    parts = {part.name for part in PERSONAL_DATA.of(server.parts)}
    documented = {where.split("`")[1].split(".")[0] for where, _ in decided().values() if where.startswith("`")}
    assert parts == documented


async def test_what_is_held_is_in_the_export(client: AsyncClient, server: Server, who: Someone) -> None:
    answer = await client.get("/auth/me/export", headers=who.headers)
    data = answer.json()["data"]
    for table, (where, _) in decided().items():
        naming = [row for row in await rows_of(server, table) if names(row, who)]
        if not where.startswith("`"):
            assert naming == [], f"{table} names the person, and the export does not show it"
            continue
        entries = shown(data, where) + data["email_changes"].get(where.strip("`"), [])
        if table != "login_failures":  # whose keys are digests
            assert len(entries) >= len(naming) > 0, table
        columns = {column.name for column in Base.metadata.tables[table].columns}
        assert entries, table
        assert columns - set(entries[0]) == set(NOT_SHOWN.get(table, {})), table


def test_what_is_not_shown_has_a_reason() -> None:
    for table, columns in NOT_SHOWN.items():
        assert set(columns) < {column.name for column in Base.metadata.tables[table].columns}
        assert all(columns.values())


async def test_a_table_that_nobody_decided_on_is_found(server: Server, who: Someone) -> None:
    """The control: the person does have rows almost everywhere."""
    holding = {name for name in Base.metadata.tables if any(names(row, who) for row in await rows_of(server, name))}
    assert holding == set(Base.metadata.tables) - {
        "audit_chain",
        "audit_heads",
        "daily_rounds",
        "hash_schemes",
        "code_guesses",
        "login_failures",
        "passkey_challenges",
        "stat_points",
        "webhook_cursor",
        "webhook_endpoints",
    }
