"""Column types behave the same on both databases: moments come back in UTC, text sorts by its bytes, numbers count up."""

import secrets
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, inspect, select, text
from sqlalchemy.exc import StatementError

from app.audit.models import AuditEvent
from app.core.server import Server
from app.database import ByteOrdered, UtcDateTime
from app.models import DailyRound
from tests.support.stacks import Stack

WORDS = [
    "Zebra",
    "a_b",
    "aB",
    "ab",
    "apfel",
    "Äpfel",
    "äpfel",
    "zebra",
    "0",
    "~",
    "a-b",
    "a b",
    "ß",
    "\U0001f511",
    "ﬁ",
    "é",
    "e\u0301",
]


async def write_words(server: Server) -> Table:
    table = Table(
        f"words_{secrets.token_hex(4)}", MetaData(), Column("id", Integer, primary_key=True), Column("word", ByteOrdered(64))
    )
    async with server.database.write() as db:
        connection = await db.connection()
        await connection.run_sync(table.create)
        await db.execute(table.insert(), [{"id": number, "word": word} for number, word in enumerate(WORDS)])
    return table


async def test_text_is_sorted_by_its_bytes(server: Server) -> None:
    table = await write_words(server)
    async with server.database.read() as db:
        found = (await db.scalars(select(table.c.word).order_by(table.c.word))).all()
    assert found == sorted(WORDS, key=str.encode)
    assert found != sorted(WORDS, key=str.casefold)


async def test_text_is_compared_by_its_bytes(server: Server) -> None:
    table = await write_words(server)
    async with server.database.read() as db:
        after = set((await db.scalars(select(table.c.word).where(table.c.word > "a_b"))).all())
        between = set((await db.scalars(select(table.c.word).where(table.c.word.between("a", "b")))).all())
    assert after == {word for word in WORDS if word.encode() > b"a_b"}
    assert between == {word for word in WORDS if b"a" <= word.encode() <= b"b"}


async def test_names_and_addresses_are_compared_by_bytes_in_the_migrated_tables(server: Server, stack: Stack) -> None:
    async with server.database.read() as db:
        connection = await db.connection()
        columns = await connection.run_sync(lambda sync: inspect(sync).get_columns("users"))
        by_name = {column["name"]: column for column in columns}
        assert {"username_key", "email_key"} <= set(by_name)
        if stack.postgres:
            query = text("SELECT column_name, collation_name FROM information_schema.columns WHERE table_name = 'users'")
            collations = {row.column_name: row.collation_name for row in await db.execute(query)}
            assert (collations["username_key"], collations["email_key"]) == ("C", "C")


MOMENTS = [
    datetime(2026, 3, 29, 1, 30, 0, 123456, UTC),
    datetime(2026, 10, 25, 2, 30, 0, 1, timezone(timedelta(hours=2))),
    datetime(1999, 12, 31, 23, 59, 59, 999999, timezone(timedelta(hours=-11))),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=14))),
]


@pytest.mark.asvs("V16.2.2")
async def test_a_moment_comes_back_as_it_was_in_utc(server: Server) -> None:
    async with server.database.write() as db:
        db.add_all([DailyRound(name=str(number), due_at=moment) for number, moment in enumerate(MOMENTS)])
    async with server.database.read() as db:
        rows = (
            await db.scalars(select(DailyRound).where(DailyRound.name.in_(["0", "1", "2", "3"])).order_by(DailyRound.due_at))
        ).all()
        before = (await db.scalars(select(DailyRound.name).where(DailyRound.due_at < MOMENTS[3]))).all()
    assert [row.due_at for row in rows] == sorted(MOMENTS)
    assert {row.due_at.tzinfo for row in rows} == {UTC}
    assert "2" in before
    assert "0" not in before


async def test_a_naive_moment_is_refused(server: Server) -> None:
    naive = DailyRound(name="naive", due_at=datetime(2026, 1, 1))  # noqa: DTZ001 -- the point
    async with server.database.write() as db:
        db.add(naive)
        with pytest.raises(StatementError, match="naive"):
            await db.flush()
        await db.rollback()
    assert UtcDateTime().process_result_value(None, None) is None  # type: ignore[arg-type]  # the dialect is not looked at


async def test_audit_rows_are_numbered_upward_and_never_again(server: Server) -> None:
    def event() -> AuditEvent:
        return AuditEvent(at=MOMENTS[0], fact="test", address="", user_agent="", request_id="", data={"ü": [1, None, True]})

    async with server.database.write() as db:
        db.add_all([event() for _ in range(3)])
    async with server.database.write() as db:
        numbers = (await db.scalars(select(AuditEvent.id).order_by(AuditEvent.id))).all()
        await db.execute(text("DELETE FROM audit_events"))
    async with server.database.write() as db:
        db.add(event())
    async with server.database.read() as db:
        last = (await db.scalars(select(AuditEvent))).one()
    assert list(numbers) == sorted(set(numbers))
    assert last.id > max(numbers)
    assert last.data == {"ü": [1, None, True]}
