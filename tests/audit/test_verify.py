"""The chain: what was done to the log by whoever owns the database is found, and named at the first row."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit import repository
from app.audit.chain import AuditKeys, Head, commit_client, read_head
from app.audit.facts import Fact
from app.audit.verifying import Heads, NotVerified, Trust
from app.core.server import Server
from tests.audit.chained import (
    busy,
    execute,
    finding,
    heads_of,
    rows,
    seal,
    seal_anew,
    sealed_log,
    trust_of,
    until_longer,
    verify,
    write,
)
from tests.support import api
from tests.support.clock import TravellingClock

Hand = Callable[[Server], Awaitable[None]]


def by(statement: str) -> Hand:
    async def change(server: Server) -> None:
        await execute(server, statement)

    return change


async def swap(server: Server) -> None:
    await execute(
        server,
        "UPDATE audit_events SET position = -1000 WHERE position = 4",
        "UPDATE audit_events SET position = 4 WHERE position = 5",
        "UPDATE audit_events SET position = 5 WHERE position = -1000",
    )


async def put_in(server: Server) -> None:
    """A row between two others, with places moved up to make room."""
    async with server.database.write() as db:
        await repository.lock_chain(db)  # or a row that the sealer adds between two of these takes a place that is wanted
        await db.execute(text("UPDATE audit_events SET position = -position WHERE position >= 5"))
        await db.execute(text("UPDATE audit_events SET position = 1 - position WHERE position < 0"))
        await db.execute(text(COPY.format(fact="'user.deleted'", place="5", which="position = 4")))


COLUMNS = (
    "at, actor_id, subject_id, session_id, address, user_agent, request_id, data, personal, client_salt, personal_salt, seal,"
    " mark"
)
COPY = (
    f"INSERT INTO audit_events (fact, position, {COLUMNS}) SELECT {{fact}}, {{place}}, {COLUMNS}"
    " FROM audit_events WHERE {which}"
)
FIRST = "(SELECT {} FROM audit_events WHERE position = 1)"
HANDS: dict[str, tuple[Hand, str]] = {
    "fact": (by("UPDATE audit_events SET fact = 'user.deleted' WHERE position = 5"), "position 5:"),
    "moment": (
        by("UPDATE audit_events SET at = (SELECT at FROM audit_events WHERE position = 1) WHERE position = 5"),
        "position 5:",
    ),
    "actor": (by("UPDATE audit_events SET actor_id = subject_id WHERE position = 5"), "position 5:"),
    "nobody": (by("UPDATE audit_events SET subject_id = NULL WHERE position = 5"), "position 5:"),
    "address": (by("UPDATE audit_events SET address = '198.51.100.1' WHERE position = 5"), "position 5:"),
    "agent": (by("UPDATE audit_events SET user_agent = 'x' WHERE position = 5"), "position 5:"),
    "request": (by("UPDATE audit_events SET request_id = 'x' WHERE position = 5"), "position 5:"),
    "data": (by("UPDATE audit_events SET data = '{\"stopped\": true}' WHERE position = 5"), "position 5:"),
    "personal data": (by('UPDATE audit_events SET personal = \'{"hint": "x"}\' WHERE position = 5'), "position 5:"),
    "salt": (by(f"UPDATE audit_events SET client_salt = {FIRST.format('client_salt')} WHERE position = 5"), "position 5:"),
    "id": (by("UPDATE audit_events SET id = 9999 WHERE position = 5"), "position 5:"),
    "seal": (
        by("UPDATE audit_events SET seal = (SELECT seal FROM audit_events WHERE position = 1) WHERE position = 5"),
        "position 5:",
    ),
    "mark": (by("UPDATE audit_events SET mark = NULL WHERE position = 5"), "position 5:"),
    "client's digest": (by("UPDATE audit_events SET client_digest = seal WHERE position = 5"), "position 5:"),
    "personal digest": (by("UPDATE audit_events SET personal_digest = seal WHERE position = 5"), "position 5:"),
    "the chain's place": (by("UPDATE audit_chain SET position = 5"), "audit_chain was changed"),
    "the chain's seal": (
        by("UPDATE audit_chain SET seal = (SELECT seal FROM audit_events WHERE position = 1)"),
        "audit_chain was changed",
    ),
    "blanked": (
        by("UPDATE audit_events SET address = '', user_agent = '', client_salt = NULL WHERE position = 5"),
        "position 5:",
    ),
    "removed": (by("DELETE FROM audit_events WHERE position = 5"), "position 5: the row was removed"),
    "first removed": (by("DELETE FROM audit_events WHERE position = 1"), "position 1: the row was removed"),
    "last removed": (by("DELETE FROM audit_events WHERE position = 10"), "position 10: the end was cut off"),
    "all removed": (by("DELETE FROM audit_events"), "position 1: the end was cut off"),
    "swapped": (swap, "position 4:"),
    "put in": (put_in, "position 5:"),
    "taken out of the chain": (
        by("UPDATE audit_events SET position = NULL WHERE position = 5"),
        "position 5: the row was removed",
    ),
    "called not ours": (by("UPDATE audit_events SET position = -5 WHERE position = 5"), "was put in"),
}


@pytest.mark.parametrize("name", HANDS)
async def test_whatever_was_done_to_a_row_is_found_at_that_row(server: Server, name: str) -> None:
    await sealed_log(server)
    assert await finding(server) == ""
    hand, found = HANDS[name]
    await hand(server)
    assert found in await finding(server), name


# What is the end of a log at rest is in the midst of one that grows; the sealer may have judged a row anew by then.
WHILE_IT_GROWS = {
    "last removed": ("position 10: the row was removed",),
    "all removed": ("position 1: the end was cut off", "position 1: the row was removed"),
    "taken out of the chain": ("position 5: the row was removed", "the row with id 5 was put in"),
}
CUT = (
    "DELETE FROM audit_events WHERE position > 8",
    "UPDATE audit_chain SET position = 8, seal = (SELECT seal FROM audit_events WHERE position = 8)",
)


@pytest.mark.parametrize("name", HANDS)
async def test_it_is_found_while_others_write_and_the_sealer_seals(server: Server, name: str) -> None:
    await sealed_log(server)
    hand, found = HANDS[name]
    async with busy(server):
        await until_longer(server, 10)
        assert await finding(server) == ""
        await hand(server)
        expected = WHILE_IT_GROWS.get(name, (found,))
        for _ in range(2):
            told = await finding(server)
            assert any(words in told for words in expected), told
            await until_longer(server, 10)


async def test_an_end_that_is_cut_off_while_others_write_is_found_by_what_was_signed(server: Server) -> None:
    """The owner moves the chain's end, too, and the heads in the table: what was told a sink is what tells."""
    await sealed_log(server)
    kept = await heads_of(server)
    async with busy(server):
        await until_longer(server, 10)
        await execute(server, *CUT, "DELETE FROM audit_heads")
        await until_longer(server, 20)
        told = await finding(server, kept)
        assert told.startswith(("position 9: the end was cut off", "position 10: the seal")), told


@pytest.mark.parametrize("name", ["fact", "removed", "swapped", "put in"])
async def test_seals_computed_anew_while_others_write_are_found(server: Server, name: str) -> None:
    await sealed_log(server)
    async with busy(server):
        await until_longer(server, 10)
        await HANDS[name][0](server)
        await seal_anew(server)
        first = f"position {4 if name == 'swapped' else 5}: the seal of the row"
        assert first in await finding(server)
        await until_longer(server, 10)
        assert first in await finding(server)


@pytest.mark.parametrize("name", ["fact", "removed", "last removed", "swapped", "put in", "all removed"])
async def test_seals_that_the_databases_owner_computed_anew_are_found(server: Server, clock: TravellingClock, name: str) -> None:
    """All of the chain, and the heads in the table gone."""
    await sealed_log(server)
    kept = await heads_of(server)
    await HANDS[name][0](server)
    await seal_anew(server)
    await execute(server, "DELETE FROM audit_heads")
    found = await finding(server)
    if name in {"last removed", "all removed"}:  # which leaves no seal that is not ours: only what was signed tells
        assert found == ""
        assert "the end was cut off; the chain reached position 10" in await finding(server, kept)
        return
    first = 4 if name == "swapped" else 5
    assert f"position {first}: the seal of the row" in found
    # Without our secret, who has the heads still knows.
    heads = Heads(Trust(trust_of(server).public, None))
    heads.add(kept, "file")
    last = (await rows(server))[-1]
    with pytest.raises(NotVerified):
        heads.check(10, last.seal if last.position == 10 else b"")


ODD = {
    "moment": "UPDATE audit_events SET at = 'x' WHERE position = 5",
    "actor": "UPDATE audit_events SET actor_id = 'x' WHERE position = 5",
    "data": "UPDATE audit_events SET data = '' WHERE position = 5",
    "personal": "UPDATE audit_events SET personal = 'x' WHERE position = 5",
    "mark": "UPDATE audit_events SET mark = 1 WHERE position = 5",
    "lease": "UPDATE audit_chain SET lease_until = 0",
}


@pytest.mark.parametrize("name", ODD)
async def test_what_cannot_be_read_is_named_too(server: Server, name: str) -> None:
    """SQLite holds any value in any column."""
    await sealed_log(server)
    if not server.database.is_sqlite:
        with pytest.raises(DBAPIError):
            await execute(server, ODD[name])
        return
    await execute(server, ODD[name])
    found = await finding(server)
    assert "can't be read" in found or name == "mark"  # which is read, and not ours
    assert ("audit_chain" if name == "lease" else "position 5:") in found


async def test_a_row_that_we_did_not_write_gets_no_place_and_is_found(server: Server, clock: TravellingClock) -> None:
    """Neither one of somebody's making nor a copy of ours, sealed or not yet."""
    await sealed_log(server)
    for which in ("position = 3", "position IS NULL"):
        await write(server, 1)
        length = len(await rows(server))
        await execute(server, COPY.format(fact="fact", place="NULL", which=which))
        await seal(server)
        assert len(await rows(server)) == length + 1
        assert "was put in: it was not written by this server" in await finding(server)
        await execute(server, "DELETE FROM audit_events WHERE position < 0")
        assert await finding(server) == ""


async def test_a_row_without_a_seal_is_found_once_it_is_no_longer_young(server: Server, clock: TravellingClock) -> None:
    await sealed_log(server)
    await write(server, 1)
    assert (await verify(server)).waiting == 1
    clock.advance(timedelta(seconds=31))
    assert "has no seal, 31 seconds after it was written" in await finding(server)
    await seal(server)
    assert await finding(server) == ""


async def test_rows_that_commit_late_get_the_next_place(server: Server) -> None:
    """An id that was given first may be seen last: nothing is missed, and there is no hole."""
    await write(server, 3)
    await execute(server, "UPDATE audit_events SET id = 500 WHERE id = 2")  # before it has a place
    await seal(server)
    await write(server, 1)
    await execute(server, "UPDATE audit_events SET id = 2 WHERE position IS NULL")
    await seal(server)
    assert [(row.position, row.id) for row in await rows(server)] == [(1, 1), (2, 3), (3, 500), (4, 2)]
    assert await finding(server) == ""


async def test_erasing_somebody_leaves_the_chain_whole(app: FastAPI, client: AsyncClient, server: Server) -> None:
    admin, gone, other = await api.new_admin(app, client), await api.new_user(client), await api.new_user(client)
    assert (await client.patch("/auth/me", json={"username": "another99"}, headers=gone.headers)).status_code == 200
    await seal(server)
    before = [row.seal for row in await rows(server)]
    await write(server, 1, subject=uuid.UUID(gone.id))  # not sealed yet when it is erased
    assert (await client.delete(f"/users/{gone.id}", headers=admin.headers)).status_code == 204
    assert await finding(server) == ""  # nor is the row that says so
    await seal(server)
    assert await finding(server) == ""
    after = await rows(server)
    assert [row.seal for row in after][: len(before)] == before
    assert not [row for row in after if "another99" in repr(row) or gone.username in repr(row)]
    theirs = [row for row in after if row.actor_id == uuid.UUID(gone.id)]
    assert theirs
    assert {(row.address, row.user_agent, row.client_salt) for row in theirs} == {("", "", None)}
    # What an owner could claim of somebody who is still there: everything blank, and the digest in its place.
    blank = "UPDATE audit_events SET client_digest = :d, client_salt = NULL, address = '', user_agent = '' WHERE position = :p"
    one = next(row for row in after if row.actor_id == uuid.UUID(other.id))

    await execute(server, blank, d=commit_client(one.client_salt, one._mapping), p=one.position)
    assert "it is blank, and nobody in it was erased" in await finding(server)


async def test_what_was_erased_cant_be_filled_again(app: FastAPI, client: AsyncClient, server: Server) -> None:
    admin, gone = await api.new_admin(app, client), await api.new_user(client)
    await client.delete(f"/users/{gone.id}", headers=admin.headers)
    await seal(server)
    blank = next(row for row in await rows(server) if row.client_salt is None)
    await execute(server, "UPDATE audit_events SET address = '203.0.113.9' WHERE position = :p", p=blank.position)
    assert f"position {blank.position}: the row (id {blank.id}) was changed: what was erased is filled again" in await finding(
        server
    )


async def test_verify_goes_on_while_rows_are_written_and_sealed(server: Server, app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    stopped = asyncio.Event()

    async def writing() -> None:
        while not stopped.is_set():
            await client.post("/auth/login", data={"username": user.username, "password": api.PASSWORD})
            await write(server, 2)

    async def sealing() -> None:
        while not stopped.is_set():
            await seal(server)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(writing()), asyncio.create_task(sealing())]
    reached = 0
    while reached < 40:
        report = await verify(server, await heads_of(server))
        assert report.last == report.rows >= reached
        reached = report.last
    stopped.set()
    await asyncio.gather(*tasks)
    await seal(server)
    assert (await verify(server)).waiting == 0
    await execute(server, "UPDATE audit_events SET address = 'x' WHERE position = 7")
    assert "position 7:" in await finding(server)


async def test_a_head_that_is_not_ours_is_no_head(server: Server) -> None:
    await sealed_log(server)
    (line,) = await heads_of(server)
    head = read_head(line)
    assert head is not None
    forged = AuditKeys("another secret that is long enough to be one").sign("head", 10, b"x" * 32, head.at)
    altered = Head("head", 9, head.seal, head.at, head.key, head.signature)
    moved = Head("cut", 10, head.seal, head.at, head.key, head.signature)
    for wrong in (forged, altered, moved):
        assert "is not signed by a trusted key" in await finding(server, [wrong.line()])
    # Lines that are none are passed over: a log may hold others, and the last line may be cut off.
    assert await finding(server, ["", "not json", "{}", "[]", line[:-9], line]) == ""
    # One that is whole and says that it is a head is no such line.
    for damaged in (
        '{"authkeep_audit":1}',
        line.replace('"seal":"', '"seal":"x'),
        line.replace('"position":10', '"position":"10"'),
    ):
        assert "the head was changed: it can't be read" in await finding(server, [line, damaged])


async def test_the_newest_head_of_all_files_counts(server: Server, clock: TravellingClock) -> None:
    await sealed_log(server, 5)
    first = await heads_of(server)
    clock.advance(timedelta(minutes=6))
    await sealed_log(server, 5)
    both = await heads_of(server)
    assert len(both) == 2
    await execute(server, "DELETE FROM audit_events WHERE position > 7")
    await execute(server, "DELETE FROM audit_heads WHERE position > 7")
    await execute(server, "UPDATE audit_chain SET position = 7, seal = (SELECT seal FROM audit_events WHERE position = 7)")
    assert await finding(server, first) == ""
    assert "position 8: the end was cut off; the chain reached position 10" in await finding(server, both)
    assert "position 8: the end was cut off" in await finding(server, [*reversed(both)])


async def test_a_line_tells_what_was_signed(server: Server) -> None:
    await sealed_log(server)
    (line,) = await heads_of(server)
    told = json.loads(line)
    assert (told["kind"], told["position"]) == ("head", 10)
    assert told["seal"] == (await rows(server))[-1].seal.hex()
    assert " " not in line


async def test_what_an_erasure_leaves_of_a_row_nobody_marked(app: FastAPI, client: AsyncClient, server: Server) -> None:
    """Of a server of an older version that still runs beside: it is no row of the chain, but the person goes out of it."""
    admin, gone = await api.new_admin(app, client), await api.new_user(client)
    async with server.database.write() as db:
        values = {"at": server.clock(), "fact": Fact.PROFILE_CHANGED, "actor_id": uuid.UUID(gone.id), "session_id": None}
        said = {"fields": ["username"], "username_before": "was-called-so"}
        more = {"subject_id": uuid.UUID(gone.id), "address": "192.0.2.1", "user_agent": "Old/1", "request_id": "r", "data": said}
        await repository.add_event(db, values | more)
    await client.delete(f"/users/{gone.id}", headers=admin.headers)
    async with server.database.read() as db:
        (row,) = [row for row in await repository.list_unsealed(db, 100) if row.fact == Fact.PROFILE_CHANGED]
    assert (row.address, row.user_agent, row.data) == ("", "", {"fields": ["username"]})
