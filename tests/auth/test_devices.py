"""Devices: what they are called, where they are, and the mail about one that nobody has signed in on before."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import func, select

from app.auth.devices import KIND
from app.auth.models import KnownDevice
from app.config import SettingsError, load_settings
from app.core.device_names import DeviceName, load_names
from app.core.server import Server
from app.jobs.models import Job
from app.main import create_app
from tests.auth.browsing import sign_in
from tests.auth.mmdb import write_mmdb
from tests.auth.scene import end_in_database, events, session_row, sid_of, two_clients
from tests.mail.postman import html_of
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in, text_of

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SUBJECT = "A new sign-in to your account"
Work = Callable[[], Awaitable[int]]


async def log_in_elsewhere(client: AsyncClient, user: api.User, agent: str = FIREFOX) -> dict[str, object]:
    client.cookies.clear()
    body = {"username": user.username, "password": user.password}
    answer = await client.post("/auth/login", json=body, headers={"User-Agent": agent})
    assert answer.status_code == 200
    tokens: dict[str, object] = answer.json()
    return tokens


def token_in(smtp: SmtpServer, address: str) -> str:
    (mail,) = smtp.sent_to(address, SUBJECT)
    link = links_in(mail)[0]
    assert link.startswith("http://localhost:8000/account/end-session?token=")
    return link.rpartition("=")[2]


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0", "Chrome on Windows"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"
            " Mobile/15E148 Safari/604.1",
            "Safari on iOS",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML) Version/17.5 Safari/605.1.15",
            "Safari on macOS",
        ),
        ("curl/8.1", "curl"),
        ("my-app/1.0", "my-app"),
        ("", "Unknown device"),
        ("<script>alert(1)</script>", "Unknown device"),
        ("https://evil.example.net/ click here", "Unknown device"),
        ("\u00e4\u00f6\u00fc", "Unknown device"),
        ("(" * 256, "Unknown device"),
    ],
)
async def test_a_device_has_a_name_that_people_know(user_agent: str, name: str) -> None:
    assert str((await load_names())(user_agent)) == name


def test_a_name_is_of_parts_for_other_languages() -> None:
    assert str(DeviceName("Firefox", None)) == "Firefox"
    assert str(DeviceName(None, "Linux")) == "Linux"


@pytest.mark.asvs("V7.5.2")
async def test_sessions_are_listed_by_name_and_the_others_end_at_once(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    others = [await log_in_elsewhere(client, user), await log_in_elsewhere(client, user)]
    browsing, stranger = await sign_in(server, client, user), await api.new_user(client)
    listed = (await client.get("/auth/sessions", headers=user.headers)).json()
    assert [each["device"] for each in listed][1:3] == ["Firefox on Linux"] * 2
    assert listed[1]["user_agent"] == FIREFOX
    assert {each["place"] for each in listed} == {None}
    assert (await client.delete("/auth/sessions", headers=user.headers)).status_code == 204
    for tokens in others:
        assert (await client.get("/auth/me", headers=api.bearer(tokens))).status_code == 401
    client.cookies.clear()
    assert (await client.get("/auth/me", headers=browsing.headers)).status_code == 401
    assert [each["current"] for each in (await client.get("/auth/sessions", headers=user.headers)).json()] == [True]
    assert (await client.get("/auth/me", headers=stranger.headers)).status_code == 200
    assert (await client.delete("/auth/sessions", headers=user.headers)).status_code == 204
    (ended,) = await events(server, "session.ended", actor_id=uuid.UUID(user.id))
    assert (ended.session_id, ended.data) == (sid_of(user.tokens), {"reason": "revoked_others"})
    assert (await client.delete("/auth/sessions")).status_code == 401


@pytest.mark.asvs("V6.3.5")
async def test_a_login_on_a_new_device_is_told_of_and_can_be_ended(
    client: AsyncClient, server: Server, smtp: SmtpServer, work: Work
) -> None:
    user = await api.new_user(client)
    await work()
    assert smtp.sent_to(user.email, SUBJECT) == []  # the first login of all is no news
    known = {"username": user.username, "password": user.password, "device": user.tokens["device"]}
    assert (await client.post("/auth/login", json=known)).status_code == 200
    await work()
    assert smtp.sent_to(user.email, SUBJECT) == []  # nor is a device that is known
    thief = await log_in_elsewhere(client, user)
    await work()
    (mail,) = smtp.sent_to(user.email, SUBJECT)
    for text in (text_of(mail), html_of(mail)):
        assert "Firefox on Linux" in text
        assert "127.0.0.1" in text
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", text)
    token = token_in(smtp, user.email)
    assert (await client.get("/auth/me", headers=api.bearer(thief))).status_code == 200
    done = await client.post("/auth/end-session", json={"token": token})
    assert (done.status_code, done.content) == (204, b"")
    assert (await client.get("/auth/me", headers=api.bearer(thief))).status_code == 401
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    assert (await session_row(server, sid_of(thief))).end_reason == "reported"
    async with server.database.read() as db:
        assert await db.scalar(select(func.count()).select_from(KnownDevice)) == 0
    (event,) = await events(server, "session.reported")
    assert (event.actor_id, str(event.subject_id), event.session_id) == (None, user.id, sid_of(thief))
    again = await client.post("/auth/end-session", json={"token": token})
    assert (again.status_code, again.json()["code"]) == (400, "ticket_invalid")


async def test_a_wrong_password_on_a_new_device_sends_nothing(client: AsyncClient, smtp: SmtpServer, work: Work) -> None:
    user = await api.new_user(client)
    client.cookies.clear()
    for password in ("wrong", "Wrong-harbour-71-kettle!"):
        answer = await client.post("/auth/login", json={"username": user.username, "password": password})
        assert answer.status_code == 401
    await work()
    assert smtp.sent_to(user.email, SUBJECT) == []


@pytest.mark.promise("P3")
async def test_of_twenty_who_use_the_link_one_ends_the_session(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock, server: Server, smtp: SmtpServer, work: Work
) -> None:
    user = await api.new_user(client)
    await log_in_elsewhere(client, user)
    await work()
    token = token_in(smtp, user.email)
    async with two_clients(app, env, clock) as clients:
        tries = [clients[number % 2].post("/auth/end-session", json={"token": token}) for number in range(20)]
        statuses = sorted([answer.status_code for answer in await asyncio.gather(*tries)])
    assert statuses == [204] + [400] * 19
    assert len(await events(server, "session.reported")) == 1


async def test_what_is_no_such_link_ends_nothing(
    client: AsyncClient, server: Server, smtp: SmtpServer, work: Work, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    session = await log_in_elsewhere(client, user)
    await client.post("/auth/forgot-password", json={"email": user.email})
    clock.advance(seconds=3)
    await work()
    token = token_in(smtp, user.email)
    (reset,) = [links_in(mail)[0].rpartition("=")[2] for mail in smtp.sent_to(user.email, "Reset your password")]
    for wrong in (reset, token[:-2], token + "AA", "x", str(sid_of(session)), "a" * 4000):
        refused = await client.post("/auth/end-session", json={"token": wrong})
        assert (refused.status_code, refused.json()["code"]) == (400, "ticket_invalid"), wrong
    for body in ({}, {"token": ""}, {"token": "\u00e9"}, {"token": 5}, {"token": token, "x": 1}, {"token": "a" * 5000}):
        assert (await client.post("/auth/end-session", json=body)).status_code == 422
    # It resets no password either, and none of this has spent it.
    crossed = await client.post("/auth/reset-password", json={"token": token, "new_password": "quite another 1!"})
    assert crossed.json()["code"] == "ticket_invalid"
    assert (await client.get("/auth/me", headers=api.bearer(session))).status_code == 200
    clock.advance(timedelta(days=7))
    assert (await client.post("/auth/end-session", json={"token": token})).status_code == 400


async def test_the_link_works_when_the_session_has_ended_and_for_a_disabled_account(
    app: FastAPI, client: AsyncClient, server: Server, smtp: SmtpServer, work: Work, clock: TravellingClock
) -> None:
    boss = await api.new_admin(app, client)
    user = await api.new_user(client)
    session = await log_in_elsewhere(client, user)
    await work()
    await end_in_database(server, sid_of(session), clock())
    await client.put(f"/users/{user.id}/status", json={"active": False}, headers=boss.headers)
    assert (await client.post("/auth/end-session", json={"token": token_in(smtp, user.email)})).status_code == 204
    (event,) = await events(server, "session.reported")
    assert event.data == {"ended": False}


@pytest.mark.promise("P4", "P9")
async def test_the_job_holds_no_secret_and_one_link_however_often_sent(
    client: AsyncClient, server: Server, smtp: SmtpServer, work: Work, clock: TravellingClock
) -> None:
    user = await api.new_user(client)
    await log_in_elsewhere(client, user)
    async with server.database.read() as db:
        (payload,) = (await db.scalars(select(Job.payload).where(Job.kind == KIND))).all()
    assert set(payload) == {"subject", "user", "to", "ticket"}
    smtp.set_mode("drop")
    await work()
    smtp.set_mode("ok")
    clock.advance(timedelta(minutes=10))
    await work()
    token = token_in(smtp, user.email)
    sent = [links_in(mail)[0].rpartition("=")[2] for mail in [*smtp.dropped, *smtp.messages] if mail["Subject"] == SUBJECT]
    assert set(sent) == {token}


HOSTILE = "<img src=x onerror=alert(1)>\"' {{7*7}} Firefox/140.0"


async def test_a_hostile_user_agent_is_text_in_the_mail(client: AsyncClient, smtp: SmtpServer, work: Work) -> None:
    user = await api.new_user(client)
    await log_in_elsewhere(client, user, HOSTILE)
    await work()
    (mail,) = smtp.sent_to(user.email, SUBJECT)
    assert "<img" not in html_of(mail)
    assert "49" not in text_of(mail).partition("Device:")[2].partition("\n")[0]


# Places


async def test_without_a_file_nobody_is_asked_where_people_are(client: AsyncClient, server: Server) -> None:
    assert server.places is None
    user = await api.new_user(client)
    (listed,) = (await client.get("/auth/sessions", headers=user.headers)).json()
    assert listed["place"] is None


async def test_a_file_names_the_place_in_the_persons_language(
    env: dict[str, str], clock: TravellingClock, tmp_path: Path
) -> None:
    file = write_mmdb(tmp_path / "places.mmdb")
    server = create_app(load_settings({**env, "GEOIP_FILE": str(file)}, env_file=None), clock=clock).state.server
    find = server.places.find
    assert (find("127.0.0.1", "en"), find("127.0.0.1", "de")) == ("Berlin, Germany", "Berlin, Deutschland")
    assert find("127.0.0.1", "fr") == "Berlin, Germany"
    for unknown in ("8.8.8.8", "::1", "", "nonsense", "127.0.0.1%eth0", "a" * 64):
        assert find(unknown, "en") is None, unknown


def test_a_file_that_is_none_stops_the_start_in_one_line(env: dict[str, str], tmp_path: Path) -> None:
    bad, cut = tmp_path / "bad.mmdb", tmp_path / "cut.mmdb"
    bad.write_bytes(b"not a database" * 100)
    cut.write_bytes(write_mmdb(tmp_path / "whole.mmdb").read_bytes()[:40])
    for path in (bad, cut, tmp_path / "none.mmdb", tmp_path):
        with pytest.raises(SettingsError, match=r"^GEOIP_FILE: can't be read as a MaxMind database \(\w+\)$"):
            create_app(load_settings({**env, "GEOIP_FILE": str(path)}, env_file=None))
