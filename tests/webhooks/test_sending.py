"""Attempts: what counts as delivered, when the next one comes, and when there is none any more."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from httpx2 import AsyncClient

from app.core.server import Server
from app.infra import outbound
from app.webhooks import sending
from app.webhooks.sending import DELAYS
from tests.auth.scene import events
from tests.mail.postman import rows_of
from tests.support import api
from tests.support.clock import TravellingClock
from tests.webhooks.receiver import Answer, Receiver, endless, hanging, raw, saying
from tests.webhooks.scene import Hook, again, deliveries, happen, look, press, refusal, send, tell

pytestmark = pytest.mark.env(WEBHOOKS_LOOPBACK="true")


LYING = {
    "refusing": (saying(500, b"no"), 500, None),
    "redirecting": (saying(302, b"", b"Location: http://127.0.0.1:1/inside"), 302, None),
    "not modified": (saying(304), 304, None),
    "nothing at all": (raw(b""), None, "no_answer"),
    "not HTTP": (raw(b"SSH-2.0-OpenSSH_9\r\n"), None, "no_answer"),
    "half of its headers": (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), None, "no_answer"),
    "less than it says": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"), None, "no_answer"),
    "hanging": (hanging, None, "timeout"),
}


@pytest.mark.parametrize(("answer", "status", "error"), LYING.values(), ids=list(LYING))
async def test_what_is_no_2xx_whole_is_a_failure_and_told_to_staff(
    client: AsyncClient,
    admin: api.User,
    receiver: Receiver,
    hook: Hook,
    told: Callable[[], Awaitable[int]],
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    status: int | None,
    error: str | None,
) -> None:
    if answer is hanging:
        monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.3)
    receiver.answer = answer
    await told()
    (found,) = await deliveries(client, admin, hook)
    assert (found["state"], found["tries"], found["last"]["status"], found["last"]["error"]) == ("waiting", 1, status, error)
    assert datetime.fromisoformat(found["due_at"]) > datetime.fromisoformat(found["created_at"])
    assert len(receiver.got) == 1
    assert (await look(client, admin, hook.id))["failing_since"] is not None


async def test_a_huge_answer_and_nul_are_kept_as_their_beginning_in_text(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, told: Callable[[], Awaitable[int]]
) -> None:
    receiver.answer = endless
    await told()
    receiver.answer = saying(200, b"\x00\xff<script>\r\n")
    await told()
    odd, huge = await deliveries(client, admin, hook)
    assert (huge["state"], huge["last"]["answer"]) == ("delivered", "z" * sending.MOST_KEPT)
    assert (odd["state"], odd["last"]["answer"]) == ("delivered", "��<script>\r\n")


async def test_it_is_tried_for_three_days_with_one_id_and_then_given_up(
    client: AsyncClient,
    admin: api.User,
    receiver: Receiver,
    hook: Hook,
    server: Server,
    told: Callable[[], Awaitable[int]],
    clock: TravellingClock,
) -> None:
    receiver.answer = saying(503)
    await told()
    for delay in DELAYS:
        clock.advance(delay * 0.85)
        assert await send(server) == 0
        clock.advance(delay * 0.16)
        assert await send(server) == 1
    admin = await again(client, admin)
    (found,) = await deliveries(client, admin, hook)
    assert (found["state"], found["tries"], found["due_at"]) == ("dead", 13, None)
    whole = await look(client, admin, f"{hook.id}/deliveries/{found['id']}")
    assert [each["status"] for each in whole["attempts"]] == [503] * 13
    assert timedelta(days=2, hours=20) < sum(DELAYS, timedelta()) < timedelta(days=3)
    assert {got.id for got in receiver.got} == {f"msg_{found['id'].replace('-', '')}"}
    assert {got.body for got in receiver.got} == {whole["body"].encode()}
    moments = [int(got.headers["webhook-timestamp"]) for got in receiver.got]
    assert moments == sorted(set(moments))  # of each attempt, and each signed anew
    assert all(got.signed_by(hook.secret) for got in receiver.got)
    clock.advance(timedelta(days=5))
    assert await send(server) == 0
    assert [row for row in await rows_of(server, "jobs") if row["kind"] == "webhook"] == []


async def test_what_fails_weeks_after_the_last_was_given_up_has_three_days_of_its_own(
    client: AsyncClient,
    admin: api.User,
    receiver: Receiver,
    hook: Hook,
    server: Server,
    told: Callable[[], Awaitable[int]],
    clock: TravellingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "DELAYS", (timedelta(hours=1),))
    receiver.answer = saying(503)
    await told()
    clock.advance(timedelta(hours=1))
    await send(server)
    admin = await again(client, admin)
    (found,) = await deliveries(client, admin, hook)
    assert found["state"] == "dead"
    assert (await look(client, admin, hook.id))["failing_since"] is None
    clock.advance(timedelta(days=20))
    await told()
    assert (await look(client, await again(client, admin), hook.id))["enabled"]


async def test_another_address_begins_anew(
    client: AsyncClient,
    admin: api.User,
    receiver: Receiver,
    hook: Hook,
    told: Callable[[], Awaitable[int]],
    clock: TravellingClock,
) -> None:
    receiver.answer = saying(500)
    await told()
    clock.advance(timedelta(days=3, minutes=1))
    admin = await again(client, admin)
    await client.patch(f"/webhooks/{hook.id}", json={"url": f"{receiver.url}/elsewhere"}, headers=admin.headers)
    assert (await look(client, admin, hook.id))["failing_since"] is None
    await told()
    assert (await look(client, admin, hook.id))["enabled"]


async def test_nothing_is_kept_of_an_answer_about_somebody_who_is_gone(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server
) -> None:
    """They were erased while it waited, or by what it tells of: a receiver may say their name."""
    receiver.answer = saying(200, b"welcome alice")
    for subject in (uuid.UUID(admin.id), uuid.uuid4()):
        await happen(server, subject=subject)
        await tell(server)
        await send(server)
    gone, there = await deliveries(client, admin, hook)
    assert (gone["state"], gone["last"]["answer"]) == ("delivered", "")
    assert (there["state"], there["last"]["answer"]) == ("delivered", "welcome alice")


async def test_what_was_given_up_is_sent_again_with_its_id(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, told: Callable[[], Awaitable[int]]
) -> None:
    await told()
    (found,) = await deliveries(client, admin, hook)
    assert found["state"] == "delivered"
    answer = await press(client, admin, f"{hook.id}/deliveries/{found['id']}/replay")
    assert (answer["state"], answer["tries"]) == ("waiting", 0)
    await send(server)
    one, two = receiver.got
    assert (one.id, one.body) == (two.id, two.body)
    assert (await deliveries(client, admin, hook))[0]["state"] == "delivered"
    (event,) = await events(server, "webhook.replayed")
    assert event.data == {"webhook": hook.id, "delivery": found["id"]}


async def test_a_success_forgives_and_three_days_of_failures_disable(
    client: AsyncClient,
    admin: api.User,
    receiver: Receiver,
    hook: Hook,
    server: Server,
    told: Callable[[], Awaitable[int]],
    clock: TravellingClock,
) -> None:
    receiver.answer = saying(500)
    await told()
    receiver.answer = saying(204)
    await told()
    assert (await look(client, admin, hook.id))["failing_since"] is None
    receiver.answer = saying(500)
    await told()
    clock.advance(timedelta(days=3, minutes=1))
    admin = await again(client, admin)
    assert (await look(client, admin, hook.id))["enabled"]
    await told()
    found = await look(client, admin, hook.id)
    assert (found["enabled"], found["disabled_reason"]) == (False, "failing")
    (event,) = await events(server, "webhook.disabled")
    assert (event.actor_id, event.data) == (None, {"webhook": hook.id, "reason": "failing"})
    asked = len(receiver.got)
    clock.advance(timedelta(days=1))
    assert await told() == 0
    assert len(receiver.got) == asked
    # What waited goes on when it is enabled again.
    admin, receiver.answer = await again(client, admin), saying(204)
    await client.patch(f"/webhooks/{hook.id}", json={"enabled": True}, headers=admin.headers)
    await send(server)
    assert {each["state"] for each in await deliveries(client, admin, hook)} == {"delivered"}


async def test_410_disables_at_once(
    client: AsyncClient, admin: api.User, receiver: Receiver, hook: Hook, server: Server, told: Callable[[], Awaitable[int]]
) -> None:
    receiver.answer = saying(410)
    await told()
    found = await look(client, admin, hook.id)
    assert (found["enabled"], found["disabled_reason"]) == (False, "gone")
    assert [event.data["reason"] for event in await events(server, "webhook.disabled")] == ["gone"]
    answer = await client.post(f"/webhooks/{hook.id}/test", headers=admin.headers)
    assert refusal(answer) == (409, "webhook_disabled")
    (delivery,) = await deliveries(client, admin, hook)
    answer = await client.post(f"/webhooks/{hook.id}/deliveries/{delivery['id']}/replay", headers=admin.headers)
    assert refusal(answer) == (409, "webhook_disabled")


async def test_a_name_that_leads_inside_by_then_is_not_called(
    client: AsyncClient,
    admin: api.User,
    receiver: Receiver,
    hook: Hook,
    server: Server,
    told: Callable[[], Awaitable[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rebinding: it was fine when it was added."""
    monkeypatch.setattr(outbound, "is_loopback", lambda _address: False)
    await told()
    assert receiver.got == []
    (found,) = await deliveries(client, admin, hook)
    assert (found["state"], found["last"]["error"]) == ("waiting", "refused_address")
