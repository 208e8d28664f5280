"""What metrics cost: GET /auth/me while nothing is counted, as it is, and while somebody scrapes once a second."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import psutil

from bench.speed.cases.reading import ME
from bench.speed.figures import Row, Sample, Spread, compared, values
from bench.speed.run import Bench, Case, Part
from bench.speed.stand import Home
from bench.speed.wrk import Feed
from tests.support.processes import free_port
from tests.support.servers import ServerProcess

UNCOUNTED = Path(__file__).parents[1] / "uncounted.py"
NOTHING = "nothing counted"
EVERY_SECONDS = 1.0
SECONDS = 1  # of a round: many short ones (--rounds 40), since the difference is smaller than what a machine does meanwhile


def with_cpu(server: ServerProcess, load: Part) -> Part:
    """The same load, and the processor's time that the server took for a request: other programs blur it less than the rate."""

    def measure() -> Sample:
        process = psutil.Process(server.pid)
        before = sum(process.cpu_times()[:2])
        found = load()
        return {**found, "cpu": 1e6 * (sum(process.cpu_times()[:2]) - before) / found["requests"]}

    return measure


def scraped(port: int, load: Part) -> Part:
    """The same load, with a scrape each second; how long one took and how long it was."""

    def measure() -> Sample:
        took: list[float] = []
        sizes: list[int] = []
        over = threading.Event()

        def scrape() -> None:
            while not over.wait(EVERY_SECONDS if took else 0.0):
                began = perf_counter()
                sizes.append(_size(port))
                took.append(1000 * (perf_counter() - began))

        scraper = threading.Thread(target=scrape)
        scraper.start()
        try:
            found = load()
        finally:
            over.set()
            scraper.join()
        return {**found, "scrape": round(median(took), 2), "kib": round(median(sizes) / 1024, 1)}

    return measure


def _size(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return len(connection.getresponse().read())
    finally:
        connection.close()


@contextmanager
def _server(bench: Bench, home: Home, launcher: Path | None, **more: str) -> Iterator[ServerProcess]:
    server = ServerProcess("serve", home.env | more, bench.stand.new_folder(), launcher=launcher)
    try:
        bench.stand.start(server)
        yield server.wait_ready()
    finally:
        server.kill()


def counting(bench: Bench) -> list[Row]:
    """Three servers on one core; one of them at a time has something to do."""
    home = bench.stand.home("services")
    feed: Feed = home.crowd.access("metrics", ME)
    port = free_port()
    counted, with_scrapes = "me, counted", "me, counted and scraped each second"
    with ExitStack() as open_:
        plain = open_.enter_context(_server(bench, home, UNCOUNTED))
        usual = open_.enter_context(_server(bench, home, None))
        asked = open_.enter_context(_server(bench, home, None, METRICS_PORT=str(port)))
        for server in (plain, usual, asked):
            bench.warm_up("metrics", server.port, feed)
        parts = {
            NOTHING: with_cpu(plain, bench.loaded(plain.port, feed, home=home, seconds=SECONDS)),
            counted: with_cpu(usual, bench.loaded(usual.port, feed, home=home, seconds=SECONDS)),
            with_scrapes: with_cpu(asked, scraped(port, bench.loaded(asked.port, feed, home=home, seconds=SECONDS))),
        }
        rounds = bench.alternate("metrics", parts)
    rows = [compared(name, rounds, name, NOTHING) for name in (counted, with_scrapes)]
    rows += [compared(f"{name}, CPU", rounds, name, NOTHING, of="cpu", unit="µs each") for name in (counted, with_scrapes)]
    rows += [compared(f"{name}, p99", rounds, name, NOTHING, of="p99", unit="ms") for name in (counted, with_scrapes)]
    size = f"{median(values(rounds, with_scrapes, 'kib')):.0f} KiB"
    return [*rows, Row("a scrape", "ms", Spread.of(values(rounds, with_scrapes, "scrape")), note=f"under this load; {size}")]


CASES = (Case("metrics", "What metrics cost: GET /auth/me", 1, counting),)
