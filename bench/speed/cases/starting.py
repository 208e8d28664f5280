"""From starting the process to its first answer."""

import http.client
import time

from bench.speed.figures import Goal, Row, Sample, Spread, compared, values
from bench.speed.run import Bench, Case, Part
from bench.speed.wrk import UnmeasuredError
from tests.support.servers import ServerProcess

READY, ROUTE = "/health/ready", "FastAPI route"
LONGEST_SECONDS, LOOK_SECONDS = 60.0, 0.001


def first_answer(server: ServerProcess, path: str) -> float:
    """Seconds from now, just after it was started, to the first 200.

    Raises:
        UnmeasuredError: it takes too long.
    """
    started = time.perf_counter()
    while time.perf_counter() - started < LONGEST_SECONDS:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONGEST_SECONDS)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return time.perf_counter() - started
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(LOOK_SECONDS)
    raise UnmeasuredError(f"no 200 from {path} within {LONGEST_SECONDS:.0f} s")


def start_of_server(bench: Bench, stack: str) -> Part:
    """The server on a stack's database, whose tables are there."""
    home = bench.stand.home(stack)

    def measure() -> Sample:
        with bench.stand.unstarted(home) as server:
            return _timed(bench, server, READY)

    return measure


def start_of_route(bench: Bench) -> Part:
    """The FastAPI yardstick."""

    def measure() -> Sample:
        with bench.stand.unstarted_plain("yardstick") as server:
            return _timed(bench, server, "/me")

    return measure


def _timed(bench: Bench, server: ServerProcess, path: str) -> Sample:
    began = time.perf_counter()
    bench.stand.start(server)
    started = time.perf_counter() - began
    return {"seconds": round(started + first_answer(server, path), 4)}


def start(bench: Bench) -> list[Row]:
    """Both stacks, beside the route; everything has been read from disk once before."""
    parts = {stack: start_of_server(bench, stack) for stack in ("services", "embedded")} | {ROUTE: start_of_route(bench)}
    if not bench.sizes.smoke:
        for measure in parts.values():
            measure()
    rounds = bench.alternate("start", parts)
    rows = []
    for stack in ("services", "embedded"):
        name = f"start to first answer, {stack}"
        rows.append(Row(name, "s", Spread.of(values(rounds, stack, "seconds")), goal=Goal("<=", 2.0, "measured")))
        rows.append(compared(f"{name}, compared", rounds, stack, ROUTE, of="seconds", unit="s", goal=Goal("<=", 4.0)))
    return rows


CASES = (Case("start", "start to first answer", 1, start),)
