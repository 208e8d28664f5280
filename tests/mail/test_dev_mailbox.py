"""/dev/mailbox: there for the person at this machine in development without a mail server, and for nobody else."""

import re
from ipaddress import IPv4Network, ip_network
from itertools import product
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.config import Settings
from app.core.server import Server
from app.jobs.sockets import Work
from app.mail.service import MailKit
from app.main import create_app
from tests.mail.postman import Postman, rows_of
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer

pytestmark = pytest.mark.usefixtures("no_welcome_mail")

PAGES = ("/dev/mailbox", "/dev/mailbox.json", "/dev/mailbox/", "/dev/mailbox.json/")
NO_SMTP = {"SMTP_HOST": "", "SMTP_PORT": "", "SMTP_TLS": ""}


async def status(app: FastAPI, path: str, *, peer: str = "127.0.0.1", host: str = "localhost:8000", **headers: str) -> int:
    transport = ASGITransport(app=app, client=(peer, 50000))
    async with AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await client.get(path, headers={"Host": host, **named})).status_code


@pytest.mark.env(**NO_SMTP)
@pytest.mark.asvs("V13.4.5")
async def test_it_is_there_for_a_loopback_peer_with_a_loopback_host_and_no_proxy_between(app: FastAPI) -> None:
    peers = {"127.0.0.1": True, "127.8.8.8": True, "::1": True, "192.0.2.7": False, "10.0.0.1": False, "": False, "unix": False}
    hosts = {
        "localhost": True,
        "LOCALHOST:8000": True,
        "127.0.0.1:8000": True,
        "[::1]:8000": True,
        "localhost.evil.example": False,
        "evil.example:8000": False,
        "127.0.0.1.nip.io": False,
        "localhost@evil.example": False,
        "0.0.0.0:8000": False,
        "": False,
    }
    for (peer, peer_good), (host, host_good) in product(peers.items(), hosts.items()):
        expected = 200 if peer_good and host_good else 404
        assert await status(app, "/dev/mailbox.json", peer=peer, host=host) == expected, (peer, host)
    for path in PAGES:
        assert await status(app, path) == 200
        assert await status(app, path, host="evil.example") == 404


@pytest.mark.env(**NO_SMTP)
@pytest.mark.asvs("V13.4.5")
@pytest.mark.parametrize("trusted", [(), (ip_network("127.0.0.1"),)], ids=["no proxy trusted", "the peer trusted"])
async def test_any_sign_of_a_proxy_hides_it(settings: Settings, clock: TravellingClock, trusted: tuple[IPv4Network, ...]) -> None:
    signs = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "localhost",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Port": "8000",
        "X-Forwarded-Server": "localhost",
        "X-Forwarded-Prefix": "/",
        "X-Real-IP": "127.0.0.1",
        "Forwarded": "for=127.0.0.1",
        "Via": "1.1 proxy",
        "X-Forwarded": "for=127.0.0.1",
        "X-Client-IP": "127.0.0.1",
        "CF-Connecting-IP": "127.0.0.1",
        "True-Client-IP": "127.0.0.1",
    }
    async with running(create_app(settings.model_copy(update={"TRUSTED_PROXIES": trusted}), clock=clock)) as app:
        shown = [name for name, value in signs.items() if await status(app, "/dev/mailbox", **{name: value}) != 404]
    assert shown == []


@pytest.mark.asvs("V13.4.5")
async def test_it_is_not_there_with_a_mail_server(app: FastAPI) -> None:
    assert {await status(app, path) for path in PAGES} == {404}


@pytest.mark.env(**NO_SMTP, ENVIRONMENT="production", BCRYPT_ROUNDS="10")
@pytest.mark.asvs("V13.4.5", "V15.2.3")
async def test_it_is_not_there_in_production(app: FastAPI) -> None:
    assert {await status(app, path) for path in PAGES} == {404}


@pytest.mark.asvs("V13.4.5")
async def test_where_it_is_hidden_it_answers_like_any_path_that_is_not_there(client: AsyncClient) -> None:
    hidden, missing = await client.get("/dev/mailbox"), await client.get("/dev/nothing")
    assert hidden.status_code == missing.status_code == 404
    assert hidden.json() == missing.json()


@pytest.mark.env(**NO_SMTP)
async def test_it_shows_what_was_sent_newest_first_as_page_and_as_json(
    postman: Postman, client: AsyncClient, smtp: SmtpServer
) -> None:
    user = await api.register(client)
    await postman.ask(user["email"])
    await postman.deliver()
    (first,) = (await client.get("/dev/mailbox.json")).json()
    assert set(first) == {"id", "sent_at", "recipient", "subject", "text", "html"}
    assert first["recipient"] == user["email"]
    assert first["subject"] == "Reset your password"
    (link,) = re.findall(r"http://\S+", first["text"])
    assert link in first["html"]
    shown = await client.get("/dev/mailbox")
    assert f'href="{link}"' in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert (await postman.reset(link.partition("?token=")[2])).status_code == 204
    await postman.deliver()
    newest, oldest = (await client.get("/dev/mailbox.json")).json()
    assert newest["subject"] == "Your password was changed"
    assert oldest == first
    page = (await client.get("/dev/mailbox")).text
    assert page.index("Your password was changed") < page.index("Reset your password")
    assert smtp.connections == 0


@pytest.mark.env(**NO_SMTP)
async def test_an_empty_mailbox_is_a_page_too(client: AsyncClient) -> None:
    assert (await client.get("/dev/mailbox.json")).json() == []
    assert (await client.get("/dev/mailbox")).status_code == 200


@pytest.mark.env(**NO_SMTP)
@pytest.mark.asvs("V1.2.1", "V1.3.7", "V1.1.2")
async def test_hostile_words_are_shown_as_text_in_mailbox_and_mail(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(2)> {{7*7}} javascript:alert(3) http://x"onclick=alert(4)'
    kit = server.kit(MailKit)
    payload = {"template": "password-changed", "to": "ada@example.com", "values": {"username": hostile, "at": hostile}}
    await kit.run(Work(uuid4(), payload, clock()))
    (mail,) = (await client.get("/dev/mailbox.json")).json()
    page = (await client.get("/dev/mailbox")).text
    assert hostile in " ".join(mail["text"].split())  # which is broken into lines
    for html in (mail["html"], page):
        assert "&lt;script&gt;" in html
        assert "{{7*7}}" in html
        assert "<script" not in html
        assert "<img" not in html
        assert not re.search(r"<[^>]*\son\w+=", html)
        assert not re.search(r"href=[\"']?javascript:", html)


@pytest.mark.env(**NO_SMTP)
async def test_it_keeps_only_the_newest(server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.mail.repository.KEPT", 3)  # 200 in earnest
    for number in range(5):
        values = {"username": f"user{number}", "at": "now"}
        payload = {"template": "password-changed", "to": "ada@example.com", "values": values}
        await server.kit(MailKit).run(Work(uuid4(), payload, clock.advance(seconds=1)))
    texts = [row["text"] for row in await rows_of(server, "dev_mails")]
    assert sorted(text.partition(",")[0] for text in texts) == ["Hello user2", "Hello user3", "Hello user4"]


@pytest.mark.env(**NO_SMTP)
async def test_a_mail_handed_over_twice_is_there_once(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    work = Work(uuid4(), {"template": "password-changed", "to": "a@b.example", "values": {"username": "a", "at": "now"}}, clock())
    for _ in range(2):
        await server.kit(MailKit).run(work)
    assert len((await client.get("/dev/mailbox.json")).json()) == 1


async def test_a_browser_elsewhere_may_not_read_it(app: FastAPI) -> None:
    async with client_of(app) as client:
        answer = await client.get("/dev/mailbox", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
