"""The sealer: one at a time, whatever dies; heads that are signed and kept; what retention and a restore leave."""

import asyncio
import json
import stat
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.audit import export, repository, sealing
from app.audit.chain import AuditKeys, Head, read_head
from app.audit.facts import Fact
from app.audit.heads import FileSink, Sinks, read_sinks
from app.audit.sealing import Sealer
from app.audit.search_repository import Sought
from app.audit.sockets import HEAD_SINKS
from app.cli.restoring import make_true
from app.core.server import Server
from app.infra.outbound import OutboundHttp
from app.jobs.worker import Worker, run_due, run_steady
from tests.audit.chained import execute, finding, heads_of, rows, seal, sealed_log, verify, write
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, text_of
from tests.webhooks.receiver import Receiver, raw, saying


async def places(server: Server) -> list[int | None]:
    return [row.position for row in await rows(server)]


async def test_one_of_two_workers_seals_and_the_other_takes_over(server: Server, twin: FastAPI, clock: TravellingClock) -> None:
    other: Server = twin.state.server
    await sealed_log(server, 3)
    await write(other, 2)
    await seal(other)  # the lease is the first one's
    assert await places(server) == [1, 2, 3]
    clock.advance(timedelta(seconds=11))
    await seal(other)
    assert await places(server) == [1, 2, 3, 4, 5]
    await write(server, 1)
    await seal(server)
    assert await places(server) == [1, 2, 3, 4, 5]
    assert await finding(server) == ""


async def raced(server: Server, other: Server) -> None:
    """Both seal at the same time, again and again, while both write."""
    for _ in range(4):
        await asyncio.gather(
            write(server, 3), write(other, 3), *(run_steady(each, each.clock()) for each in (server, other, server, other))
        )
    await seal(server)
    await seal(other)


@pytest.fixture
def no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if leases were always over: only the row that is held keeps sealers apart."""
    monkeypatch.setattr(sealing, "LEASE", timedelta(seconds=-1))


async def test_sealers_that_all_believe_it_is_their_turn_never_fork_the_chain(
    server: Server, twin: FastAPI, no_lease: None
) -> None:
    await raced(server, twin.state.server)
    assert await places(server) == list(range(1, 25))
    assert await finding(server) == ""


async def test_control_sealers_that_hold_nothing_are_found(
    server: Server, twin: FastAPI, no_lease: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain is only looked at, and moved whatever it was: places are given twice, or rows are left out."""

    async def look(db: Any, *_: Any) -> Any:
        return await repository.find_chain(db)

    async def move(db: Any, _before: int, **values: Any) -> bool:
        await db.execute(text("UPDATE audit_chain SET position = :p, seal = :s"), {"p": values["position"], "s": values["seal"]})
        return True

    seal_events, other = repository.seal_events, twin.state.server
    calls = 0

    async def overtaken_once(db: Any, seals: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1 and not server.database.is_sqlite:  # another sees one row more, seals them all, and is done before
            await write(other, 1)
            await seal(other)
        await seal_events(db, seals)

    monkeypatch.setattr(repository, "take_chain", look)
    monkeypatch.setattr(repository, "move_chain", move)
    monkeypatch.setattr(repository, "seal_events", overtaken_once)
    if server.database.is_sqlite:  # one writer at a time, by the file: there it takes a reader
        monkeypatch.setattr(repository, "find_chain", _stale(await _chain(server)))
    failed = False
    for _ in range(2):
        await write(server, 3)
        try:
            await seal(server)
        except SQLAlchemyError:  # a place that is given already
            failed = True
    complete = await places(server) == list(range(1, len(await places(server)) + 1)) and not await _unsealed(server)
    assert calls > 1
    assert failed or await finding(server) or not complete


async def _unsealed(server: Server) -> int:
    async with server.database.read() as db:
        return len(await repository.list_unsealed(db, 1000))


async def _chain(server: Server) -> Any:
    async with server.database.read() as db:
        return await repository.find_chain(db)


def _stale(chain: Any) -> Any:
    async def find(_db: Any) -> Any:
        return chain

    return find


async def test_a_sealer_that_dies_before_its_commit_leaves_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(server, 5)
    seal_events = repository.seal_events

    async def dying(db: Any, seals: Any) -> None:
        await seal_events(db, seals[:2])
        raise ConnectionError

    monkeypatch.setattr(repository, "seal_events", dying)
    await seal(server)
    assert await places(server) == []
    monkeypatch.setattr(repository, "seal_events", seal_events)
    await seal(server)
    assert await places(server) == [1, 2, 3, 4, 5]
    assert await finding(server) == ""


async def test_many_rows_are_sealed_batch_by_batch(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH", 4)
    await sealed_log(server, 11)
    assert await places(server) == list(range(1, 12))
    assert await finding(server) == ""


# Heads.


@pytest.fixture
def head_file(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "heads.jsonl"


def with_file(server: Server, file: Path) -> None:
    from app.audit.sockets import HEAD_SINKS

    server.plug(HEAD_SINKS, FileSink(file))


async def test_heads_are_signed_as_time_goes_by_and_there_is_something_new(
    server: Server, clock: TravellingClock, head_file: Path
) -> None:
    with_file(server, head_file)
    await sealed_log(server, 2)
    assert len(head_file.read_text().splitlines()) == 1
    clock.advance(timedelta(minutes=4))
    await sealed_log(server, 2)  # too soon
    clock.advance(timedelta(minutes=2))
    await seal(server)
    clock.advance(timedelta(minutes=20))
    await seal(server)  # nothing new
    heads = [read_head(line) for line in head_file.read_text().splitlines()]
    assert [(head.kind, head.position) for head in heads if head] == [("head", 2), ("head", 4)]
    assert head_file.read_text().splitlines() == await heads_of(server)
    assert stat.S_IMODE(head_file.stat().st_mode) == 0o600
    assert await finding(server, head_file.read_text().splitlines()) == ""


async def test_a_sink_that_fails_holds_nothing_up_and_gets_the_head_later(
    server: Server, clock: TravellingClock, head_file: Path
) -> None:
    head_file.parent.mkdir()
    head_file.mkdir()  # so that it can't be written to
    with_file(server, head_file)
    await sealed_log(server, 3)
    assert await places(server) == [1, 2, 3]
    head_file.rmdir()
    clock.advance(timedelta(seconds=1))
    await seal(server)
    assert [json.loads(line)["position"] for line in head_file.read_text().splitlines()] == [3]
    await seal(server)
    assert len(head_file.read_text().splitlines()) == 1


async def test_a_worker_that_stops_signs_what_there_is(server: Server, head_file: Path) -> None:
    with_file(server, head_file)
    await sealed_log(server, 2)
    await write(server, 3)
    worker = Worker(server)
    worker.start()
    await worker.stop()
    assert [json.loads(line)["position"] for line in head_file.read_text().splitlines()] == [2, 5]
    chain = await _chain(server)
    assert chain.lease is None  # so that another goes on at once


@pytest.mark.env(HEAD_SINKS="stdout,mail:auditor@example.com")
async def test_heads_go_to_standard_output_and_once_a_day_by_mail(
    server: Server, clock: TravellingClock, smtp: SmtpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for minutes in (0, 10, 60 * 24):
        clock.advance(timedelta(minutes=minutes))
        await sealed_log(server, 1)
    await run_due(server, clock() + timedelta(seconds=5))
    lines = [line for line in capsys.readouterr().out.splitlines() if read_head(line)]
    assert [json.loads(line)["position"] for line in lines] == [1, 2, 3]
    mails = [text_of(mail) for mail in smtp.sent_to("auditor@example.com", "Signed head of the audit log")]
    assert len(mails) == 2  # in any order: they are sent at the same time
    assert [sum(line in mail for mail in mails) for line in lines] == [1, 0, 1]
    assert await finding(server, [line for mail in mails for line in mail.splitlines()]) == ""


async def test_heads_go_to_a_webhook_as_they_are(server: Server, clock: TravellingClock) -> None:
    async with Receiver() as receiver:
        sinks = Sinks(lambda: read_sinks([f"webhook:{receiver.url}"], server.database, OutboundHttp(loopback=True)))
        sealer = Sealer(server.database, server.kit(AuditKeys), sinks, timedelta(minutes=5))
        await write(server, 2)
        await sealer.tick(clock())
        assert [got.body.decode() for got in receiver.got] == await heads_of(server)
        assert receiver.got[0].headers["content-type"] == "application/json"
        assert await finding(server, [got.body.decode() for got in receiver.got]) == ""
        # One that did not answer well gets the newest later, and a server that starts tells it again.
        for answer in (saying(500), saying(302, b"", b"Location: /elsewhere"), raw(b"")):
            receiver.answer, receiver.got = answer, []
            clock.advance(timedelta(minutes=6))
            await write(server, 1)
            await sealer.tick(clock())
            assert len(receiver.got) == 1
        receiver.answer, receiver.got = saying(204), []
        await sealer.tick(clock())
        newest = (await heads_of(server))[-1]
        assert [got.body.decode() for got in receiver.got] == [newest]
        await Sealer(server.database, server.kit(AuditKeys), sinks, timedelta(minutes=5)).tick(clock())
        assert [got.body.decode() for got in receiver.got] == [newest, newest]


@pytest.mark.env(HEAD_SINKS="webhook:https://127.0.0.1/hidden,webhook:https://127.0.0.1/others")
async def test_a_webhook_leads_to_nobody_inside_and_the_log_tells_no_path(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await sealed_log(server, 2)
    assert await places(server) == [1, 2]  # nothing waits for it
    told = [record.getMessage() for record in caplog.records if "audit.head_not_kept" in record.getMessage()]
    assert len(told) == 2
    assert all("OutboundRefused" in line and "webhook:127.0.0.1:" in line and "hidden" not in line for line in told)


class Full:
    """A sink that is away for a while."""

    name = "full"

    def __init__(self) -> None:
        self.is_full, self.kept = True, list[tuple[str, int]]()

    async def keep(self, head: Head) -> None:
        await asyncio.sleep(0)
        if self.is_full:
            raise OSError("full")
        self.kept.append((head.kind, head.position))

    async def fill(self, _lines: Sequence[str]) -> None:
        raise OSError("full")


async def test_a_sink_that_was_away_gets_each_cut_and_restore_and_the_newest_head(server: Server, clock: TravellingClock) -> None:
    """What was before a cut can be verified by no other head."""
    sink, keys = Full(), server.kit(AuditKeys)
    sinks = Sinks(lambda: [sink])
    await sinks.remind([])
    for kind, position in (("head", 1), ("cut", 2), ("head", 3), ("restored", 4), ("head", 5), ("head", 6)):
        await sinks.tell(keys.sign(kind, position, b"x" * 32, clock()))
    sink.is_full = False
    await sinks.tell(None)
    assert sink.kept == [("cut", 2), ("restored", 4), ("head", 6)]
    await sinks.tell(None)
    assert len(sink.kept) == 3


async def test_a_sink_loses_nothing_of_two_calls_that_fail_at_once(server: Server, clock: TravellingClock) -> None:
    sink, keys = Full(), server.kit(AuditKeys)
    sinks = Sinks(lambda: [sink])
    await asyncio.gather(*(sinks.tell(keys.sign("cut", position, b"x" * 32, clock())) for position in (2, 4, 6)))
    sink.is_full = False
    await sinks.tell(None)
    assert sorted(sink.kept) == [("cut", 2), ("cut", 4), ("cut", 6)]


async def test_a_whole_export_ends_where_a_head_vouches_for_it(server: Server) -> None:
    """What is sealed between the signature and the first line is not in it."""
    await sealed_log(server, 5)
    async with server.database.write() as db:
        vouched = await export.vouch(server, db, Sought(), export.LINES, server.clock())
    await sealed_log(server, 3)

    async def allow() -> None: ...

    parts = [part async for part in export.write(server.database, Sought(), export.LINES, allow, vouched)]
    assert [json.loads(line)["position"] for line in "".join(parts).splitlines()] == [1, 2, 3, 4, 5]


async def test_a_row_that_cannot_be_read_keeps_no_other_from_its_seal(server: Server) -> None:
    """SQLite holds any value in any column."""
    await sealed_log(server, 2)
    if not server.database.is_sqlite:
        return
    for change in ("at = 'x'", "actor_id = 'x'", "data = ''", "personal = 'x'", "mark = 1"):
        await write(server, 2)
        newest = "(SELECT max(id) FROM audit_events)"
        await execute(server, f"UPDATE audit_events SET {change} WHERE id = {newest}")
        assert await finding(server) != ""
        await write(server, 1)
        await seal(server)
        async with server.database.read() as db:
            assert not await repository.has_unsealed(db)
        assert "was put in: it was not written by this server" in await finding(server)
        await execute(server, "DELETE FROM audit_events WHERE position < 0")
        assert await finding(server) == ""


async def test_a_server_that_starts_gives_a_file_what_it_lacks(server: Server, head_file: Path) -> None:
    """It was down, or full, or is new; and a line that was cut off does not spoil the next."""
    await sealed_log(server, 3)
    async with server.database.write() as db:
        cut = server.kit(AuditKeys).sign("cut", 1, b"x" * 32, server.clock())
        await repository.replace_cut(db, 1, cut.line())
    head_file.parent.mkdir()
    head_file.write_text('{"authkeep_audit":1,"kin')
    for _ in range(2):  # and each line once
        with_file(server, head_file)
        sealer = Sealer(server.database, server.kit(AuditKeys), Sinks(lambda: HEAD_SINKS.of(server.parts)), timedelta(hours=1))
        await sealer.tick(server.clock())
        lines = head_file.read_text().splitlines()
        assert [read_head(line) and json.loads(line)["kind"] for line in lines] == [None, "head", "cut"]


async def test_a_worker_that_stops_seals_all_there_is(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.audit.sealing.BATCH", 2)
    await write(server, 7)
    await run_steady(server, server.clock(), last=True)
    assert [row.position for row in await rows(server)] == list(range(1, 8))
    assert await finding(server) == ""


@pytest.mark.parametrize("moved", ["seal", "position = 3", "position = 0"])
async def test_over_a_chain_that_somebody_moved_nothing_is_sealed_or_signed(
    server: Server, clock: TravellingClock, moved: str
) -> None:
    """Else an honest row would be the first that does not fit."""
    await sealed_log(server, 5)
    kept = (await rows(server))[-1].seal
    change = "seal = :seal" if moved.startswith("seal") else moved
    more = {"seal": b"\0" * 32} if moved.startswith("seal") else {}
    await execute(server, f"UPDATE audit_chain SET {change}", **more)
    assert "audit_chain was changed" in await finding(server)
    await write(server, 2)
    heads = await heads_of(server)
    clock.advance(timedelta(hours=2))  # a head is due: it would vouch for what somebody made up
    await run_steady(server, clock(), last=True)
    async with server.database.write() as db:
        vouched = await export.vouch(server, db, Sought(), export.LINES, clock())
    assert (vouched.end, await heads_of(server)) == (None, heads)
    assert [row.position for row in await rows(server)] == [1, 2, 3, 4, 5]
    assert "audit_chain was changed" in await finding(server)
    await execute(server, "UPDATE audit_chain SET position = 5, seal = :seal", seal=kept)
    await seal(server)
    assert len(await rows(server)) == 7
    assert await finding(server) == ""


# Retention.


@pytest.mark.env(AUDIT_RETENTION_DAYS="30")
async def test_old_rows_go_behind_a_signed_cut(server: Server, clock: TravellingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.audit.pruning.AT_ONCE", 4)
    await sealed_log(server, 10)
    clock.advance(timedelta(days=20))
    await sealed_log(server, 3)
    clock.advance(timedelta(days=11))
    await seal(server)
    await seal(server)
    left = await rows(server)
    assert [row.position for row in left][:3] == [11, 12, 13]
    pruned = [row.data for row in left if row.fact == Fact.AUDIT_PRUNED]
    assert [each["position"] for each in pruned] == [4, 8, 10]
    report = await verify(server)
    assert (report.first, report.rows) == (11, len(left))
    # Behind the cut as before: what is missing is found.
    await execute(server, "DELETE FROM audit_events WHERE position = 11")
    assert "position 1: the row was removed; the first one left is at position 12" in await finding(server)


@pytest.mark.env(AUDIT_RETENTION_DAYS="30")
@pytest.mark.parametrize("first", [1, 4])
async def test_what_was_changed_does_not_go_behind_a_cut(server: Server, clock: TravellingClock, first: int) -> None:
    """Neither young rows that were made old, nor old ones that were changed: a cut would be signed over it."""
    await sealed_log(server, 8)
    await execute(server, f"UPDATE audit_events SET at = '2020-01-01 00:00:00.000000' WHERE position BETWEEN {first} AND 5")
    for _ in range(2):
        clock.advance(timedelta(minutes=20))
        await seal(server)
    assert [row.position for row in await rows(server)] == list(range(1, 9))
    assert f"position {first}:" in await finding(server)
    clock.advance(timedelta(days=40))
    await seal(server)
    assert len(await rows(server)) >= 8
    assert f"position {first}:" in await finding(server)


async def test_without_the_setting_nothing_goes(server: Server, clock: TravellingClock) -> None:
    await sealed_log(server, 5)
    clock.advance(timedelta(days=4000))
    await seal(server)
    assert len(await rows(server)) == 5


# A restore.


async def test_a_restored_backup_is_older_than_the_heads_until_it_is_said(
    server: Server, clock: TravellingClock, head_file: Path
) -> None:
    with_file(server, head_file)
    await sealed_log(server, 6)
    clock.advance(timedelta(minutes=10))
    await sealed_log(server, 6)
    kept = head_file.read_text().splitlines()
    await execute(server, "DELETE FROM audit_events WHERE position > 6")
    await execute(server, "DELETE FROM audit_heads WHERE position > 6")
    await execute(
        server,
        "UPDATE audit_chain SET position = 6, head_position = 6, seal = (SELECT seal FROM audit_events WHERE position = 6)",
    )
    assert "position 7: the end was cut off; the chain reached position 12" in await finding(server, kept)
    clock.advance(timedelta(minutes=10))
    await make_true(server)
    await seal(server)
    clock.advance(timedelta(minutes=10))
    await sealed_log(server, 8)
    kept = head_file.read_text().splitlines()
    report = await verify(server, kept)
    assert [head.position for head in report.lost] == [6]
    assert report.newest is not None
    assert report.newest.position == report.last == 15
    # Whoever cuts it off again can't say so.
    await execute(server, "DELETE FROM audit_events WHERE position > 6")
    await execute(server, "DELETE FROM audit_heads")
    await execute(server, "UPDATE audit_chain SET position = 6, seal = (SELECT seal FROM audit_events WHERE position = 6)")
    assert "the end was cut off" in await finding(server, kept)
