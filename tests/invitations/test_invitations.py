"""Inviting, listing, withdrawing: by admins alone; one open invitation an address."""

import asyncio
import uuid
from datetime import timedelta

from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.core.server import Server
from app.invitations import service
from tests.invitations.hosting import DEAD, GUEST, SUBJECT, accept, invite, invited, open_ones, refusal
from tests.mail.postman import Postman, rows_of, token_in
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in, text_of


async def test_an_invitation_is_answered_with_what_it_is_and_mails_a_link(
    admin: api.User, postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    answer = await invite(client, admin, "Guest@example.org", "admin")
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"id", "email", "role", "invited_by", "created_at", "expires_at"}
    assert (body["email"], body["role"], body["invited_by"]) == ("Guest@example.org", "admin", admin.id)
    await postman.deliver()
    (mail,) = smtp.sent_to("Guest@example.org", SUBJECT)
    (link,) = links_in(mail)
    assert link.startswith("http://localhost:8000/account/invitation?token=")
    assert "7 days" in text_of(mail)
    assert admin.username not in mail.as_string()
    (event,) = [row for row in await rows_of(server, "audit_events") if row["fact"] == "user.invited"]
    assert (str(event["actor_id"]), event["data"]) == (admin.id, {"invitation": body["id"], "role": "admin"})


async def test_only_admins_invite_list_and_withdraw(admin: api.User, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    made = (await invite(client, admin)).json()["id"]
    for headers, status in (({}, 401), (user.headers, 403)):
        body = {"email": "other@example.org", "role": "admin"}
        assert (await client.post("/users/invitations", json=body, headers=headers)).status_code == status
        assert (await client.get("/users/invitations", headers=headers)).status_code == status
        assert (await client.delete(f"/users/invitations/{made}", headers=headers)).status_code == status
    assert await open_ones(client, admin) == [GUEST]


async def test_an_address_that_has_an_account_is_not_invited(admin: api.User, client: AsyncClient, server: Server) -> None:
    user = await api.register(client)
    assert refusal(await invite(client, admin, user["email"].upper())) == (409, "email_taken")
    assert await rows_of(server, "invitations") == []
    assert await rows_of(server, "jobs") == []


async def test_odd_bodies_are_refused(admin: api.User, client: AsyncClient, server: Server) -> None:
    for body in ({}, {"email": "x"}, {"email": GUEST, "role": "root"}, {"email": f"{GUEST}\r\nBcc: x@example.org"}, {"email": 7}):
        answer = await client.post("/users/invitations", json=body, headers=admin.headers)
        assert answer.status_code == 422, body
    for odd in ("x", "7", str(uuid.uuid4()) + "0"):
        assert (await client.delete(f"/users/invitations/{odd}", headers=admin.headers)).status_code == 422
    assert await rows_of(server, "invitations") == []


async def test_a_newer_invitation_withdraws_the_older(
    admin: api.User, postman: Postman, client: AsyncClient, server: Server
) -> None:
    older = await invited(postman, admin, role="admin")
    newer = await invited(postman, admin, GUEST.title())
    assert await open_ones(client, admin) == [GUEST.title().replace("Example.Org", "example.org")]
    assert refusal(await accept(client, older)) == DEAD
    facts = [(row["fact"], row["data"]["invitation"]) for row in await rows_of(server, "audit_events") if "invit" in row["fact"]]
    (first, second) = [which for fact, which in facts if fact == "user.invited"]
    assert facts == [("user.invited", first), ("user.invitation.withdrawn", first), ("user.invited", second)]
    assert (await accept(client, newer)).json()["role"] == "user"


async def test_twenty_at_once_leave_one_open(admin: api.User, client: AsyncClient, twin: FastAPI, server: Server) -> None:
    async with client_of(twin) as other:
        answers = await asyncio.gather(*(invite((client, other)[number % 2], admin) for number in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 503}
    still = [row for row in await rows_of(server, "invitations") if row["withdrawn_at"] is None]
    assert len(still) == 1


async def test_two_admins_at_once_leave_one_open(
    admin: api.User, app: FastAPI, client: AsyncClient, twin: FastAPI, server: Server
) -> None:
    """Each holds a row of their own, so that the index has to decide."""
    second = await api.new_admin(app, client)
    async with client_of(twin) as other:
        answers: list[Response] = []
        while not any(answer.status_code == 201 for answer in answers):  # a machine that stalls a second may refuse all of them
            tries = [invite(*((client, admin), (other, second))[number % 2]) for number in range(12)]
            answers = await asyncio.gather(*tries)
    assert {answer.status_code for answer in answers} <= {201, 503}
    still = [row for row in await rows_of(server, "invitations") if row["withdrawn_at"] is None]
    assert len(still) == 1


async def test_pages_show_each_open_invitation_once_newest_first(
    admin: api.User, client: AsyncClient, clock: TravellingClock
) -> None:
    emails = [f"guest{number}@example.org" for number in range(7)]
    for email in emails:
        await invite(client, admin, email)
        clock.advance(seconds=1)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/users/invitations", params=params, headers=admin.headers)).json()
        seen += [item["email"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == emails[::-1]
    users = (await client.get("/users/", params={"limit": "1"}, headers=admin.headers)).json()
    foreign = {"cursor": users["next_cursor"] or "x"}
    assert (await client.get("/users/invitations", params=foreign, headers=admin.headers)).status_code == 422


async def test_a_withdrawn_invitation_is_gone_at_once(
    admin: api.User, postman: Postman, client: AsyncClient, server: Server
) -> None:
    token = await invited(postman, admin)
    (row,) = await rows_of(server, "invitations")
    url = f"/users/invitations/{row['id']}"
    assert (await client.delete(url, headers=admin.headers)).status_code == 204
    assert refusal(await accept(client, token)) == DEAD
    assert await open_ones(client, admin) == []
    assert (await client.delete(url, headers=admin.headers)).status_code == 404
    assert (await client.delete(f"/users/invitations/{uuid.uuid4()}", headers=admin.headers)).status_code == 404
    facts = [event["fact"] for event in await rows_of(server, "audit_events")]
    assert facts.count("user.invitation.withdrawn") == 1


async def test_one_that_is_withdrawn_before_its_mail_leaves_is_never_sent(
    admin: api.User, postman: Postman, client: AsyncClient, smtp: SmtpServer, server: Server
) -> None:
    made = (await invite(client, admin)).json()["id"]
    assert (await client.delete(f"/users/invitations/{made}", headers=admin.headers)).status_code == 204
    await postman.deliver()
    assert smtp.messages == []
    assert await rows_of(server, "jobs") == []


async def test_a_mail_tried_again_holds_the_same_link_and_lives_as_long_as_the_invitation(
    admin: api.User, postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    smtp.set_mode("drop")
    await invite(client, admin)
    await postman.deliver()
    await postman.deliver(timedelta(days=2))
    smtp.set_mode("ok")
    await postman.deliver(timedelta(minutes=10))
    (mail,) = smtp.messages
    assert len({token_in(each) for each in [*smtp.dropped, mail]}) == 1
    assert "5 days" in text_of(mail)
    postman.clock.advance(timedelta(days=5))
    assert refusal(await accept(client, token_in(mail))) == DEAD


async def test_the_daily_round_forgets_those_that_ran_out_a_month_ago(
    admin: api.User, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    await invite(client, admin)
    for days, left in ((36, 1), (2, 0)):
        clock.advance(timedelta(days=days))
        async with server.database.write() as db:
            await service.tidy(db, clock())
        assert len(await rows_of(server, "invitations")) == left
