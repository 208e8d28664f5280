"""Searching accounts: who is found, in which order, page by page, and that no statement looks at more than a window."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.paging import CursorInvalid
from app.core.permissions import Role
from app.core.server import Server
from app.users import repository
from app.users.search import SORTS, Filters, Found, search
from tests.users.seeds import LONG_AGO, seed, seed_row

KEY = b"k" * 32
EVERYBODY = Filters(None, None, None)


async def page(server: Server, filters: Filters, sort: str = "username", cursor: str | None = None, limit: int = 25) -> Found:
    async with server.database.read() as db:
        return await search(db, KEY, filters, sort, cursor, limit)


async def walk(server: Server, filters: Filters, sort: str = "username", limit: int = 2) -> list[str]:
    """Names on every page, one after the other."""
    names: list[str] = []
    cursor = None
    for _ in range(50):
        found = await page(server, filters, sort, cursor, limit)
        assert len(found.items) <= limit
        names += [user.username for user in found.items]
        cursor = found.next_cursor
        if cursor is None:
            return names
    raise AssertionError("it never ends")


async def people(server: Server) -> None:
    await seed(
        server,
        seed_row("anna", "zoe@example.com", role="admin"),
        seed_row("annabel", "bob@example.com", email_verified_at=LONG_AGO),
        seed_row("bert", "anna@example.com", disabled_at=LONG_AGO),
        seed_row("carl", "ann.karl@example.com", role="support", disabled_at=LONG_AGO),
        seed_row("dora", "dora@example.com"),
    )


async def test_names_come_first_then_addresses_and_nobody_twice(server: Server) -> None:
    await people(server)
    for limit in (1, 2, 3, 25):
        assert await walk(server, Filters("ann", None, None), limit=limit) == ["anna", "annabel", "carl", "bert"]
    assert await walk(server, Filters("dora@", None, None)) == ["dora"]
    assert await walk(server, Filters("nobody", None, None)) == []
    for literal in ("%", "_", "a%", "ann\\", "'", "\U0010ffff", "ann\x00"[:3] + "%"):
        assert await walk(server, Filters(literal, None, None)) == []


async def test_filters_narrow_what_is_found_on_every_page(server: Server) -> None:
    await people(server)
    assert await walk(server, Filters(None, Role.ADMIN, None)) == ["anna"]
    assert await walk(server, Filters(None, Role.SUPPORT, None)) == ["carl"]
    assert await walk(server, Filters(None, Role.USER, None)) == ["annabel", "bert", "dora"]
    assert await walk(server, Filters(None, None, False), limit=1) == ["bert", "carl"]
    assert await walk(server, Filters(None, None, True), limit=1) == ["anna", "annabel", "dora"]
    assert await walk(server, Filters(None, None, None, True)) == ["annabel"]
    assert await walk(server, Filters("ann", None, False, False), limit=1) == ["carl", "bert"]
    assert await walk(server, Filters("ann", Role.AUDITOR, None)) == []


async def test_every_order_shows_everybody_once(server: Server) -> None:
    rows = [seed_row(f"p{number:02}", f"m{19 - number:02}@example.com") for number in range(20)]
    await seed(server, *rows)  # all made at one moment: the id decides
    names = {str(row["username"]) for row in rows}
    for sort in SORTS:
        found = await walk(server, EVERYBODY, sort, limit=3)
        assert (len(found), set(found)) == (20, names), sort
    assert await walk(server, EVERYBODY, "email") == sorted(names, reverse=True)
    assert await walk(server, EVERYBODY, "created_at") == list(reversed(await walk(server, EVERYBODY, "-created_at")))


async def test_a_search_that_finds_little_stops_where_its_window_ends_and_goes_on_from_there(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "WINDOW", 10)
    rows = [seed_row(f"p{number:02}", email_verified_at=LONG_AGO if number % 17 == 5 else None) for number in range(40)]
    await seed(server, *rows)
    first = await page(server, Filters(None, None, None, True))
    assert ([user.username for user in first.items], first.total, first.total_capped) == (["p05"], 1, True)
    second = await page(server, Filters(None, None, None, True), cursor=first.next_cursor)
    assert (second.items, second.total) == ([], None)
    for sort in SORTS:
        assert sorted(await walk(server, Filters(None, None, None, True), sort)) == ["p05", "p22", "p39"]
    assert await walk(server, Filters("p", None, None, True)) == ["p05", "p22", "p39"]


async def test_the_total_counts_what_matches(server: Server) -> None:
    await people(server)
    found = await page(server, Filters("ann", None, None), limit=1)
    assert (found.total, found.total_capped) == (4, False)
    assert (await page(server, Filters("nobody", None, None))).total == 0


async def test_a_cursor_is_good_for_its_search_alone(server: Server) -> None:
    await people(server)
    cursor = (await page(server, Filters("ann", None, None), limit=1)).next_cursor
    assert cursor
    for filters, sort, changed in (
        (Filters("an", None, None), "username", cursor),
        (Filters("ann", None, True), "username", cursor),
        (EVERYBODY, "email", cursor),
        (Filters("ann", None, None), "username", cursor[:-2] + "AA"),
        (Filters("ann", None, None), "username", "x"),
    ):
        with pytest.raises(CursorInvalid):
            await page(server, filters, sort, changed)


async def test_staff_and_disabled_accounts_are_found_by_indexes_of_theirs(server: Server) -> None:
    """However many others there are: the plan itself, once the database knows how many there are of each."""
    await seed(server, *[seed_row(f"many{number:05}") for number in range(3000)])
    await people(server)
    async with server.database.write() as db:
        await analyse(db)
    for filters, index in ((Filters(None, Role.SUPPORT, None), "staff"), (Filters(None, None, False), "disabled")):
        for part in repository.WALKS.values():
            async with server.database.read() as db:
                plan = await plan_of(db, repository.window(part, filters, None))
            assert f"ix_users_{index}_by_" in plan, plan


async def analyse(db: AsyncSession) -> None:
    await (await db.connection()).exec_driver_sql("ANALYZE users" if db.get_bind().dialect.name == "postgresql" else "ANALYZE")


async def plan_of(db: AsyncSession, query: object) -> str:
    dialect = db.get_bind().dialect
    text = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))  # type: ignore[attr-defined]  # a Select
    asked = "EXPLAIN" if dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    rows = (await (await db.connection()).exec_driver_sql(f"{asked} {text}")).all()
    return "\n".join(str(row) for row in rows)
