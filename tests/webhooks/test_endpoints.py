"""Endpoints: who may have them, where they may lead, how many there may be, and what is recorded of it."""

import asyncio
import socket
import uuid
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.audit.facts import Fact
from app.core.permissions import Role
from app.core.server import Server
from app.webhooks import service
from tests.auth.scene import events
from tests.mail.postman import rows_of
from tests.permissions.scene import new_staff
from tests.support import api
from tests.support.clock import TravellingClock
from tests.webhooks.receiver import Receiver, saying
from tests.webhooks.scene import FACT, add, ask, deliveries, happen, look, press, refusal, send, tell

LOOPBACK = pytest.mark.env(WEBHOOKS_LOOPBACK="true")
PUBLIC = "https://93.184.216.34/hook"  # an address, so that no name is asked for


def fault(answer: httpx2.Response) -> tuple[int, str, str]:
    found = answer.json()
    return answer.status_code, found["errors"][0]["loc"][-1], found["errors"][0]["code"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook",
        "http://example.com/hook",
        "http://127.0.0.1/hook",
        "ftp://example.com/hook",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/hook",
        "https://",
        "https:///hook",
        "https://example.com./hook",
        "https://user@example.com/hook",
        "https://user:secret@example.com/hook",
        "https://example.com/hook#part",
        "https://example.com:0/hook",
        "https://example.com:70000/hook",
        "https://example.com:x/hook",
        "https://[::1/hook",
        "https://[fe80::1%25lo]/hook",
        "https://exa mple.com/hook",
        "https://example.com/ho ok",
        "https://example.com/hook\r\nx: y",
        "https://example.com\\@127.0.0.1/",
        "https://exämple.com/hook",
        "https://example.com/" + "x" * 2048,
    ],
)
@pytest.mark.asvs("V1.3.6")
async def test_what_is_no_plain_https_address_is_refused(client: AsyncClient, admin: api.User, url: str) -> None:
    answer = await ask(client, admin, url)
    assert (answer.status_code, answer.json()["errors"][0]["loc"][-1]) == (422, "url"), answer.text


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1:8443",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::7f00:1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ],
)
@pytest.mark.asvs("V1.3.6")
async def test_what_leads_inside_is_refused_when_it_is_added_and_when_it_is_changed(
    client: AsyncClient, admin: api.User, host: str
) -> None:
    assert fault(await ask(client, admin, f"https://{host}/hook")) == (422, "url", "url_refused")
    hook = await add(client, admin, PUBLIC)
    answer = await client.patch(f"/webhooks/{hook.id}", json={"url": f"https://{host}/"}, headers=admin.headers)
    assert fault(answer) == (422, "url", "url_refused")
    assert (await look(client, admin, hook.id))["url"] == PUBLIC


async def test_a_name_of_which_one_address_is_inside_is_refused(
    client: AsyncClient, admin: api.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("1.1.1.1", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert fault(await ask(client, admin, "https://mixed.example/")) == (422, "url", "url_refused")

    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert fault(await ask(client, admin, "https://nowhere.example/")) == (422, "url", "url_refused")


@LOOPBACK
async def test_with_the_setting_this_machine_may_be_called_and_nothing_else_inside(client: AsyncClient, admin: api.User) -> None:
    for url in ("http://127.0.0.1:9/hook", "http://localhost:9/hook", "http://[::1]:9/hook", "https://127.0.0.1:9/"):
        assert (await ask(client, admin, url)).status_code == 201, url
    assert fault(await ask(client, admin, "http://93.184.216.34/"))[2] == "url_invalid"
    assert fault(await ask(client, admin, "https://10.0.0.1/"))[2] == "url_refused"


@pytest.mark.parametrize(
    "body",
    [
        {"facts": []},
        {"facts": ["user.nothing"]},
        {"facts": "user.registered"},
        {"facts": None},
        {"description": "x" * 101},
        {"description": "a\x00b"},
        {"secret": "whsec_mine"},
        {"enabled": False},
    ],
)
async def test_what_breaks_a_rule_is_refused(client: AsyncClient, admin: api.User, body: dict[str, Any]) -> None:
    whole = {"url": PUBLIC, "facts": [FACT], **body}
    answer = await client.post("/webhooks", json=whole, headers=admin.headers)
    assert refusal(answer) == (422, "validation_error")


async def test_only_admins_write_and_only_with_a_fresh_proof(
    app: FastAPI, client: AsyncClient, admin: api.User, clock: TravellingClock
) -> None:
    hook = await add(client, admin, PUBLIC)
    calls = [
        ("POST", "", {"url": PUBLIC, "facts": [FACT]}),
        ("PATCH", f"/{hook.id}", {"description": "x"}),
        ("POST", f"/{hook.id}/rotate-secret", {}),
        ("POST", f"/{hook.id}/test", None),
        ("POST", f"/{hook.id}/deliveries/{uuid.uuid4()}/replay", None),
        ("DELETE", f"/{hook.id}", None),
    ]
    for role in (Role.USER, Role.SUPPORT, Role.AUDITOR):
        who = await new_staff(app, client, role)
        for method, path, body in calls:
            answer = await client.request(method, f"/webhooks{path}", json=body, headers=who.headers)
            assert refusal(answer) == (403, "forbidden"), (role, method, path)
        may_look = 200 if role is Role.AUDITOR else 403
        for path in ("", f"/{hook.id}", f"/{hook.id}/deliveries"):
            assert (await client.get(f"/webhooks{path}", headers=who.headers)).status_code == may_look, (role, path)
    clock.advance(timedelta(minutes=11))
    for method, path, body in calls:
        answer = await client.request(method, f"/webhooks{path}", json=body, headers=admin.headers)
        assert refusal(answer) == (401, "insufficient_user_authentication"), (method, path)
    assert await look(client, admin, hook.id)


async def test_an_unknown_id_is_not_found_and_anothers_delivery_is_not_shown(
    client: AsyncClient, admin: api.User, server: Server
) -> None:
    one, other = await add(client, admin, PUBLIC), await add(client, admin, PUBLIC)
    delivery = (await press(client, admin, f"{other.id}/test"))["id"]
    nobody = uuid.uuid4()
    for method, path, body in [
        ("GET", f"{nobody}", None),
        ("PATCH", f"{nobody}", {"enabled": False}),
        ("DELETE", f"{nobody}", None),
        ("POST", f"{nobody}/rotate-secret", {}),
        ("POST", f"{nobody}/test", None),
        ("GET", f"{nobody}/deliveries", None),
        ("GET", f"{nobody}/deliveries/{delivery}", None),
        ("GET", f"{one.id}/deliveries/{delivery}", None),
        ("GET", f"{one.id}/deliveries/{nobody}", None),
        ("POST", f"{one.id}/deliveries/{delivery}/replay", None),
        ("POST", f"{nobody}/deliveries/{delivery}/replay", None),
    ]:
        answer = await client.request(method, f"/webhooks/{path}", json=body, headers=admin.headers)
        assert refusal(answer) == (404, "not_found"), (method, path)
    assert await events(server, "webhook.replayed") == []
    page = await client.get(f"/webhooks/{other.id}/deliveries", params={"limit": 1}, headers=admin.headers)
    for odd in ({"cursor": "x"}, {"state": "lost"}):
        answer = await client.get(f"/webhooks/{one.id}/deliveries", params=odd, headers=admin.headers)
        assert refusal(answer) == (422, "validation_error")
    assert page.json()["next_cursor"] is None


async def test_there_is_room_for_so_many_and_two_at_once_are_not_both_the_last(
    client: AsyncClient, admin: api.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_ENDPOINTS", 3)
    answers = await asyncio.gather(*(ask(client, admin, PUBLIC) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"too_many_webhooks"}


async def test_what_is_done_to_an_endpoint_is_recorded_without_its_address(
    client: AsyncClient, admin: api.User, server: Server
) -> None:
    hook = await add(client, admin, PUBLIC + "?token=secret-of-the-receiver")
    same = {"description": "", "url": PUBLIC + "?token=secret-of-the-receiver", "enabled": True}
    assert (await client.patch(f"/webhooks/{hook.id}", json=same, headers=admin.headers)).status_code == 200
    changes = {"description": "Billing", "facts": [Fact.USER_DELETED, FACT], "enabled": False}
    answer = await client.patch(f"/webhooks/{hook.id}", json=changes, headers=admin.headers)
    assert (answer.json()["description"], answer.json()["facts"]) == ("Billing", ["user.deleted", "user.registered"])
    await client.patch(f"/webhooks/{hook.id}", json={"enabled": True}, headers=admin.headers)
    await press(client, admin, f"{hook.id}/rotate-secret", overlap_hours=1)
    assert (await client.delete(f"/webhooks/{hook.id}", headers=admin.headers)).status_code == 204
    told = [row for row in await rows_of(server, "audit_events") if row["fact"].startswith("webhook.")]
    assert [(row["fact"], {k: v for k, v in row["data"].items() if k != "webhook"}) for row in told] == [
        ("webhook.created", {"host": "https://93.184.216.34"}),
        ("webhook.changed", {"fields": ["description", "facts"]}),
        ("webhook.disabled", {"reason": "by_hand"}),
        ("webhook.enabled", {}),
        ("webhook.secret.rotated", {}),
        ("webhook.deleted", {}),
    ]
    assert {row["data"]["webhook"] for row in told} == {hook.id}
    assert {str(row["actor_id"]) for row in told} == {admin.id}
    assert "secret-of-the-receiver" not in repr(told)


@LOOPBACK
async def test_erased_a_person_is_in_no_answer_and_was_never_in_a_message(
    client: AsyncClient, admin: api.User, server: Server, receiver: Receiver
) -> None:
    """Receivers may say anything: what they said to events about somebody goes with them."""
    hook = await add(client, admin, receiver.url, FACT, Fact.USER_DELETED)
    person = await api.new_user(client)
    receiver.answer = saying(200, f"welcome {person.username}".encode())
    await happen(server, subject=uuid.UUID(admin.id))
    await tell(server)
    await send(server)
    before = await deliveries(client, admin, hook)
    assert {each["last"]["answer"] for each in before} == {f"welcome {person.username}"}
    export = (await client.get("/auth/me/export", headers=person.headers)).json()["data"]["webhooks"]["told"]
    assert [(each["type"], each["state"]) for each in export] == [("user.registered", "delivered")]
    assert (await client.delete(f"/users/{person.id}", headers=admin.headers)).status_code == 204
    other, own = await deliveries(client, admin, hook)
    assert (own["last"]["answer"], other["last"]["answer"]) == ("", f"welcome {person.username}")
    await tell(server)
    await send(server)
    gone = receiver.got[-1].message
    assert (gone["type"], gone["data"]["subject_id"]) == ("user.deleted", person.id)  # of nobody any more
    for row in await rows_of(server, "webhook_deliveries"):
        assert person.username not in row["body"]
        assert person.email not in row["body"]
