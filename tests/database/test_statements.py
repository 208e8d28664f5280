"""A statement that was built once does what SQLAlchemy makes of it: same rows, same errors, nothing left of one broken off."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import String, bindparam, column, func, insert, literal, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Session
from app.core.errors import Unavailable
from app.core.problems import translate, unavailable_cause
from app.core.server import Server
from app.database import Database
from app.statements import _execute, run
from app.users.models import User
from tests.support.postgres import Postgres
from tests.users.seeds import seed_row

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5)))
ADD: Any = insert(User.__table__)  # type: ignore[arg-type]  # declared as FromClause, it is a Table
FIND = select(User.id, User.username, User.created_at, User.email_verified_at, User.role).where(
    User.username_key == bindparam("key")
)
RENAME: Any = (
    update(User.__table__)  # type: ignore[arg-type]  # as above
    .where(User.username_key == bindparam("key"))
    .values(display_name=bindparam("name"))
)
ODD = ["%", "%s", "%(key)s", ":key", "'; DROP TABLE users; --", "\\", "Ω\U0001f511", '"', "line\r\n", ""]


async def test_values_go_in_and_come_out_as_by_sqlalchemy(server: Server) -> None:
    one = seed_row("alice", created_at=MOMENT)
    async with server.database.write() as db:
        assert list(await run(db, ADD, one)) == []
        (row,) = await run(db, FIND, {"key": "alice"})
        assert tuple(row) == tuple((await db.execute(FIND, {"key": "alice"})).one())
    assert row[0] == one["id"]
    assert (row[2], row[2].tzinfo, row[3]) == (MOMENT, UTC, None)
    async with server.database.read() as db:  # it was committed with all else
        assert (await db.execute(FIND, {"key": "alice"})).one()[0] == one["id"]
        assert list(await run(db, FIND, {"key": "bob"})) == []


@pytest.mark.parametrize("word", ODD, ids=range(len(ODD)))
async def test_a_value_is_never_part_of_the_text(server: Server, word: str) -> None:
    async with server.database.write() as db:
        await run(db, ADD, seed_row("alice"))
        await run(db, RENAME, {"key": "alice", "name": word})
    async with server.database.read() as db:
        assert list(await db.scalars(select(User.display_name))) == [word]
        assert list(await run(db, FIND, {"key": word})) == []


async def test_what_is_always_the_same_is_bound_as_well(server: Server) -> None:
    asked: Any = select(literal("100% 'so'"), literal(MOMENT, User.created_at.type), bindparam("given"))
    async with server.database.read() as db:
        for given in ("one", "two"):
            (row,) = await run(db, asked, {"given": given})
            assert row[0] == "100% 'so'"
            assert (row[1], row[2]) == (MOMENT, given)


async def test_a_naive_moment_is_refused(server: Server) -> None:
    with pytest.raises(Exception, match="naive"):
        async with server.database.write() as db:
            await run(db, ADD, seed_row("alice", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001 -- to be refused


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (select(User.id).where(User.username_key.in_(["a", "b"])), {}),
        (insert(Session.__table__), {"id": None}),  # type: ignore[arg-type]  # its generation is a default made in Python
    ],
    ids=["a list", "a default"],
)
async def test_what_needs_sqlalchemy_is_refused(server: Server, statement: Any, values: dict[str, Any]) -> None:
    async with server.database.read() as db:
        with pytest.raises(TypeError, match="needs SQLAlchemy"):
            await run(db, statement, values)


async def test_an_error_is_sqlalchemys_and_tells_no_value(server: Server) -> None:
    async with server.database.write() as db:
        await run(db, ADD, seed_row("alice"))
    with pytest.raises(IntegrityError) as found:
        async with server.database.write() as db:
            await run(db, ADD, seed_row("alice", email="secret@example.com"))
    assert not unavailable_cause(found.value)
    assert "secret@example.com" not in str(found.value).partition("DETAIL")[0]
    async with server.database.write() as db:  # the connection is as good as before
        await run(db, ADD, seed_row("bob"))
    async with server.database.read() as db:
        assert await db.scalar(select(func.count()).select_from(User)) == 2


async def test_it_is_rolled_back_with_all_else(server: Server) -> None:
    async with server.database.read() as db:
        await run(db, ADD, seed_row("alice"))
        db.add(User(**seed_row("bob")))
        await db.flush()
        assert await db.scalar(select(func.count()).select_from(User)) == 2
    async with server.database.read() as db:
        assert await db.scalar(select(func.count()).select_from(User)) == 0


async def test_after_a_rollback_it_is_in_the_transaction_that_is_begun_then(server: Server) -> None:
    async with server.database.write() as db:
        await run(db, ADD, seed_row("alice"))
        await db.rollback()
        await run(db, ADD, seed_row("bob"))
        db.add(User(**seed_row("carol")))
    async with server.database.read() as db:
        assert sorted(await db.scalars(select(User.username))) == ["bob", "carol"]


async def test_one_that_fails_the_first_time_is_put_again(server: Server) -> None:
    async with server.database.write() as db:
        db.add(User(**seed_row("alice")))
    for _ in range(3):  # the connection has not met it before, and can prepare it under its name only once
        with pytest.raises(IntegrityError):
            async with server.database.write() as db:
                await run(db, ADD, seed_row("alice"))
    async with server.database.write() as db:
        await run(db, ADD, seed_row("bob"))


async def test_it_is_good_after_many_a_rollback(server: Server) -> None:
    for number in range(12):  # a cursor of psycopg's prepares what it is given for the sixth time
        async with server.database.read() as db:
            await db.execute(FIND, {"key": "alice"})
            await run(db, ADD, seed_row("alice"))
            assert [row[1] for row in await run(db, FIND, {"key": "alice"})] == ["alice"], number
            await db.rollback()
            assert await run(db, FIND, {"key": "alice"}) == []


async def test_nothing_is_too_long_for_the_socket(server: Server) -> None:
    """What goes out fills the socket several times, and so does what comes back."""
    echo = select(bindparam("given"), func.length(bindparam("given")))
    given = "Ω-" * 6_000_000
    async with server.database.read() as db:
        for _ in range(2):
            ((back, length),) = await run(db, echo, {"given": given})
            assert (back == given, length) == (True, len(given))


@pytest.fixture
async def own_database(private_postgres: Postgres) -> AsyncIterator[Database]:
    """A database on a server of the test's own, empty."""
    database = Database(private_postgres.url())
    yield database
    await database.close()


SLEEP = select(func.pg_sleep(bindparam("seconds")))
WHO = select(func.pg_backend_pid())


async def _pid(db: AsyncSession) -> int:
    ((pid,),) = await run(db, WHO, {})
    return int(pid)


async def test_a_statement_broken_off_leaves_no_connection_in_doubt(own_database: Database, private_postgres: Postgres) -> None:
    async with own_database.write() as db:
        before = await _pid(db)

    async def sleep() -> None:
        async with own_database.write() as db:
            assert await _pid(db) == before
            await run(db, SLEEP, {"seconds": 60.0})

    sleeping = asyncio.create_task(sleep())
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    while private_postgres.cluster.execute(asked) != [(1,)]:
        await asyncio.sleep(0.01)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    async with own_database.write() as db:
        assert await _pid(db) != before
        assert (await db.execute(text("SELECT 1"))).scalar() == 1


async def test_what_cannot_be_sent_costs_no_connection(own_database: Database) -> None:
    echo: Any = select(bindparam("given"))
    async with own_database.write() as db:
        before = await _pid(db)
    for given, error in ((object(), DBAPIError), ("\ud800", UnicodeEncodeError), ("\0", DBAPIError)):
        with pytest.raises(error):
            async with own_database.write() as db:
                await run(db, echo, {"given": given})
    async with own_database.write() as db:
        assert await run(db, echo, {"given": "good"}) == [("good",)]
        assert await _pid(db) == before


async def test_what_libpq_will_not_send_leaves_no_connection_in_doubt(own_database: Database) -> None:
    async with own_database.write() as db:
        before = await _pid(db)
    too_many = [""] * 65_536  # one more than the protocol counts to; BEGIN went before
    with pytest.raises(DBAPIError, match="65535"):
        async with own_database.write() as db:
            await _execute(await db.connection(), b"SELECT 1", too_many)
    async with own_database.write() as db:
        assert await run(db, select(bindparam("given", type_=String)), {"given": "good"}) == [("good",)]
        assert await _pid(db) != before


async def test_a_server_that_goes_away_is_no_answer_and_is_asked_again(
    own_database: Database, private_postgres: Postgres
) -> None:
    with pytest.raises(DBAPIError) as found:
        async with own_database.write() as db:
            await run(db, select(func.pg_terminate_backend(bindparam("pid"))), {"pid": await _pid(db)})
    assert isinstance(translate(found.value), Unavailable)
    async with own_database.write() as db:
        assert await _pid(db) > 0


async def test_a_table_that_changed_costs_one_answer(own_database: Database) -> None:
    asked: Any = select(column("kind")).select_from(text("changing"))
    async with own_database.write() as db:
        await db.execute(text("CREATE TABLE changing AS SELECT 'old' AS kind"))
        assert await run(db, asked, {}) == [("old",)]
        before = await _pid(db)
    async with own_database.write() as db:
        await db.execute(text("DROP TABLE changing"))
        await db.execute(text("CREATE TABLE changing AS SELECT 2 AS kind"))
    with pytest.raises(DBAPIError, match="cached plan"):
        async with own_database.read() as db:
            await run(db, asked, {})
    async with own_database.read() as db:
        assert await run(db, asked, {}) == [(2,)]
        assert await _pid(db) != before


async def test_time_that_is_up_is_no_mistake_of_ours(own_database: Database) -> None:
    async with own_database.read() as db:
        await db.execute(text("SET LOCAL statement_timeout = 50"))
        with pytest.raises(DBAPIError) as found:
            await run(db, SLEEP, {"seconds": 60.0})
    assert unavailable_cause(found.value)
