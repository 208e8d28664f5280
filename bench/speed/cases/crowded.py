"""Do others feel it when people log in? GET /auth/me while 16 connections log in without end, and right after."""

import time
from collections.abc import Collection

from bench.speed.cases.reading import ME
from bench.speed.figures import Goal, Row, Sample, Spread, compared, values
from bench.speed.people import logging_in
from bench.speed.run import Bench, Case, Part
from bench.speed.seeds import freshen
from bench.speed.stand import Home
from bench.speed.wrk import Feed, load
from tests.support.servers import ServerProcess

LOGINS = 16
AFTER_SECONDS = 1.0
IDLE = "idle"


def crowded(bench: Bench, server: ServerProcess, feed: Feed, bodies: Feed, home: Home) -> Part:
    """The p99 while people log in, and of the second that begins one second after the last of them went away."""

    def measure() -> Sample:
        with logging_in(bench.stand, server.port, bodies, LOGINS) as people:
            time.sleep(bench.sizes.settle_seconds)
            freshen(home.crowd.settings)
            begins = time.monotonic()
            run = load(server.port, feed, bench.sizes.seconds)
            ends = time.monotonic()
            seen = people.stop()
        run.check()
        bodies.position += len(seen.good) + LOGINS
        time.sleep(min(AFTER_SECONDS, bench.sizes.settle_seconds))
        freshen(home.crowd.settings)
        after = load(server.port, feed, 1)
        after.check()
        return {
            "p99": run.p99,
            "rate": round(run.rate, 1),
            "longest": run.longest,
            "after": after.p99,
            "logins": round(seen.rate(begins, ends), 2),
            "shed": seen.shed,
        }

    return measure


def beside_logins(bench: Bench, where: str, cores: Collection[int]) -> list[Row]:
    """The same server with and without them."""
    home = bench.stand.home("services")
    feed, bodies = home.crowd.access("me", ME), home.crowd.logins("crowd")
    name = f"me while 16 log in, {where}"
    with bench.stand.server(home, cores) as server:
        bench.warm_up(name, server.port, feed)
        parts = {IDLE: bench.loaded(server.port, feed, home=home), name: crowded(bench, server, feed, bodies, home)}
        rounds = bench.alternate(name, parts)
    for each in rounds:
        each["after"] = {"p99": each[name]["after"]}
    hashing = f"bcrypt, cost {home.cost}"
    called = "its own, idle"
    words = "server on both cores" if len(cores) > 1 else "server on its core alone"
    return [
        compared(
            f"{name}: p99",
            rounds,
            name,
            IDLE,
            of="p99",
            unit="ms",
            called=called,
            goal=Goal("<=", 2.0),
            hashing=hashing,
            note=words,
        ),
        compared(
            f"{name}: p99 a second after",
            rounds,
            "after",
            IDLE,
            of="p99",
            unit="ms",
            called=called,
            goal=Goal("<=", 1.3),
            hashing=hashing,
        ),
        compared(f"{name}: me", rounds, name, IDLE, called=called, hashing=hashing),
        Row(f"{name}: logins", "logins/s", Spread.of(values(rounds, name, "logins")), hashing=hashing),
        Row(f"{name}: logins shed", "a round", Spread.of(values(rounds, name, "shed")), hashing=hashing),
    ]


def one_core(bench: Bench) -> list[Row]:
    """Hashes and answers share the server's core."""
    return beside_logins(bench, "one core", bench.stand.cores.server)


def both_cores(bench: Bench) -> list[Row]:
    """Hashes and answers share both cores with everything else."""
    return beside_logins(bench, "both cores", bench.stand.cores.both)


CASES = (
    Case("crowded", "GET /auth/me while 16 connections log in, server on one core", 1, one_core),
    Case("crowded-both", "GET /auth/me while 16 connections log in, server on both cores", 1, both_cores),
)
