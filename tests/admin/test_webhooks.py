"""Webhooks in the console: added, looked at, changed, rotated, tested, sent again, removed; hostile text stays text."""

import re
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.core.server import Server
from tests.admin.scene import Staff, check_desk, give_role, staff
from tests.mail.postman import rows_of
from tests.support.clock import TravellingClock
from tests.webhooks.receiver import Receiver, saying
from tests.webhooks.scene import send, tell

pytestmark = pytest.mark.env(WEBHOOKS_LOOPBACK="true")
PATH = "/admin/webhooks"
HOSTILE = "<script>alert(1)</script>"
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


async def submit(who: Staff, path: str, *pairs: tuple[str, str], token: bool = True) -> Response:
    """A form with several fields of one name."""
    found = TOKEN.search((await who.client.get(PATH)).text)
    assert found is not None
    body = urlencode([*pairs, *([("form_token", found[1])] if token else [])])
    return await who.client.post(path, content=body, headers=FORM)


async def added(who: Staff, url: str, *facts: str) -> tuple[str, str]:
    """Its page, and its secret."""
    chosen = [("facts", fact) for fact in facts or ("user.registered",)]
    answer = await submit(who, PATH, ("url", url), ("description", HOSTILE), *chosen)
    check_desk(answer, status=201)
    (secret,) = set(SECRET.findall(answer.text))
    (page,) = set(re.findall(rf"{PATH}/[0-9a-f-]{{36}}", answer.text))
    return page, secret


async def test_from_adding_one_to_removing_it(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)
    async with Receiver() as receiver:
        page, secret = await added(boss, receiver.url, "user.registered", "user.deleted")
        looked = await boss.client.get(page)
        check_desk(looked)
        assert secret not in looked.text
        assert HOSTILE not in looked.text
        assert "Registered, Account deleted" in looked.text
        assert (await submit(boss, f"{page}/test")).headers["location"] == f"{page}?done=webhook-tested"
        receiver.answer = saying(500, HOSTILE.encode())
        await send(server)
        assert receiver.got[0].signed_by(secret)
        listed = await boss.client.get(page)
        (delivery,) = set(re.findall(rf"{page}/deliveries/[0-9a-f-]{{36}}", listed.text))
        detail = await boss.client.get(delivery)
        check_desk(detail)
        assert HOSTILE not in detail.text
        assert "&lt;script&gt;" in detail.text
        assert "webhook.test" in detail.text
        receiver.answer = saying(200)
        assert (await submit(boss, f"{delivery}/replay")).status_code == 303
        await send(server)
        assert "Delivered" in (await boss.client.get(delivery)).text
        assert "Nothing is found by that" in (await boss.client.get(f"{page}?state=dead&cursor=odd")).text
        rotated = await submit(boss, f"{page}/rotate", ("overlap", "24"))
        check_desk(rotated)
        (new,) = set(SECRET.findall(rotated.text))
        assert new != secret
        await submit(boss, f"{page}/test")
        await send(server)
        assert receiver.got[-1].signed_by(secret)
        assert receiver.got[-1].signed_by(new)
    assert (await submit(boss, f"{page}/status", ("enabled", "no"))).headers["location"] == f"{page}?done=webhook-disabled"
    assert "Somebody of the staff disabled it" in (await boss.client.get(page)).text
    refused = await submit(boss, f"{delivery}/replay")
    check_desk(refused, status=409)
    assert (await submit(boss, f"{page}/test")).status_code == 409
    assert (await submit(boss, f"{page}/status", ("enabled", "yes"))).status_code == 303
    unsure = await submit(boss, f"{page}/delete")
    check_desk(unsure, status=422)
    assert (await submit(boss, f"{page}/delete", ("sure", "yes"))).headers["location"] == f"{PATH}?done=webhook-deleted"
    assert await rows_of(server, "webhook_endpoints") == []
    assert (await boss.client.get(page)).status_code == 404


async def test_what_is_wrong_is_said_beside_what_was_typed(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)
    nothing = await submit(boss, PATH, ("url", "https://10.0.0.1/"))
    check_desk(nothing, status=422)
    assert "Choose at least one event." in nothing.text
    assert "The password" not in nothing.text
    inside = await submit(boss, PATH, ("url", "https://10.0.0.1/"), ("facts", "user.deleted"))
    check_desk(inside, status=422)
    assert "does not lead to a host of the public internet" in inside.text
    assert re.search(r'value="user.deleted" checked', inside.text)
    assert 'value="https://10.0.0.1/"' in inside.text
    plain = await submit(boss, PATH, ("url", "http://example.com/"), ("facts", "user.deleted"))
    assert "begins with https://" in plain.text
    odd = await submit(boss, PATH, ("url", "https://93.184.216.34/"), ("facts", "user.deleted"), ("description", "a\x00b"))
    assert "Control characters are not allowed" in odd.text
    assert await rows_of(server, "webhook_endpoints") == []
    page, _ = await added(boss, "http://127.0.0.1:9/")
    changed = await submit(boss, page, ("url", "https://[::ffff:10.0.0.1]/"), ("facts", "user.deleted"))
    check_desk(changed, status=422)
    saved = await submit(boss, page, ("url", "http://127.0.0.1:9/x"), ("description", "Billing"), ("facts", "user.deleted"))
    assert saved.headers["location"] == f"{page}?done=saved"
    assert "Billing" in (await boss.client.get(PATH)).text


async def test_it_takes_a_form_of_ours_a_fresh_proof_and_the_permission(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await staff(app, client)
    page, _ = await added(boss, "http://127.0.0.1:9/")
    fields = [("url", "http://127.0.0.1:9/y"), ("facts", "user.deleted")]
    assert (await submit(boss, page, *fields, token=False)).status_code == 403
    clock.advance(seconds=11 * 60)
    for path in (PATH, page, *(f"{page}/{each}" for each in ("test", "rotate", "status", "delete"))):
        answer = await submit(boss, path, *fields)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/account/reauthenticate"), path
    await give_role(app, boss.username, "auditor")
    looked = await boss.client.get(page)
    check_desk(looked)
    assert "<form" in looked.text
    assert "Replace its secret" not in looked.text
    assert "Send a test" not in looked.text
    (row,) = await rows_of(server, "webhook_endpoints")
    assert row["url"] == "http://127.0.0.1:9/"
    await tell(server)
