"""examples/receiver.py is sent real deliveries by a server that runs: it does each once, and believes nobody else."""

import asyncio
import base64
import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from examples import receiver
from tests.examples.hosting import hosted
from tests.support import api
from tests.support.processes import free_port, wait_until
from tests.webhooks.scene import add, deliveries, press

NOW = 1_800_000_000
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = b'{"type":"user.registered","timestamp":"2026-11-23T08:00:00Z","data":{"subject_id":"1"}}'


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(receiver, "SECRETS", [SECRET])
    monkeypatch.setattr(receiver, "SEEN", str(tmp_path / "seen.db"))
    with hosted(receiver.app, free_port()) as found:
        yield f"{found}/hook"


def done() -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(receiver.SEEN)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
            return []
        return database.execute("SELECT id, type, subject FROM events ORDER BY rowid").fetchall()


@pytest.mark.env(WEBHOOKS_LOOPBACK="true", WORKER_IN_SERVER="true")
async def test_it_is_told_by_a_running_server_and_does_each_once(
    app: FastAPI, client: AsyncClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await api.new_admin(app, client)
    hook = await add(client, admin, url)
    monkeypatch.setattr(receiver, "SECRETS", [hook.secret])
    accounts = [(await api.register(client))["id"] for _ in range(3)]
    await asyncio.to_thread(wait_until, lambda: len(done()) == 3, "what happened arrives", 30)
    assert sorted((kind, subject) for _, kind, subject in done()) == sorted(("user.registered", each) for each in accounts)
    # A secret that is being replaced, and a message that comes twice.
    new = (await press(client, admin, f"{hook.id}/rotate-secret", overlap_hours=1))["secret"]
    monkeypatch.setattr(receiver, "SECRETS", [new])
    first = (await deliveries(client, admin, hook))[-1]
    await press(client, admin, f"{hook.id}/deliveries/{first['id']}/replay")

    async def arrived_twice() -> bool:
        (found,) = [each for each in await deliveries(client, admin, hook) if each["id"] == first["id"]]
        return bool(found["state"] == "delivered")

    async with asyncio.timeout(30):
        while not await arrived_twice():
            await asyncio.sleep(0)
    assert len(done()) == 3


def signed(message_id: str = "msg_1", moment: str = str(NOW), secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{moment}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": message_id, "webhook-timestamp": moment, "webhook-signature": signature}


OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()
FALSE = {
    "signed by another": signed(secret=OTHER),
    "of another body": signed(body=b"{}"),
    "of another id": signed() | {"webhook-id": "msg_2"},
    "of another time": signed() | {"webhook-timestamp": str(NOW + 1)},
    "old": signed(moment=str(NOW - 301)),
    "of the future": signed(moment=str(NOW + 301)),
    "no time": signed(moment="now"),
    "no ASCII time": signed(moment="１８"),
    "a time beyond all times": signed(moment="9" * 400),
    "a time of a page": signed(moment="9" * 5000),
    "no signature": signed() | {"webhook-signature": ""},
    "another version": signed() | {"webhook-signature": signed()["webhook-signature"].replace("v1,", "v2,")},
    "odd signature": signed() | {"webhook-signature": "v1 , ü"},
    "nothing": {},
}


@pytest.mark.parametrize("headers", FALSE.values(), ids=list(FALSE))
def test_what_is_false_is_not_believed(headers: dict[str, str]) -> None:
    assert not receiver.is_genuine([SECRET], headers, BODY, NOW)


def test_one_right_signature_of_one_secret_will_do() -> None:
    both = f"{signed(secret=OTHER)['webhook-signature']} {signed()['webhook-signature']}"
    assert receiver.is_genuine([SECRET], signed() | {"webhook-signature": both}, BODY, NOW + 300)
    assert receiver.is_genuine([OTHER, SECRET], signed(), BODY, NOW - 300)
    assert not receiver.is_genuine([], signed(), BODY, NOW)


def test_over_http_strangers_and_huge_bodies_are_refused(url: str) -> None:
    for body in (BODY, b"x" * 100_000):
        assert httpx2.post(url, content=body, headers=signed(body=body)).status_code == 400  # long ago
    assert done() == []
