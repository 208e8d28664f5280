"""Asking for a reset link: one answer and one kind of row for everybody; one link, built from the settings, in one mail."""

import base64
import io
import json
import logging
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from httpx2 import AsyncClient, Response
from sqlalchemy import update

from app.core.server import Server
from app.models import Base, User
from tests.mail.postman import RESET, Postman, dump_of, html_of, rows_of, token_in
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in, text_of

pytestmark = pytest.mark.usefixtures("no_welcome_mail")

EVIL = "evil.example"


def shape_of(answer: Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """An answer but for its request id."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "x-request-id"]
    return answer.status_code, answer.content, headers


async def disable(server: Server, username: str) -> None:
    async with server.database.write() as db:
        moment = server.clock()
        done = await db.execute(update(User).where(User.username == username).values(disabled_at=moment).returning(User.id))
        assert done.scalar_one()


async def counts(server: Server) -> dict[str, int]:
    return {name: len(await rows_of(server, name)) for name in Base.metadata.tables}


@pytest.mark.promise("P8")
async def test_known_unknown_disabled_and_over_limit_get_the_same_bytes_and_headers(
    postman: Postman, client: AsyncClient, server: Server
) -> None:
    known, disabled, busy = [await api.register(client) for _ in range(3)]
    await disable(server, disabled["username"])
    for _ in range(3):
        await postman.ask(busy["email"])
    emails = [known["email"], "nobody@example.com", disabled["email"], busy["email"]]
    answers = [shape_of(await postman.ask(email)) for email in emails]
    assert answers[1:] == [answers[0]] * 3
    assert answers[0][0] == 202
    assert "set-cookie" not in dict(answers[0][2])


@pytest.mark.promise("P8")
async def test_a_known_and_an_unknown_address_leave_the_same_rows(postman: Postman, client: AsyncClient, server: Server) -> None:
    known = await api.register(client, username="knownone")
    before = await counts(server)
    await postman.ask(known["email"])
    after_known = await counts(server)
    await postman.ask("otherone@example.com")  # as long as the known one
    after_unknown = await counts(server)
    added = {name: count - before[name] for name, count in after_known.items() if count != before[name]}
    assert added == {"jobs": 1}
    assert {name: count - after_known[name] for name, count in after_unknown.items() if count != after_known[name]} == added
    for_known, for_unknown = sorted(await rows_of(server, "jobs"), key=lambda job: job["created_at"])
    assert shape_of_job(for_known) == shape_of_job(for_unknown)


def shape_of_job(job: dict[str, Any]) -> dict[str, Any]:
    payload = {name: (type(value), len(value)) for name, value in job["payload"].items()}
    rest = {name: value for name, value in job.items() if name not in {"id", "created_at", "run_at", "payload"}}
    return {**rest, "payload": payload}


async def test_the_worker_sends_nothing_to_unknown_and_disabled_addresses_and_forgets_the_request(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    disabled = await api.register(client)
    await disable(server, disabled["username"])
    for email in ("nobody@example.com", disabled["email"]):
        await postman.ask(email)
    await postman.deliver()
    assert smtp.messages == []
    assert smtp.connections == 0
    assert await rows_of(server, "jobs") == []
    assert await rows_of(server, "tickets") == []


@pytest.mark.asvs("V2.4.1")
async def test_the_fourth_request_in_an_hour_for_an_address_is_dropped_in_silence_in_whatever_case(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    known = await api.register(client, username="ada", email="ada@example.com")
    for name in (known["email"], "nobody@example.com"):
        local = name.partition("@")[0]
        for spelling in (name, name.upper(), f"{local.title()}@Example.COM", f"{local}@EXAMPLE.com"):
            await postman.ask(spelling)
    asked = [job["payload"]["email"].lower() for job in await rows_of(server, "jobs")]
    assert sorted(asked) == ["ada@example.com"] * 3 + ["nobody@example.com"] * 3
    await postman.deliver()
    assert len(smtp.sent_to("ada@example.com", RESET)) == 3


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_FORGOT_PASSWORD="5/hour")
@pytest.mark.asvs("V2.4.1")
async def test_one_client_address_may_ask_so_often_for_whomever(client: AsyncClient, postman: Postman) -> None:
    known = await api.register(client)
    for number in range(4):
        await postman.ask(f"nobody{number}@example.com")
    await postman.ask(known["email"])
    refused = [await client.post("/auth/forgot-password", json={"email": email}) for email in (known["email"], "no@example.com")]
    assert [answer.status_code for answer in refused] == [429, 429]
    assert all(0 < int(answer.headers["retry-after"]) <= 3601 for answer in refused)
    assert refused[0].json() == refused[1].json()
    assert refused[0].json()["code"] == "too_many_requests"


@pytest.mark.env(PUBLIC_URL="https://auth.example.com", RATE_LIMIT_ENABLED="true", RATE_LIMIT_FORGOT_PASSWORD="2/hour")
@pytest.mark.asvs("V4.1.3")
async def test_headers_that_only_a_proxy_may_set_move_neither_link_nor_issuer_nor_limit_nor_record(
    client: AsyncClient, postman: Postman, server: Server, smtp: SmtpServer
) -> None:
    user = await api.new_user(client)

    def forged(number: int) -> dict[str, str]:
        address = f"203.0.113.{number}"
        return {
            "Host": EVIL,
            "X-Forwarded-Host": EVIL,
            "X-Forwarded-Proto": "http",
            "X-Forwarded-For": address,
            "X-Real-IP": address,
            "Forwarded": f"for={address};host={EVIL};proto=http",
        }

    body = {"email": user.email}
    answers = [await client.post("/auth/forgot-password", json=body, headers=forged(number)) for number in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    await postman.deliver()
    for mail in smtp.sent_to(user.email, RESET):
        (link,) = links_in(mail)
        assert link.startswith("https://auth.example.com/account/reset-password?token=")
        assert EVIL not in mail.as_string()
    form = {"username": user.username, "password": user.password}
    pair = (await client.post("/auth/login", data=form, headers=forged(9))).json()
    claims = pair["access_token"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["iss"] == "https://auth.example.com"
    assert {event["address"] for event in await rows_of(server, "audit_events")} == {"127.0.0.1"}


@pytest.mark.env(PUBLIC_URL="https://auth.example.com", PASSWORD_RESET_URL="https://app.example.com/choose/")
async def test_the_link_leads_to_password_reset_url_where_one_is_set(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    user = await api.register(client)
    await postman.fetch_token(user["email"])
    (link,) = links_in(smtp.sent_to(user["email"])[0])
    parts = urlsplit(link)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://app.example.com/choose"
    assert re.fullmatch(r"token=[A-Za-z0-9_-]{64}", parts.query)


@pytest.mark.env(PASSWORD_RESET_EXPIRE_MINUTES="25", EMAIL_FROM_NAME="Harbour & Sons")
async def test_the_mail_is_text_and_html_both_with_the_link_under_proper_headers(
    postman: Postman, client: AsyncClient, smtp: SmtpServer, server: Server, clock: TravellingClock
) -> None:
    user = await api.register(client, username="ada", email="Ada.L@example.com")
    await postman.ask(user["email"])
    (job,) = await rows_of(server, "jobs")
    await postman.deliver()
    (mail,) = smtp.messages
    assert mail["Delivered-To"] == "Ada.L@example.com"
    assert mail["To"] == "Ada.L@example.com"
    assert [(a.display_name, a.addr_spec) for a in mail["From"].addresses] == [("Harbour & Sons", "auth@example.com")]
    assert mail["Subject"] == RESET
    assert mail["Message-ID"] == f"<{job['id']}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert abs(mail["Date"].datetime - clock()) < timedelta(seconds=5)
    assert mail["MIME-Version"] == "1.0"
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert {part.get_content_charset() for part in mail.iter_parts()} == {"utf-8"}
    (link,) = links_in(mail)
    text, html = text_of(mail), html_of(mail)
    assert link in text
    assert f'href="{link}"' in html
    for half in (text, html):
        assert "ada" in half
        assert "25 minutes" in half
    assert "Harbour & Sons" in text
    assert "Harbour &amp; Sons" in html
    elsewhere = [url for url in re.findall(r"(?:https?:)?//[^\s\"'<>)]+", html) if url != link]
    assert elsewhere == []
    assert not re.search(r"<(script|img|link|iframe|form)\b", html)


@pytest.mark.promise("P9")
@pytest.mark.asvs("V14.2.1")
@pytest.mark.env(LOG_LEVEL="DEBUG")
async def test_no_row_and_no_log_ever_holds_the_token(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    (handler,) = [each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler]
    monkeypatch.setattr(handler, "stream", log)
    user = await api.register(client)
    await postman.ask(user["email"])
    dumps = [await dump_of(server)]
    smtp.set_mode("tempfail")
    await postman.deliver()
    dumps.append(await dump_of(server))  # the job is there with its error, the ticket is open
    smtp.set_mode("ok")
    await postman.deliver(timedelta(seconds=10))
    dumps.append(await dump_of(server))
    token = token_in(await smtp.wait_for_async(user["email"]))
    assert (await client.get(f"/account/reset-password?token={token}")).status_code == 200
    assert (await postman.reset(token)).status_code == 204
    dumps.append(await dump_of(server))
    raw = base64.urlsafe_b64decode(token)
    secret = raw[16:]
    said = log.getvalue()
    assert "/account/reset-password" in said  # the access log has its line
    for where in (*dumps, said):
        for form in (token, token[22:], secret.hex(), base64.b64encode(secret).decode()[:40]):
            assert form not in where
    assert user["email"] not in said


@pytest.mark.promise("P4")
async def test_one_link_and_one_message_id_however_often_the_mail_is_tried(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    user = await api.register(client)
    await postman.ask(user["email"])
    (job,) = await rows_of(server, "jobs")
    for _ in range(3):
        smtp.set_mode("drop")
        await postman.deliver(timedelta(minutes=1))
    smtp.set_mode("ok")
    await postman.deliver(timedelta(minutes=1))
    (arrived,) = smtp.messages
    tried = [*smtp.dropped, arrived]
    assert len(tried) == 4
    assert {mail["Message-ID"] for mail in tried} == {f"<{job['id']}@example.com>"}
    assert len({token_in(mail) for mail in tried}) == 1
    assert len(await rows_of(server, "tickets")) == 1
    assert await rows_of(server, "jobs") == []
    assert (await postman.reset(token_in(arrived))).status_code == 204


async def test_a_link_lives_from_when_its_mail_leaves_not_from_when_it_was_asked_for(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    user = await api.register(client)
    await postman.ask(user["email"])
    smtp.set_mode("tempfail")
    await postman.deliver()
    smtp.set_mode("ok")
    await postman.deliver(timedelta(hours=5))
    token = token_in(await smtp.wait_for_async(user["email"]))
    postman.clock.advance(timedelta(minutes=14))
    assert (await postman.reset(token)).status_code == 204


async def test_a_newer_request_voids_the_older_link(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.register(client)
    older = await postman.fetch_token(user["email"])
    newer = await postman.fetch_token(user["email"])
    assert older != newer
    refused = await postman.reset(older)
    assert (refused.status_code, refused.json()["code"]) == (400, "ticket_invalid")
    assert (await postman.reset(newer)).status_code == 204
    assert len(await rows_of(server, "tickets")) == 2


async def test_a_mail_still_queued_when_a_newer_link_was_made_is_not_sent(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer
) -> None:
    user = await api.register(client)
    smtp.set_mode("tempfail")
    await postman.ask(user["email"])
    await postman.deliver()
    await postman.ask(user["email"])
    await postman.deliver()
    smtp.set_mode("ok")
    await postman.deliver(timedelta(minutes=5))
    assert await rows_of(server, "jobs") == []
    (mail,) = smtp.sent_to(user["email"], RESET)
    assert (await postman.reset(token_in(mail))).status_code == 204


async def test_two_requests_at_once_leave_exactly_one_link_that_works(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    user = await api.register(client)
    await postman.ask(user["email"])
    await postman.ask(user["email"])
    await postman.deliver()
    tokens = {token_in(mail) for mail in smtp.sent_to(user["email"], RESET)}
    answers = [(await postman.reset(token)).status_code for token in tokens]
    assert answers.count(204) == 1


@pytest.mark.promise("P8")
async def test_the_worker_begins_within_two_seconds_at_random(postman: Postman, server: Server) -> None:
    for number in range(24):
        await postman.ask(f"nobody{number}@example.com")
    waits = [(job["run_at"] - job["created_at"]).total_seconds() for job in await rows_of(server, "jobs")]
    assert all(0 <= wait <= 2 for wait in waits)
    assert max(waits) - min(waits) > 0.5
    assert len({round(wait, 4) for wait in waits}) > 16


async def test_the_account_is_found_by_its_address_in_any_case_and_written_to_as_it_was_registered(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    await api.register(client, email="Ada@Example.com")
    await postman.ask("aDA@eXAMPLE.COM")
    await postman.deliver()
    (mail,) = smtp.messages
    assert mail["Delivered-To"] == "Ada@example.com"


@pytest.mark.asvs("V1.3.11")
async def test_an_address_that_would_break_a_header_is_refused_everywhere(client: AsyncClient, server: Server) -> None:
    hostile = [
        "a@example.com\r\nBcc: v@example.com",
        "a@example.com\nBcc: v@example.com",
        "a@example.com%0d%0aBcc: v@example.com",
        '"a\r\nBcc: v@example.com"@example.com',
        "a@example.com, v@example.com",
        "<a@example.com> BODY=8BITMIME",
        "a\x00@example.com",
        "a@exa\u2028mple.com",
    ]
    for email in hostile:
        asked = await client.post("/auth/forgot-password", json={"email": email})
        joined = await client.post("/auth/register", json={"username": "adalong", "email": email, "password": api.PASSWORD})
        for answer in (asked, joined):
            assert answer.status_code == 422, email
            assert answer.json()["errors"][0]["loc"] == ["body", "email"]
            assert "Bcc" not in answer.text
    assert await rows_of(server, "jobs") == []
    assert await rows_of(server, "users") == []
