"""Refreshing a pair of tokens, beside what it can't do without: one UPDATE with its commit, and answering at all."""

from contextlib import ExitStack

from bench.speed.cases.reading import ROUTE
from bench.speed.figures import Goal, Row, Sample, Spread, ratios, values
from bench.speed.run import Bench, Case
from bench.speed.yardsticks import UPDATES

UPDATE, FLOOR = "one UPDATE with its commit", "UPDATE + route"


def refresh(bench: Bench) -> list[Row]:
    """Each token is spent once; the floor is the time of one UPDATE and of one empty answer, added."""
    home = bench.stand.home("services")
    seats = home.crowd.more_seats(bench.sizes.refreshes)
    feed = home.crowd.refresh("refresh", seats)
    ids = [seat.session.id.hex for seat in home.crowd.seats]
    with ExitStack() as open_:
        server = open_.enter_context(bench.stand.server(home))
        route = open_.enter_context(bench.stand.plain("yardstick"))
        shown = home.crowd.access("refresh-route", "/me")

        def update() -> Sample:
            return bench.yardstick(UPDATES, {"url": home.env["DATABASE_URL"], "ids": ids})

        bench.warm_up("refresh", server.port, feed)
        bench.warm_up("refresh", route.port, shown)
        rounds = bench.alternate(
            "refresh",
            {"refresh": bench.loaded(server.port, feed), UPDATE: update, ROUTE: bench.loaded(route.port, shown)},
        )
    for each in rounds:
        each[FLOOR] = {"rate": round(1 / (1 / each[UPDATE]["rate"] + 1 / each[ROUTE]["rate"]), 1)}
    return [
        Row(
            "refresh",
            "requests/s",
            Spread.of(values(rounds, "refresh")),
            FLOOR,
            Spread.of(values(rounds, FLOOR)),
            Spread.of(ratios(rounds, "refresh", FLOOR)),
            Goal(">=", 0.8),
        ),
        Row(UPDATE, "rows/s", Spread.of(values(rounds, UPDATE)), note="psycopg alone, no server, on the server's core"),
        Row("refresh, p99", "ms", Spread.of(values(rounds, "refresh", "p99"))),
    ]


CASES = (Case("refresh", "POST /auth/refresh", 1, refresh),)
