"""What one worker keeps in memory: at rest, and after a million requests."""

import http.client

import psutil

from bench.speed.cases.reading import ME, VERIFY
from bench.speed.figures import Goal, Row, Sample, Spread, values
from bench.speed.run import Bench, Case, check_one
from bench.speed.wrk import Feed, load
from tests.support.servers import ServerProcess

SECONDS = 10  # of one kind of request, then of the other
MEBIBYTE = 2**20


def resident(server: ServerProcess) -> float:
    """MiB of all its processes."""
    parent = psutil.Process(server.pid)
    return round(sum(each.memory_info().rss for each in [parent, *parent.children(recursive=True)]) / MEBIBYTE, 2)


def idle(bench: Bench) -> list[Row]:
    """After a start and one request, each time a new process."""
    home = bench.stand.home("services")
    feed = home.crowd.access("me", ME)

    def measure() -> Sample:
        with bench.stand.server(home) as server:
            check_one(server.port, feed, 200)
            return {"resident": resident(server)}

    rounds = bench.alternate("memory", {"idle": measure})
    return [Row("memory, idle", "MiB", Spread.of(values(rounds, "idle", "resident")), goal=Goal("<=", 140, "measured"))]


def growth(bench: Bench) -> list[Row]:
    """Between a warm-up that fills the caches and a million requests later, half me, half verify."""
    home = bench.stand.home("services")
    feeds = {200: home.crowd.access("me", ME), 204: home.crowd.access("verify", VERIFY)}
    with bench.stand.server(home) as server:
        for status, feed in feeds.items():
            check_one(server.port, feed, status)
        asked = _ask(bench, server, feeds, bench.sizes.memory_warm_up)
        before = resident(server)
        asked = _ask(bench, server, feeds, bench.sizes.memory_requests)
        _last_words(server)
        after = resident(server)
    grown = {"before": before, "after": after, "requests": asked, "grown": round(after - before, 2)}
    bench.said["memory-growth"] = [{"growth": grown}]
    what = f"memory, growth over {asked:,.0f} requests"
    return [Row(what, "MiB", Spread.of([grown["grown"]]), goal=Goal("<=", 3, "measured"), note="one run")]


def _ask(bench: Bench, server: ServerProcess, feeds: dict[int, Feed], count: int) -> int:
    asked, seconds = 0, 1 if bench.sizes.smoke else SECONDS
    while asked < count:
        for feed in feeds.values():
            bench.screen.say(f"memory: {asked:,} of {count:,} requests")
            run = load(server.port, feed, seconds)
            run.check()
            asked += run.requests
    return asked


def _last_words(server: ServerProcess) -> None:
    # One more request on a new connection: those of wrk are closed by then.
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/health/live")
    connection.getresponse().read()
    connection.close()


CASES = (
    Case("memory", "memory of a worker at rest", 1, idle),
    Case("memory-growth", "memory of a worker after a million requests", 0, growth),
)
