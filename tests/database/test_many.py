"""Many rows at once are the rows that one insert each would make, whatever is in them; all of them or none."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select

from app.audit import service as audit
from app.audit.facts import Fact
from app.core.server import Server
from app.database import Clash, add_many, among
from app.users.models import User
from tests.audit.chained import STRANGER, finding, seal
from tests.auth.scene import events
from tests.mail.postman import rows_of
from tests.support.clock import TravellingClock
from tests.users.seeds import seed_row

ODD = ["\\N", "\\", "\\.", "tab\there", "line\nend\r\n", "'quote\"", "", "NULL", "Ω\U0001f511", "a,b;c", " x ", "%s{}"]


def rows(**more: Any) -> list[dict[str, Any]]:
    return [seed_row(f"person{number}", display_name=text, **more) for number, text in enumerate(ODD)]


async def test_they_are_as_an_insert_makes_them(server: Server) -> None:
    made = rows(email_verified_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    async with server.database.write() as db:
        await add_many(db, User, made)
        await add_many(db, User, [])
    found = {row["username"]: row for row in await rows_of(server, "users")}
    async with server.database.write() as db:
        for row in made:
            await db.execute(insert(User).values({**row, **_another(row)}))
    again = {row["username"]: row for row in await rows_of(server, "users")}
    for row in made:
        one, other = found[row["username"]], again[f"x{row['username']}"]
        assert one["display_name"] == row["display_name"]
        same = set(one) - {"id", "username", "username_key", "email", "email_key"}
        assert {name: one[name] for name in same} == {name: other[name] for name in same}


def _another(row: dict[str, Any]) -> dict[str, Any]:
    names = {name: f"x{row[name]}" for name in ("username", "username_key", "email", "email_key")}
    return {"id": uuid.uuid4(), **names}


async def test_json_and_bytes_are_as_records_have_them(server: Server, clock: TravellingClock) -> None:
    one = seed_row("alice")["id"]
    data: dict[str, Any] = {"role": 'ro"le\\N\t', "format": "jsonl", "somebody": "Ω\n"}
    async with server.database.write() as db:
        await audit.record(db, Fact.USER_IMPORTED, STRANGER, clock(), subject=one, **data)
        await audit.record_many(db, Fact.USER_IMPORTED, STRANGER, clock(), [(one, data), (one, data)])
    await seal(server)
    assert await finding(server) == ""
    told = [(event.data, event.personal, event.address, event.subject_id) for event in await events(server, "user.imported")]
    assert told == [({"role": 'ro"le\\N\t', "format": "jsonl"}, {"somebody": "Ω\n"}, STRANGER.address, one)] * 3


async def test_one_that_is_there_already_is_a_clash_and_none_is_added(server: Server) -> None:
    async with server.database.write() as db:
        await add_many(db, User, [seed_row("person3")])
    with pytest.raises(Clash):
        async with server.database.write() as db:
            await add_many(db, User, rows())
    assert [row["username"] for row in await rows_of(server, "users")] == ["person3"]
    async with server.database.write() as db:  # the connection is as good as before
        await add_many(db, User, [seed_row("person4")])


async def test_another_error_is_told_as_it_is(server: Server) -> None:
    with pytest.raises(Exception, match=r"naive|no such column|NOT NULL|null value") as found:
        async with server.database.write() as db:
            await add_many(db, User, [seed_row("person5", created_at=datetime(2026, 1, 1))])  # noqa: DTZ001 -- to be refused
    assert not isinstance(found.value, Clash)


@pytest.mark.parametrize("column", [User.username, User.id, User.display_name])
async def test_among_finds_what_in_would(server: Server, column: Any) -> None:
    made = rows()
    async with server.database.write() as db:
        await add_many(db, User, made)
    async with server.database.read() as db:
        wanted = [row[column.key] for row in made[::2]]
        for values in (wanted, [*wanted, made[0]["id"] if column.key == "id" else "nobody"], wanted[:1], []):
            query = select(User.username).where(among(db, column, values))
            by_in = select(User.username).where(column.in_(values))
            assert sorted(await db.scalars(query)) == sorted(await db.scalars(by_in))
