"""A million users beside a thousand: the same requests to two servers on two databases of one PostgreSQL, and lists."""

import http.client
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

from app.core.crypto import derive_key
from app.core.paging import read_cursor, write_cursor
from app.users.repository import Filters
from bench.speed.cases.logins import CONNECTIONS_PER_CORE
from bench.speed.cases.reading import ME, VERIFY
from bench.speed.figures import Goal, Row, Sample, Spread, compared, values
from bench.speed.populations import COST, Size, admin_seat, check_room, fill, rows_in
from bench.speed.run import Bench, Case, Part
from bench.speed.seeds import moment
from bench.speed.stand import Home
from bench.speed.wrk import CONNECTIONS, Feed, UnmeasuredError
from tests.support.servers import ServerProcess

SMALL, LARGE = "small", "large"
ENDED_EACH = 10
PAGES = 20
SECONDS = 3
Feeds = Callable[[Home], Feed]


def scale(bench: Bench) -> list[Row]:
    """Two databases, two servers; then each kind of request alternates between them."""
    sizes = {SMALL: Size(bench.sizes.scale_small, 1), LARGE: Size(bench.sizes.scale_users, ENDED_EACH)}
    check_room(bench.stand, bench.sizes.scale_users)
    with ExitStack() as open_:
        homes, servers = {}, {}
        for number, (name, size) in enumerate(sizes.items(), 1):
            bench.screen.say(
                f"scale: filling a database with {size.users:,} users, {size.users * size.ended_each:,} ended sessions"
            )
            homes[name] = fill(bench.stand, number, size)
        bench.said["scale"] = [{name: {**rows_in(home), "keys": sizes[name].users} for name, home in homes.items()}]
        for name, home in homes.items():
            servers[name] = open_.enter_context(bench.stand.server(home))
        rows = []
        for kind, feeds, status, connections in (
            ("me", lambda home: home.crowd.access("me", ME), 200, CONNECTIONS),
            ("verify", lambda home: home.crowd.access("verify", VERIFY), 204, CONNECTIONS),
            ("refresh", _refreshes(bench), 200, CONNECTIONS),
            ("login", lambda home: home.crowd.logins("logins"), 200, CONNECTIONS_PER_CORE),
        ):
            rows.append(_kind(bench, homes, servers, kind, feeds, status, connections))
        return rows + _lists(bench, homes[LARGE], servers[LARGE])


def _refreshes(bench: Bench) -> Feeds:
    return lambda home: home.crowd.refresh("refresh", home.crowd.more_seats(bench.sizes.scale_refreshes))


def _kind(
    bench: Bench,
    homes: dict[str, Home],
    servers: dict[str, ServerProcess],
    kind: str,
    feeds: Feeds,
    status: int,
    connections: int,
) -> Row:
    name, hashing = f"{kind}, many rows", f"bcrypt, cost {COST}" if kind == "login" else ""
    try:
        parts: dict[str, Part] = {}
        for each in (LARGE, SMALL):
            feed, port = feeds(homes[each]), servers[each].port
            seconds = min(SECONDS, bench.sizes.seconds)
            uses = homes[each] if feed.kind == "bearer" else None
            parts[each] = bench.loaded(port, feed, status, home=uses, seconds=seconds, connections=connections)
            bench.warm_up(name, port, feed, connections)
        rounds = bench.alternate(name, parts)
    except UnmeasuredError as error:
        return Row(name, note=f"error: {error}")
    goal = Goal("<=", 1.15)
    return compared(name, rounds, LARGE, SMALL, of="each_ms", unit="ms each", called="few rows", goal=goal, hashing=hashing)


def _lists(bench: Bench, home: Home, server: ServerProcess) -> list[Row]:
    """The page an admin sees first, and one from the middle of all accounts."""
    seat = admin_seat(home)
    token = home.crowd.tokens.write_access(seat.account, seat.session, moment())
    deep = _cursor_of_the_middle(home, server.port, token)
    parts = {"first": _pages(server.port, token, ""), "deep": _pages(server.port, token, f"?cursor={deep}")}
    for measure in parts.values():
        measure()
    rounds = bench.alternate("lists", parts)
    return [
        Row(f"GET /users, {what}, many rows", "ms", Spread.of(values(rounds, part, "p50")), goal=Goal("<=", 50, "measured"))
        for part, what in (("first", "first page"), ("deep", "page from the middle"))
    ]


def _pages(port: int, token: str, query: str) -> Part:
    def measure() -> Sample:
        taken = []
        for _ in range(PAGES):
            started = time.perf_counter()
            _page(port, token, query)
            taken.append((time.perf_counter() - started) * 1000)
        return {"p50": round(median(taken), 3), "longest": round(max(taken), 3)}

    return measure


def _page(port: int, token: str, query: str) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/users/{query}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    page: dict[str, object] = json.loads(body)
    if answer.status != 200 or not page["items"]:
        raise UnmeasuredError(f"GET /users/ answers {answer.status}")
    return page


def _cursor_of_the_middle(home: Home, port: int, token: str) -> str:
    """A cursor as the server makes them: walking there page by page would take minutes."""
    key = derive_key(home.crowd.settings.SECRET_KEY.get_secret_value(), "cursor")
    listing = f"users/created_at/{Filters(None, None, None)!r}"
    position = read_cursor(key, listing, str(_page(port, token, "?limit=1")["next_cursor"]))
    account = home.crowd.accounts[len(home.crowd.accounts) // 2]
    middle = [account.created_at.isoformat(), str(account.id)]
    if len(position) != len(middle):
        raise UnmeasuredError("cursors are made otherwise than this bench knows")
    return write_cursor(key, listing, middle)


CASES = (Case("scale", "a million users, ten million ended sessions, a million blocked", 5, scale),)
