"""Delivery: whatever the mail server does, requests are answered as ever and the mail arrives once it is well again."""

from contextlib import suppress
from datetime import datetime, timedelta
from html import unescape
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic_core import PydanticCustomError

from app.config import load_settings
from app.core.i18n import LOCALES, SOURCE, translate
from app.core.server import Server
from app.jobs.worker import run_due
from app.mail import service as mail
from app.main import create_app
from app.users.names import parse_email
from tests.mail.postman import CHANGED, RESET, Postman, near, rows_of
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.clock import TravellingClock
from tests.support.smtp import Mode, SmtpServer, text_of

pytestmark = pytest.mark.usefixtures("no_welcome_mail")
MARKS = "a!#$%&'*+-/=?^_`{|}~"  # what may stand before the @ (RFC 5322 section 3.2.3)


@pytest.mark.promise("P4")
@pytest.mark.parametrize("trouble", ["down", "reject", "tempfail", "slow", "half_open", "drop"])
async def test_a_mail_server_in_trouble_delays_mails_and_changes_no_answer(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr("app.infra.smtp.TIMEOUT_SECONDS", 0.2)  # the server's patience, not what it does
    user = await api.new_user(client)
    unharmed = await postman.ask(user.email)
    (wanted,) = [job["id"] for job in await rows_of(server, "jobs")]
    _break(smtp, trouble)
    try:
        await postman.deliver()
        (job,) = await rows_of(server, "jobs")
        assert (job["id"], job["attempts"], job["lease"]) == (wanted, 1, None)
        assert job["last_error"]
        assert near(job["run_at"], postman.clock(), 1.5)
        during = await postman.ask("nobody@example.com")
        changed = await client.post(
            "/auth/change-password",
            json={"current_password": user.password, "new_password": "quite another 1!"},
            headers=user.headers,
        )
        assert (during.status_code, during.content) == (unharmed.status_code, unharmed.content)
        assert changed.status_code == 200
        await postman.deliver(timedelta(minutes=1))
        assert trouble == "slow" or not smtp.messages
    finally:
        _mend(smtp, trouble)
    await postman.deliver(timedelta(minutes=10))
    assert await rows_of(server, "jobs") == []
    ids = {str(message["Message-ID"]) for message in smtp.sent_to(user.email, CHANGED)}
    assert len(ids) == 1
    tried = [*smtp.sent_to(user.email, RESET), *[m for m in smtp.dropped if m["Subject"] == RESET]]
    assert {str(message["Message-ID"]) for message in tried} <= {f"<{wanted}@example.com>"}


def _break(smtp: SmtpServer, trouble: str) -> None:
    if trouble == "down":
        smtp.stop()
    else:
        mode: Mode = trouble  # type: ignore[assignment]  # one of its modes
        smtp.set_mode(mode, seconds=1)


def _mend(smtp: SmtpServer, trouble: str) -> None:
    if trouble == "down":
        smtp.start()
    smtp.set_mode("ok")


@pytest.mark.promise("P4")
@pytest.mark.parametrize("trouble", ["tempfail", "drop", "slow"])
async def test_the_mail_that_arrives_at_last_has_the_message_id_of_the_first_try(
    postman: Postman, client: AsyncClient, server: Server, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr("app.infra.smtp.TIMEOUT_SECONDS", 0.2)
    user = await api.new_user(client)
    await postman.ask(user.email)
    (job,) = await rows_of(server, "jobs")
    _break(smtp, trouble)
    await postman.deliver()
    await postman.deliver(timedelta(minutes=1))
    _mend(smtp, trouble)
    await postman.deliver(timedelta(minutes=10))
    copies = [*smtp.dropped, *smtp.sent_to(user.email)]
    assert smtp.sent_to(user.email)
    assert {str(copy["Message-ID"]) for copy in copies} == {f"<{job['id']}@example.com>"}
    assert len({text_of(copy) for copy in copies}) == 1


@pytest.mark.promise("P4")
async def test_a_mail_commits_with_its_change_or_not_at_all(server: Server, clock: TravellingClock) -> None:
    with suppress(LookupError):
        async with server.database.write() as db:
            await mail.enqueue(db, "password-changed", "ada@example.com", clock(), username="ada", at="now")
            raise LookupError
    assert await rows_of(server, "jobs") == []


@pytest.mark.env(SMTP_HOST="", SMTP_PORT="", SMTP_TLS="", ENVIRONMENT="production", BCRYPT_ROUNDS="10")
async def test_in_production_without_a_mail_server_mails_stay_queued_and_health_says_so(
    app: FastAPI, postman: Postman, client: AsyncClient, server: Server, env: dict[str, str], smtp: SmtpServer
) -> None:
    user = await api.new_user(client)
    await postman.ask(user.email)
    for _ in range(3):
        await postman.deliver(timedelta(days=2))
    (job,) = await rows_of(server, "jobs")
    assert job["last_error"] == "MailUnconfigured"
    assert job["dead_at"] is None  # it waits for a mail server, however long that takes
    assert await rows_of(server, "dev_mails") == []
    health = await client.get("/health/")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["checks"]["mail"] == "unconfigured"
    assert (await client.get("/health/ready")).status_code == 200

    with_smtp = {**env, "SMTP_HOST": smtp.host, "SMTP_PORT": str(smtp.port), "SMTP_TLS": "none", "EMAIL_FROM": "a@example.com"}
    async with running(create_app(load_settings(with_smtp, env_file=None), clock=postman.clock)) as mended:
        postman.clock.advance(timedelta(minutes=10))
        await run_due(mended.state.server, now=postman.clock())
        async with client_of(mended) as elsewhere:
            assert (await elsewhere.get("/health/")).json()["checks"]["mail"] == "ok"
    assert len(smtp.sent_to(user.email, RESET)) == 1


async def test_every_address_that_is_taken_can_be_written_to(server: Server) -> None:
    kit, refused = server.kit(mail.MailKit), []
    for beginning in (first + second for first in MARKS for second in MARKS):
        address = f"{beginning}utf-8?q?a=40b.example?=@example.com"
        try:
            parsed = parse_email(address)
        except PydanticCustomError:
            refused.append(beginning)
            continue
        message = kit.compose(uuid4(), "login-stopped", parsed, server.clock(), {"username": "ada"})
        assert [each.addr_spec for each in message["To"].addresses] == [address]
    assert refused == ["=?"]  # an encoded word


async def test_nothing_is_sent_for_nobody(server: Server, clock: TravellingClock, postman: Postman, smtp: SmtpServer) -> None:
    async with server.database.write() as db:
        await mail.enqueue(db, "login-stopped", mail.NOBODY, clock(), username="")
    await postman.deliver()
    assert await rows_of(server, "jobs") == []
    assert smtp.connections == 0


@pytest.mark.parametrize("locale", LOCALES)
async def test_every_mail_has_a_subject_and_two_halves_without_markup_leaking(
    server: Server, clock: TravellingClock, locale: str
) -> None:
    subjects = {_check_template(server.kit(mail.MailKit), template, clock(), locale) for template in mail.SUBJECTS}
    assert len(subjects) == len(mail.SUBJECTS)
    assert subjects.isdisjoint(mail.SUBJECTS.values()) or locale == SOURCE


TO_NOBODY = {"invitation", "audit-head"}  # who reads it has no account, or need not have one


def _check_template(kit: mail.MailKit, template: str, now: datetime, locale: str) -> str:
    values = dict.fromkeys(("minutes", "hours", "days"), "15") | {"username": "ada<b>", "at": "2026-01-02 03:04 UTC"}
    values["until"] = "2026-01-02 03:34 UTC"
    values |= {
        "link": "https://x.example/?token=abc",
        "code": "ABCD-EFGH",
        "device": "Firefox",
        "address": "::1",
        "place": "Rome",
        "method": "totp",
        "left": "2",
        "few": "yes",
        "position": "1234",
        "line": "authkeep-head 1234",
    }
    message = kit.compose(uuid4(), template, "ada@example.com", now, values, locale)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    subject = translate(locale, mail.SUBJECTS[template])
    assert message["Subject"] == subject
    assert ("ada<b>" in text.get_content()) == ("ada&lt;b&gt;" in html.get_content()) == (template not in TO_NOBODY)
    assert "<" not in text.get_content().replace("ada<b>", "")
    assert "&" not in text.get_content()
    assert "%(" not in text.get_content() + html.get_content()
    assert all(len(line) <= mail.WIDTH for line in text.get_content().splitlines())
    assert subject in unescape(html.get_content())
    assert f'<html lang="{locale}">' in html.get_content()
    assert all(len(line) <= 998 for line in message.as_string().splitlines())
    return subject


@pytest.mark.asvs("V1.3.11")
async def test_even_an_address_that_got_past_every_check_cannot_add_a_header_or_a_recipient(
    server: Server, clock: TravellingClock, postman: Postman, smtp: SmtpServer
) -> None:
    hostile = ("a@example.com\r\nBcc: v@example.com", "a@example.com\nX: y", "a@example.com, v@example.com")
    async with server.database.write() as db:
        for to in hostile:
            await mail.enqueue(db, "password-changed", to, clock(), username="ada", at="now")
    await postman.deliver()
    assert smtp.messages == []
    jobs = await rows_of(server, "jobs")
    assert len([job for job in jobs if job["last_error"]]) == len(hostile)
