"""Logging in, beside raw bcrypt: as many logins as hashes? And what a login costs beside its hash."""

import time
from collections.abc import Collection

import psutil

from bench.speed.figures import Goal, Round, Row, Sample, Spread, compared, values
from bench.speed.people import logging_in
from bench.speed.run import Bench, Case, Part
from bench.speed.seeds import PASSWORD, hash_of
from bench.speed.stand import Home
from bench.speed.wrk import Feed, load
from bench.speed.yardsticks import HASHES
from tests.support.servers import ServerProcess

RAW = "bcrypt.checkpw"
CHEAP_COST = 4
CONNECTIONS_PER_CORE = 4  # keep each hashing thread busy, and shed nobody


def raw(bench: Bench, cost: int, cores: Collection[int], seconds: float) -> Part:
    """Hashes alone, on as many threads as there are cores."""

    def measure() -> Sample:
        more = {"password": PASSWORD, "hash": hash_of(cost), "threads": len(cores)}
        return bench.yardstick(HASHES, more, cores=cores, seconds=seconds)

    return measure


def logins(bench: Bench, server: ServerProcess, feed: Feed, connections: int) -> Part:
    """Logins answered by 200, a second."""

    def measure() -> Sample:
        with logging_in(bench.stand, server.port, feed, connections) as people:
            time.sleep(bench.sizes.settle_seconds)
            begins = time.monotonic()
            time.sleep(bench.sizes.login_seconds)
            ends = time.monotonic()
            seen = people.stop()
        feed.position += len(seen.good) + connections
        return {"rate": round(seen.rate(begins, ends), 3), "shed": seen.shed}

    return measure


def throughput(bench: Bench, name: str, cores: Collection[int], goal: Goal) -> list[Row]:
    """Logins a second on these cores, beside raw hashes a second on them."""
    home = bench.stand.home("services")
    feed = home.crowd.logins("logins")
    with bench.stand.server(home, cores) as server:
        parts = {
            name: logins(bench, server, feed, CONNECTIONS_PER_CORE * len(cores)),
            RAW: raw(bench, home.cost, cores, bench.sizes.login_seconds),
        }
        bench.warm_up(name, server.port, feed, CONNECTIONS_PER_CORE * len(cores))
        rounds = bench.alternate(name, parts)
    called = f"{RAW}, {threads(len(cores))}"
    return [compared(name, rounds, name, RAW, unit="logins/s", called=called, goal=goal, hashing=f"bcrypt, cost {home.cost}")]


def threads(count: int) -> str:
    """In words."""
    return "1 thread" if count == 1 else f"{count} threads"


def on_both_cores(bench: Bench) -> list[Row]:
    """Server on both cores, with everything else."""
    cores = bench.stand.cores.both
    return throughput(bench, "login, both cores", cores, Goal(">=", 0.92))


def on_one_core(bench: Bench) -> list[Row]:
    """Server on its core alone."""
    return throughput(bench, "login, one core", bench.stand.cores.server, Goal(">=", 0.95))


def beside_the_hash(bench: Bench) -> list[Row]:
    """Processor time of the server for a login, without that of one check of a password, where it shows best."""
    home = bench.stand.home("services", CHEAP_COST)
    feed = home.crowd.logins("logins")
    name = "login, CPU beside the hash"
    with bench.stand.server(home) as server:
        bench.warm_up(name, server.port, feed, CONNECTIONS_PER_CORE)
        parts = {name: timed(bench, server, feed, home), RAW: raw(bench, home.cost, bench.stand.cores.server, 1.0)}
        rounds = bench.alternate(name, parts)
    rest = [each[name]["cpu_ms"] - each[RAW]["cpu_ms"] for each in rounds]
    hashing = f"bcrypt, cost {home.cost}"
    return [
        Row(
            name,
            "ms",
            Spread.of(rest),
            f"{RAW}, CPU",
            Spread.of(values(rounds, RAW, "cpu_ms")),
            goal=Goal("<=", 1.5, "measured"),
            hashing=hashing,
        ),
        rate_row(rounds, name, hashing),
    ]


def rate_row(rounds: list[Round], name: str, hashing: str) -> Row:
    """How many there were, for information."""
    return Row("login, cheapest hash", "logins/s", Spread.of(values(rounds, name)), hashing=hashing)


def timed(bench: Bench, server: ServerProcess, feed: Feed, home: Home) -> Part:
    """Logins by wrk, with the processor time that all threads of the server took for each."""

    def measure() -> Sample:
        process = psutil.Process(server.pid)
        before = process.cpu_times()
        run = load(server.port, feed, bench.sizes.seconds, CONNECTIONS_PER_CORE)
        after = process.cpu_times()
        run.check()
        taken = after.user + after.system - before.user - before.system
        return {"rate": round(run.rate, 1), "cpu_ms": round(taken / run.requests * 1000, 4), "p99": run.p99, "cost": home.cost}

    return measure


CASES = (
    Case("login", "POST /auth/login on both cores", 1, on_both_cores),
    Case("login-one", "POST /auth/login on one core", 1, on_one_core),
    Case("login-cpu", "POST /auth/login beside its hash", 1, beside_the_hash),
)
