"""From the audit log to receivers: what they chose, from when they were added, once each, signed, naming nobody."""

import asyncio
import base64
from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import text

from app.audit.facts import Fact
from app.core.crypto import message_digest
from app.core.server import Server
from app.jobs.worker import run_steady
from app.webhooks import telling
from tests.mail.postman import rows_of
from tests.support import api
from tests.support.clock import TravellingClock
from tests.webhooks.receiver import Receiver, verifies
from tests.webhooks.scene import FACT, add, ask, deliveries, happen, press, send, tell

pytestmark = pytest.mark.env(WEBHOOKS_LOOPBACK="true")


def test_the_verifier_and_the_signer_agree_with_the_specifications_own_vector() -> None:
    """Of the reference libraries' tests (github.com/standard-webhooks)."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verifies(secret, headers, body)
    assert not verifies(secret, headers | {"webhook-timestamp": "1614265331"}, body)
    assert message_digest(b"key", b"message").hex() == "6e9ef29b75fffc5b7abae527d58fdadb2fe42e7219011976917343065f58ed4a"


async def test_an_event_arrives_signed_and_names_people_by_ids_alone(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver
) -> None:
    hook = await add(client, admin, receiver.url)
    await tell(server)
    assert await rows_of(server, "webhook_deliveries") == []  # what was before is not told
    account = await api.register(client)
    await tell(server)
    assert await send(server) == 1
    (got,) = receiver.got
    assert got.signed_by(hook.secret)
    assert got.headers["content-type"] == "application/json"
    assert abs(int(got.headers["webhook-timestamp"]) - server.clock().timestamp()) < 30
    assert " " not in got.headers["webhook-signature"]
    (event,) = [row for row in await rows_of(server, "audit_events") if str(row["subject_id"]) == account["id"]]
    message = got.message
    assert set(message) == {"type", "timestamp", "data"}
    assert (message["type"], datetime.fromisoformat(message["timestamp"])) == (FACT.value, event["at"])
    assert message["data"] == {
        "event": event["id"],
        "actor_id": str(event["actor_id"]) if event["actor_id"] else None,
        "subject_id": account["id"],
        "impersonator_id": None,
        "session_id": None,
        "request_id": event["request_id"],
        "details": event["data"],
    }
    assert account["username"].encode() not in got.body
    assert b"127.0.0.1" not in got.body


async def test_what_may_name_somebody_is_not_told(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver
) -> None:
    await add(client, admin, receiver.url, Fact.PROFILE_CHANGED)
    await happen(server, fact=Fact.PROFILE_CHANGED, fields=["username"], username_before="margaret", username_after="maggie")
    await tell(server)
    await send(server)
    (got,) = receiver.got
    assert got.message["data"]["details"] == {"fields": ["username"]}
    for secret in (b"margaret", b"maggie", b"203.0.113.7", b"secret-agent"):
        assert secret not in got.body


async def test_each_is_told_of_what_it_chose_from_when_it_was_added(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver
) -> None:
    both = await add(client, admin, receiver.url, FACT, Fact.USER_DELETED)
    await happen(server)  # not sealed before the next one is added
    one = await add(client, admin, receiver.url, FACT)
    await happen(server, fact=Fact.USER_DELETED)
    await happen(server)
    await tell(server)
    assert [each["type"] for each in await deliveries(client, admin, both)] == [FACT, Fact.USER_DELETED, FACT]
    assert len(await deliveries(client, admin, one)) == 1


async def test_a_disabled_one_is_told_of_nothing_that_happens_meanwhile(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver
) -> None:
    hook = await add(client, admin, receiver.url)
    for enabled, told in ((False, 0), (True, 1)):
        answer = await client.patch(f"/webhooks/{hook.id}", json={"enabled": enabled}, headers=admin.headers)
        assert (answer.status_code, answer.json()["enabled"]) == (200, enabled)
        await happen(server)
        if enabled:
            await tell(server)
            assert len(await deliveries(client, admin, hook)) == told
    await send(server)
    assert len(receiver.got) == 1


async def test_many_events_are_told_in_order_and_each_once(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "BATCH", 7)
    hook = await add(client, admin, receiver.url)
    await happen(server, 30)
    await tell(server)
    await tell(server)
    ids: list[int] = []
    cursor = None
    while True:
        params = {"limit": "4"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(f"/webhooks/{hook.id}/deliveries", params=params, headers=admin.headers)).json()
        ids += [each["event_id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == 30
    assert len([row for row in await rows_of(server, "jobs") if row["kind"] == "webhook"]) == 1


async def test_two_workers_tell_each_event_once(
    client: AsyncClient, server: Server, twin: FastAPI, admin: api.User, receiver: Receiver
) -> None:
    await add(client, admin, receiver.url)
    for _ in range(5):
        await happen(server, 10)
        await asyncio.gather(*(run_steady(each, server.clock()) for each in (server, twin.state.server)))
    await tell(server)
    events = [row["event_id"] for row in await rows_of(server, "webhook_deliveries")]
    assert len(events) == len(set(events)) == 50


async def test_a_second_delivery_of_an_event_can_not_be(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver
) -> None:
    """A cursor that was set back by hand: nothing doubles, and the teller says so instead of going on."""
    await add(client, admin, receiver.url)
    await happen(server)
    await tell(server)
    async with server.database.write() as db:
        await db.execute(text("UPDATE webhook_cursor SET position = 0"))
    await happen(server)
    await tell(server)
    assert len(await rows_of(server, "webhook_deliveries")) == 1


async def test_nobody_listens_and_the_cursor_moves_on_all_the_same(server: Server) -> None:
    await happen(server, 3)
    await tell(server)
    (cursor,) = await rows_of(server, "webhook_cursor")
    (chain,) = await rows_of(server, "audit_chain")
    assert cursor["position"] == chain["position"] > 0


async def test_rotated_both_secrets_sign_for_as_long_as_was_said(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver, clock: TravellingClock
) -> None:
    hook = await add(client, admin, receiver.url)
    answer = await press(client, admin, f"{hook.id}/rotate-secret", overlap_hours=2)
    assert answer["secret"] != hook.secret
    await press(client, admin, f"{hook.id}/test")
    await send(server)
    clock.advance(timedelta(hours=2, seconds=1))
    admin = api.User(admin.id, admin.username, admin.email, admin.password, await api.login(client, admin.username))
    await press(client, admin, f"{hook.id}/test")
    await send(server)
    overlap, after = receiver.got
    assert len(overlap.headers["webhook-signature"].split(" ")) == 2
    assert overlap.signed_by(hook.secret)
    assert overlap.signed_by(answer["secret"])
    assert not after.signed_by(hook.secret)
    assert after.signed_by(answer["secret"])


async def test_a_secret_that_leaked_signs_no_more_at_once(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver
) -> None:
    hook = await add(client, admin, receiver.url)
    second = (await press(client, admin, f"{hook.id}/rotate-secret", overlap_hours=24))["secret"]
    third = (await press(client, admin, f"{hook.id}/rotate-secret", overlap_hours=0))["secret"]
    await press(client, admin, f"{hook.id}/test")
    await send(server)
    (got,) = receiver.got
    assert [got.signed_by(each) for each in (hook.secret, second, third)] == [False, False, True]


async def test_a_secret_is_shown_once_and_sealed_at_rest(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver
) -> None:
    answer = await ask(client, admin, receiver.url)
    secret = answer.json()["secret"]
    raw = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    assert len(raw) == 32
    for path in ("/webhooks", f"/webhooks/{answer.json()['id']}"):
        assert secret not in (await client.get(path, headers=admin.headers)).text
    for table in ("webhook_endpoints", "audit_events", "jobs", "webhook_deliveries"):
        for row in await rows_of(server, table):
            assert secret not in repr(row)
            assert not any(isinstance(value, bytes) and raw in value for value in row.values())


async def test_another_endpoints_sealed_secret_is_of_no_use(
    client: AsyncClient, server: Server, admin: api.User, receiver: Receiver
) -> None:
    """Somebody with the database puts a secret they know in the place of another's: nothing is signed with it."""
    known, other = await add(client, admin, receiver.url), await add(client, admin, receiver.url)
    async with server.database.write() as db:
        await db.execute(
            text(
                "UPDATE webhook_endpoints SET secret_sealed = (SELECT mine.secret_sealed FROM webhook_endpoints mine"
                " ORDER BY mine.created_at LIMIT 1)"
            )
        )
    await press(client, admin, f"{other.id}/test")
    await send(server)
    assert receiver.got == []
    (delivery,) = await deliveries(client, admin, other)
    assert (delivery["state"], delivery["last"]["error"]) == ("waiting", "no_secret")
    await press(client, admin, f"{known.id}/test")
    await send(server)
    assert [got.signed_by(known.secret) for got in receiver.got] == [True]
