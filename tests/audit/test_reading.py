"""Reading the log: by whom, by what is sought, page by page while it grows; taken along whole, inert, and verifiable."""

import csv
import io
import itertools
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
import typer
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.audit import search_repository as search
from app.audit import service
from app.audit.chain import AuditKeys
from app.audit.facts import Fact
from app.audit.search_repository import Sought
from app.core.client import Client
from app.core.crypto import b64encode
from app.core.server import Server
from app.main import Application
from tests.admin.scene import give_role
from tests.audit.chained import heads_of, seal, write
from tests.support import api
from tests.support.clock import TravellingClock

READ = "/audit/events"


async def listed(client: AsyncClient, headers: dict[str, str], **params: Any) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = await client.get(READ, headers=headers, params={**params, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


async def auditor(app: FastAPI, client: AsyncClient) -> api.User:
    user = await api.new_user(client)
    await give_role(app, user.username, "auditor")
    return user


async def test_who_may_read_it(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    for role, status in (("user", 403), ("support", 403), ("auditor", 200), ("admin", 200)):
        await give_role(app, user.username, role)
        assert (await client.get(READ, headers=user.headers)).status_code == status, role
        assert (await client.get("/audit/export", headers=user.headers)).status_code == status, role
    assert (await client.get(READ)).status_code == 401


async def test_an_event_says_who_what_whom_when_and_whence(app: FastAPI, client: AsyncClient, server: Server) -> None:
    reader = await auditor(app, client)
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    await client.post("/auth/login", data={"username": reader.username, "password": "wrong"}, headers={"User-Agent": firefox})
    (event,) = await listed(client, reader.headers, fact="user.login.failed")
    assert event["position"] is None
    await seal(server)
    (event,) = await listed(client, reader.headers, fact="user.login.failed")
    assert event["position"] > 0
    told = {name: event[name] for name in ("actor_id", "subject_id", "address", "device", "user_agent", "impersonator_id")}
    assert told == {
        "actor_id": None,
        "subject_id": reader.id,
        "address": "127.0.0.1",
        "device": "Firefox on Linux",
        "user_agent": firefox,
        "impersonator_id": None,
    }
    assert not {"seal", "mark", "client_salt", "personal_salt"} & set(event)


async def test_each_filter_finds_its_events_and_no_other(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a request looks at few rows: then pages are short, and lead on."""
    reader, other = await auditor(app, client), uuid.uuid4()
    me = uuid.UUID(reader.id)
    start = clock()
    clock.advance(timedelta(minutes=6))
    middle = clock()
    await write(server, 7, Fact.LOGIN_FAILED, subject=other)
    await write(server, 3, Fact.ROLE_CHANGED, actor=me, subject=other, before="user", after="support")
    await write(server, 2, Fact.PASSWORD_CHANGED, actor=other, subject=other)
    clock.advance(timedelta(minutes=6))
    await write(server, 5, Fact.LOGIN_SUCCEEDED, actor=other, subject=other)
    everything = await listed(client, reader.headers)
    assert [event["id"] for event in everything] == sorted((event["id"] for event in everything), reverse=True)
    sought: list[tuple[dict[str, Any], int]] = [
        ({"fact": "user.login.failed"}, 7),
        ({"fact": ["user.login.failed", "user.role.changed"]}, 10),
        ({"fact": "user.role.changed"}, 3),
        ({"subject": str(other)}, 17),
        ({"actor": str(other)}, 7),
        ({"actor": str(other), "fact": "user.password.changed"}, 2),
        ({"actor": str(me), "subject": str(other)}, 3),
        ({"address": "203.0.113.1"}, 4),
        ({"address": "203.0.113.1", "fact": "user.login.failed"}, 1),
        ({"address": "203.0.113"}, 0),
        ({"since": middle.isoformat(), "subject": str(other)}, 17),
        ({"since": (middle + timedelta(minutes=5)).isoformat(), "subject": str(other)}, 5),
        ({"until": middle.isoformat(), "subject": str(other)}, 0),
        ({"since": (start + timedelta(minutes=1)).isoformat(), "until": (middle + timedelta(minutes=5)).isoformat()}, 12),
        ({"subject": str(uuid.uuid4())}, 0),
    ]
    for few in (100_000, 3):
        monkeypatch.setattr(search, "WINDOW", few)
        monkeypatch.setattr(search, "LOOKED_AT", few)
        for params, count in sought:
            for limit in (1, 4, 100):
                found = await listed(client, reader.headers, limit=limit, **params)
                assert len(found) == count, (params, limit, few)
                assert len({event["id"] for event in found}) == count
                assert [event for event in everything if event in found] == found


async def test_what_fits_rarely_is_not_sought_among_all_events_of_a_busy_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LOOKED_AT", 10)
    busy = Client("198.51.100.9", "Harbour/1.0", "r")
    async with server.database.write() as db:
        for number in range(35):
            fact = Fact.ROLE_CHANGED if number == 0 else Fact.LOGIN_FAILED
            await service.record(db, fact, busy, server.clock(), subject=uuid.uuid4())
    sought = Sought(facts=(Fact.ROLE_CHANGED,), address=busy.address)
    pages: list[tuple[int, int | None]] = []
    before: int | None = None
    async with server.database.read() as db:
        while not pages or before is not None:
            found = await search.find_page(db, sought, before, 50)
            pages.append((len(found.rows), before := found.before))
    assert [count for count, _ in pages] == [0, 0, 0, 1]
    steps = [before for _, before in pages[:-1] if before is not None]
    assert [above - below for above, below in itertools.pairwise(steps)] == [11, 11]


async def test_pages_stay_true_while_the_log_grows(app: FastAPI, client: AsyncClient, server: Server) -> None:
    reader = await auditor(app, client)
    await write(server, 10)
    first = (await client.get(READ, headers=reader.headers, params={"limit": 5})).json()
    await write(server, 10)
    second = (await client.get(READ, headers=reader.headers, params={"limit": 5, "cursor": first["next_cursor"]})).json()
    ids = [event["id"] for event in first["items"] + second["items"]]
    assert ids == list(range(ids[0], ids[0] - 10, -1))


async def test_what_cant_be_sought_is_refused(app: FastAPI, client: AsyncClient) -> None:
    reader = await auditor(app, client)
    cursor = (await client.get(READ, headers=reader.headers, params={"limit": 1})).json()["next_cursor"]
    for params in (
        {"fact": "user.invented"},
        {"actor": "somebody"},
        {"subject": "1 OR 1=1"},
        {"since": "yesterday"},
        {"since": "2026-11-23T12:00:00"},
        {"address": "x" * 65},
        {"address": "203.0.113.7\x00"},
        {"limit": "0"},
        {"limit": "101"},
        {"cursor": "x"},
        {"cursor": cursor, "fact": "user.login.failed"},
    ):
        answer = await client.get(READ, headers=reader.headers, params=params)
        assert answer.status_code == 422, (params, answer.text)


async def exported(client: AsyncClient, headers: dict[str, str], **params: str) -> str:
    answer = await client.get("/audit/export", headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    assert "attachment; filename=" in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    return answer.text


async def test_an_export_can_be_verified_without_the_database(
    app: FastAPI, client: AsyncClient, server: Server, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from app.cli import audit as command

    reader, gone = await api.new_admin(app, client), await api.new_user(client)
    assert (await client.delete(f"/users/{gone.id}", headers=reader.headers)).status_code == 204
    await write(server, 2_500)
    await seal(server)
    text = await exported(client, reader.headers)
    assert len(text.splitlines()) > 2_500
    (tmp_path / "export.jsonl").write_text(text)
    (tmp_path / "heads.jsonl").write_text("\n".join(await heads_of(server)))
    key = b64encode(server.kit(AuditKeys).public)
    command.verify(tmp_path / "export.jsonl", [tmp_path / "heads.jsonl"], [key])
    assert "Verified 2" in capsys.readouterr().out
    lines = text.splitlines()
    for name, changed in (
        ("a field", [line.replace("203.0.113.7", "203.0.113.8", 1) for line in lines]),
        ("a row gone", lines[:1000] + lines[1001:]),
        ("the end gone", lines[:-1]),
        ("two swapped", [*lines[:10], lines[11], lines[10], *lines[12:]]),
        ("cut off in a line", [*lines[:-1], lines[-1][:50]]),
        ("the beginning gone", lines[5:]),
    ):
        (tmp_path / "changed.jsonl").write_text("\n".join(changed))
        with pytest.raises(typer.Exit) as ended:
            command.verify(tmp_path / "changed.jsonl", [tmp_path / "heads.jsonl"], [key])
        assert ended.value.exit_code == 1, name
        assert "NOT VERIFIED: " in capsys.readouterr().err


async def test_an_export_is_recorded_and_wants_a_fresh_proof(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    reader = await auditor(app, client)
    await exported(client, reader.headers, format="csv", fact="user.login.failed")
    (event,) = await listed(client, reader.headers, fact="audit.exported")
    assert event["data"] == {"format": "csv", "filters": ["facts"], "sought": {"facts": ["user.login.failed"]}}
    assert event["actor_id"] == reader.id
    clock.advance(timedelta(minutes=11))
    refused = await client.get("/audit/export", headers=reader.headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "insufficient_user_authentication")


HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", '"quoted",comma', "<script>alert(1)</script>", "\u202egnp.exe"]


async def test_a_spreadsheet_gets_nothing_that_it_would_run(app: FastAPI, client: AsyncClient, server: Server) -> None:
    reader = await auditor(app, client)
    for agent in HOSTILE:
        raw = [(b"user-agent", agent.encode())]
        await client.post("/auth/login", data={"username": reader.username, "password": "wrong"}, headers=raw)
    await write(server, 1, Fact.ACCESS_DENIED, hint='=HYPERLINK("x")')
    await seal(server)
    rows = list(csv.reader(io.StringIO(await exported(client, reader.headers, format="csv"))))
    header, *cells = rows
    assert {len(row) for row in cells} == {len(header)}
    assert not [cell for row in cells for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    agents = [row[header.index("user_agent")] for row in cells]
    assert "'=1+1" in agents
    assert '"quoted",comma' in agents


@pytest.mark.parametrize(
    "params", [{}, {"fact": "user.login.failed"}, {"address": "203.0.113.1"}], ids=["all", "fact", "address"]
)
async def test_what_is_taken_along_is_what_is_listed(
    app: FastAPI, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch, params: dict[str, str]
) -> None:
    monkeypatch.setattr("app.audit.export.PAGE", 3)
    reader = await auditor(app, client)
    await write(server, 20)
    await seal(server)
    there = [event["id"] for event in await listed(client, reader.headers, **params)]
    taken = [json.loads(line)["id"] for line in (await exported(client, reader.headers, **params)).splitlines()]
    assert taken == there[::-1]
    assert len(taken) > 0


async def test_an_export_ends_with_the_session(
    app: Application, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is cut, and has no end: no client takes it for whole."""
    monkeypatch.setattr("app.audit.export.PAGE", 1)
    monkeypatch.setattr("app.core.caller.ASK_AGAIN_SECONDS", -1.0)
    reader = await auditor(app, client)
    await write(server, 20)
    await seal(server)
    assert len((await exported(client, reader.headers)).splitlines()) > 20

    original, pages = search.find_for_export, 0

    async def ending(*values: Any) -> Any:
        nonlocal pages
        pages += 1
        if pages == 5:
            assert (await client.post("/auth/logout", headers=reader.headers)).status_code == 204
        return await original(*values)

    monkeypatch.setattr(search, "find_for_export", ending)
    with pytest.raises(ConnectionAbortedError):
        await client.get("/audit/export", headers=reader.headers)
    assert pages < 8


async def test_every_fact_has_words() -> None:
    from app.audit.words import WORDS

    assert set(WORDS) == set(Fact)
