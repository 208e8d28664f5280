"""A run: how many rounds of how many seconds, on which stand; and the alternation that every case is measured by."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bench.speed.cores import Busy, on
from bench.speed.figures import Round, Row, Sample
from bench.speed.seeds import freshen
from bench.speed.stand import Home, Stand
from bench.speed.wrk import CONNECTIONS, Feed, UnmeasuredError, load
from tests.support.processes import ROOT

MOST_WARM_UPS = 10
Part = Callable[[], Sample]


class Screen(Protocol):
    """Where progress is shown."""

    def say(self, what: str) -> None:
        """What is being done now."""
        ...

    def advance(self) -> None:
        """One round more is done."""
        ...


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured; a smoke run is a little of everything."""

    rounds: int = 5
    seconds: int = 5
    aside_seconds: float = 5  # of yardsticks that are no servers
    users: int = 10_000
    cold_tokens: int = 65_536  # four times what the server remembers
    refreshes: int = 180_000
    memory_requests: int = 1_000_000
    memory_warm_up: int = 300_000  # both feeds twice: only then has what is remembered of signatures been replaced throughout
    scale_users: int = 1_000_000
    scale_small: int = 1_000
    scale_refreshes: int = 90_000
    events: int = 10_000_000
    looks: int = 10  # at each page in a round
    unsealed: int = 10_000
    login_seconds: float = 10
    settle_seconds: float = 2  # until as many logins end as begin
    cost: int = 12
    smoke: bool = False


SMOKE = Sizes(
    rounds=1,
    seconds=1,
    aside_seconds=0.3,
    users=200,
    cold_tokens=2_000,
    refreshes=8_000,
    memory_requests=1_000,
    memory_warm_up=0,
    scale_users=1_000,
    scale_small=100,
    scale_refreshes=6_000,
    events=3_000,
    looks=1,
    unsealed=500,
    login_seconds=0.5,
    settle_seconds=0.3,
    cost=10,
    smoke=True,
)


@dataclass
class Bench:
    """What a case gets."""

    stand: Stand
    sizes: Sizes
    screen: Screen
    said: dict[str, list[Round]]  # every number of every round, for the results

    def alternate(self, name: str, parts: Mapping[str, Part]) -> list[Round]:
        """Measure all parts in each round, in the opposite order each time, so that neither gains by coming first."""
        rounds: list[Round] = []
        for number in range(self.sizes.rounds):
            names = list(parts)[:: 1 if number % 2 == 0 else -1]
            done: Round = {}
            for each in names:
                self.screen.say(f"{name}: {each}, round {number + 1} of {self.sizes.rounds}")
                done[each] = parts[each]()
            rounds.append({each: done[each] for each in parts})
            self.screen.advance()
        self.said[name] = rounds
        return rounds

    def loaded(
        self,
        port: int,
        feed: Feed,
        status: int = 200,
        *,
        home: Home | None = None,
        seconds: int | None = None,
        connections: int = CONNECTIONS,
    ) -> Part:
        """A part: so many seconds of wrk, every answer of which must be good. `home` is whose sessions are used.

        In a smoke run, once for each path of a server and number of tokens.
        """

        def measure() -> Sample:
            check_one(port, feed, status)
            if (port, feed.path, feed.count) in self.stand.asked:
                return self.stand.asked[port, feed.path, feed.count]
            if home is not None:
                freshen(home.crowd.settings)
            busy = Busy.now()
            run = load(port, feed, seconds or self.sizes.seconds, connections)
            run.check()
            cores = self.stand.cores
            found = {
                "rate": round(run.rate, 1),
                "each_ms": 1000 / run.rate,
                "requests": run.requests,
                "p50": run.p50,
                "p90": run.p90,
                "p99": run.p99,
                "longest": run.longest,
                "server_core": busy.share(cores.server),
                "load_core": busy.share(cores.load),
            }
            if self.stand.lasting:
                self.stand.asked[port, feed.path, feed.count] = found
            return found

        return measure

    def yardstick(
        self, name: str, task: dict[str, Any], *, cores: Collection[int] | None = None, seconds: float | None = None
    ) -> Sample:
        """Run one of yardsticks.py on the server's core (or those named) and read what it found."""
        file = self.stand.new_folder() / "task.json"
        file.write_text(json.dumps({**task, "seconds": seconds or self.sizes.aside_seconds}))
        command = [sys.executable, "-m", "bench.speed.yardsticks", name, str(file)]
        with on(cores or self.stand.cores.server):
            ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found: Sample = json.loads(ended.stdout)
        return found

    def warm_up(self, name: str, port: int, feed: Feed, connections: int = CONNECTIONS) -> None:
        """Until every line was used once, or it has taken long enough; a smoke run has no time for it."""
        if self.sizes.smoke:
            return
        self.screen.say(f"{name}: warming up")
        asked = 0
        for _ in range(1 if not feed.repeats or feed.kind == "json" else MOST_WARM_UPS):
            run = load(port, feed, 1, connections)
            asked += run.requests
            if asked >= feed.count or run.refused or run.errors:
                return


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure: a name for the command line, how often it alternates, and how it is done."""

    name: str
    title: str
    alternations: int
    measure: Callable[[Bench], list[Row]]


def check_one(port: int, feed: Feed, status: int) -> int:
    """Ask once, by the next line of a feed that repeats; the body's length.

    Raises:
        UnmeasuredError: the answer has another status.
    """
    if not feed.repeats:
        return 0
    with feed.file.open() as lines:
        line = next(lines).strip()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        bearer = feed.kind == "bearer"
        headers = {"Authorization": f"Bearer {line}"} if bearer else {"Content-Type": "application/json"}
        connection.request(feed.method, feed.path, None if bearer else line, headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != status:
        raise UnmeasuredError(f"{feed.method} {feed.path} answers {answer.status}, not {status}")
    return len(body)
