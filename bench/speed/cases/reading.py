"""Checks of a token: me and verify, warm and cold, on both stacks, beside a FastAPI route that checks nothing."""

from contextlib import ExitStack

from bench.speed.figures import Goal, Row, Sample, Spread, compared, values
from bench.speed.run import Bench, Case, Part, check_one
from bench.speed.wrk import Feed, UnmeasuredError
from bench.speed.yardsticks import SELECTS

ROUTE, BARE, HEADERS = "FastAPI route", "bare ASGI", "its headers alone"
MODULES = {BARE: "bare", HEADERS: "headers"}
ME, VERIFY = "/auth/me", "/auth/verify"


def reading(bench: Bench, name: str, feed: Feed, *, stack: str, status: int = 200, more: tuple[str, ...] = ()) -> list[Row]:
    """Requests a second and their p99 for one feed, compared with the route; `more` are yardsticks for information."""
    with ExitStack() as open_:
        home = bench.stand.home(stack)
        server = open_.enter_context(bench.stand.server(home))
        route = open_.enter_context(bench.stand.plain("yardstick"))
        same = Feed(feed.file, feed.count, "bearer", "GET", "/me")
        if feed.path == ME and check_one(server.port, feed, 200) != check_one(route.port, same, 200):
            raise UnmeasuredError("the yardstick's JSON is not as long as the server's")
        parts: dict[str, Part] = {
            name: bench.loaded(server.port, feed, status, home=home),
            ROUTE: bench.loaded(route.port, same),
        }
        for each in more:
            if each in MODULES:
                plain, asked = open_.enter_context(bench.stand.plain(MODULES[each])), feed if each == HEADERS else same
                parts[each] = bench.loaded(plain.port, asked, status if each == HEADERS else 200)
                bench.warm_up(name, plain.port, asked)
        if SELECTS in more:
            parts[SELECTS] = selects(bench)
        bench.warm_up(name, route.port, same)
        bench.warm_up(name, server.port, feed)
        rounds = bench.alternate(name, parts)
    rows = [compared(name, rounds, name, ROUTE), compared(f"{name}, p99", rounds, name, ROUTE, of="p99", unit="ms")]
    rows += [compared(f"{name} beside {each}", rounds, name, each) for each in more if each in MODULES]
    if HEADERS in more:
        rows.append(compared("those headers, and nothing done for them", rounds, HEADERS, ROUTE))
    if SELECTS in more:
        for of, how in (("rate", "one row a statement"), ("batched", "32 rows a statement")):
            found = Spread.of(values(rounds, SELECTS, of))
            rows.append(Row(f"primary-key SELECT, {how}", "rows/s", found, note="psycopg alone, no server, on the server's core"))
    return rows


def selects(bench: Bench) -> Part:
    """The rows that a process on the server's core gets by primary key, asked one by one and many at once."""
    home = bench.stand.home("services")
    ids = [seat.session.id.hex for seat in home.crowd.seats]

    def measure() -> Sample:
        return bench.yardstick(SELECTS, {"url": home.env["DATABASE_URL"], "ids": ids})

    return measure


def with_goals(rows: list[Row], *goals: Goal | None) -> list[Row]:
    """The first rows with what they must reach."""
    judged = [
        Row(row.what, row.unit, row.measured, row.yardstick, row.against, row.ratio, goal, row.note)
        for row, goal in zip(rows, goals, strict=False)
    ]
    return judged + rows[len(judged) :]


def me(bench: Bench) -> list[Row]:
    """Services, every token seen before."""
    feed = bench.stand.home("services").crowd.access("me", ME)
    rows = reading(bench, "me", feed, stack="services", more=(BARE, SELECTS))
    return with_goals(rows, Goal(">=", 1.0), Goal("<=", 1.3))


def me_cold(bench: Bench) -> list[Row]:
    """Services, no token seen before (or so long ago that it is forgotten)."""
    feed = bench.stand.home("services").crowd.access("me-cold", ME, bench.sizes.cold_tokens)
    return reading(bench, "me, cold", feed, stack="services")


def verify(bench: Bench) -> list[Row]:
    """For gateways: 204 and headers."""
    feed = bench.stand.home("services").crowd.access("verify", VERIFY)
    rows = reading(bench, "verify", feed, stack="services", status=204, more=(HEADERS,))
    return with_goals(rows, Goal(">=", 1.7))


def verify_cold(bench: Bench) -> list[Row]:
    """The same, no token seen before."""
    feed = bench.stand.home("services").crowd.access("verify-cold", VERIFY, bench.sizes.cold_tokens)
    return reading(bench, "verify, cold", feed, stack="services", status=204)


def embedded(bench: Bench) -> list[Row]:
    """SQLite alone."""
    feed = bench.stand.home("embedded").crowd.access("me", ME)
    return with_goals(reading(bench, "me, embedded", feed, stack="embedded"), Goal(">=", 1.0))


def embedded_cold(bench: Bench) -> list[Row]:
    """SQLite alone, no token seen before."""
    feed = bench.stand.home("embedded").crowd.access("me-cold", ME, bench.sizes.cold_tokens)
    return reading(bench, "me, embedded, cold", feed, stack="embedded")


CASES = (
    Case("me", "GET /auth/me", 1, me),
    Case("me-cold", "GET /auth/me, tokens not seen before", 1, me_cold),
    Case("verify", "GET /auth/verify", 1, verify),
    Case("verify-cold", "GET /auth/verify, tokens not seen before", 1, verify_cold),
    Case("embedded", "GET /auth/me on SQLite", 1, embedded),
    Case("embedded-cold", "GET /auth/me on SQLite, tokens not seen before", 1, embedded_cold),
)
