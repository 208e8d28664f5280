"""Where does each microsecond go? `python -m bench.profile` measures, and writes docs/performance.md anew.

Two servers alternate: one as it is, whose processor time for a request is the total; and one that samples itself
(bench/speed/sampling.py), whose stages share that total. wrk drives both. Writes bench/results/profile.json.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from bench.speed.cases.logins import CHEAP_COST, CONNECTIONS_PER_CORE
from bench.speed.cases.reading import ME, VERIFY
from bench.speed.profiled import RESULTS
from bench.speed.report import write_docs
from bench.speed.results import commit
from bench.speed.seeds import freshen
from bench.speed.stages import LAST_USED, SQL, THREADS, in_microseconds
from bench.speed.stand import Home, Stand
from bench.speed.wrk import CONNECTIONS, Feed, has_wrk, load
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess

SAMPLING = Path(__file__).with_name("speed") / "sampling.py"
USERS, REFRESHES, COLD_TOKENS = 10_000, 150_000, 65_536
HOW = """The processor time of one request by stage, on the services stack. The total is the kernel's count for the process; it is
shared out by samples of the event loop's stack, one for each millisecond of processor time. A stage includes what it calls in
libraries that have no line of their own. PostgreSQL and Redis work on another core, so their time is not in it. Login is with
bcrypt at cost {cost}, so that the hash does not hide the rest."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What is asked for, and by how many at once."""

    name: str
    home: Home
    feed: Feed
    connections: int = CONNECTIONS
    only_reads: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """Microseconds of processor time of one request: the loop's thread, and all others."""

    loop: float
    others: float


def flows(stand: Stand, refreshes: int) -> list[Flow]:
    """What is looked into."""
    home, cheap, lone = stand.home("services"), stand.home("services", CHEAP_COST), stand.home("embedded")
    crowd = home.crowd
    return [
        Flow("GET /auth/me", home, crowd.access("me", ME), only_reads=True),
        Flow("GET /auth/me, tokens not seen before", home, crowd.access("me-cold", ME, COLD_TOKENS), only_reads=True),
        Flow("GET /auth/verify", home, crowd.access("verify", VERIFY), only_reads=True),
        Flow("GET /auth/me on SQLite", lone, lone.crowd.access("me", ME), only_reads=True),
        Flow("POST /auth/refresh", home, crowd.refresh("refresh", crowd.more_seats(refreshes))),
        Flow("POST /auth/login", cheap, cheap.crowd.logins("logins"), CONNECTIONS_PER_CORE),
    ]


@contextmanager
def sampled(stand: Stand, home: Home) -> Iterator[ServerProcess]:
    """The server with the sampler in it."""
    folder = stand.new_folder()
    server = ServerProcess("serve", {**home.env, "SAMPLES": str(folder / "samples.json")}, folder, launcher=SAMPLING)
    stand.start(server)
    with server:
        yield server.wait_ready()


def timed(server: ServerProcess, flow: Flow, seconds: int) -> Taken:
    """Let it work, and see how long each thread was on a core for one request."""
    freshen(flow.home.crowd.settings)
    process = psutil.Process(server.pid)
    before = _threads(process)
    run = load(server.port, flow.feed, seconds, flow.connections)
    run.check()
    after = _threads(process)
    spent = {thread: time - before.get(thread, 0.0) for thread, time in after.items()}
    loop = spent.pop(server.pid)
    return Taken(loop / run.requests * 1e6, sum(spent.values()) / run.requests * 1e6)


def _threads(process: psutil.Process) -> dict[int, float]:
    return {each.id: each.user_time + each.system_time for each in process.threads()}


def stages_of(server: ServerProcess, flow: Flow, seconds: int) -> dict[str, float]:
    """Seconds by stage while it works."""
    file = Path(server.env["SAMPLES"])
    file.unlink(missing_ok=True)
    freshen(flow.home.crowd.settings)
    psutil.Process(server.pid).send_signal(signal.SIGUSR1)
    load(server.port, flow.feed, seconds, flow.connections).check()
    psutil.Process(server.pid).send_signal(signal.SIGUSR2)
    wait_until(file.exists, "the samples are written")
    found: dict[str, float] = json.loads(file.read_text())
    return found


def profile(stand: Stand, flow: Flow, rounds: int, seconds: int) -> dict[str, object]:
    """The stages of one flow, and their total."""
    with ExitStack() as open_:
        plain = open_.enter_context(stand.server(flow.home))
        watched = open_.enter_context(sampled(stand, flow.home))
        for server in (plain, watched):
            load(server.port, flow.feed, 2, flow.connections)
        taken: list[Taken] = []
        summed: dict[str, float] = {}
        for _ in range(rounds):
            taken.append(timed(plain, flow, seconds))
            for stage, time in stages_of(watched, flow, seconds).items():
                summed[stage] = summed.get(stage, 0.0) + time
    loop, others = median(each.loop for each in taken), median(each.others for each in taken)
    if flow.only_reads and SQL in summed:
        summed[LAST_USED] = summed.pop(SQL)
    stages = in_microseconds(summed, loop)
    if others >= 1:
        stages[THREADS] = round(others, 2)
    return {"total": round(loop + others, 2), "stages": stages}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Where does each microsecond go?")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=int, default=4, metavar="N")
    parser.add_argument("--only", default="", metavar="WORDS", help="flows with these words in their name; nothing is written")
    parser.add_argument("--no-write", action="store_true", help="show it and keep the results there are")
    arguments = parser.parse_args()
    if not has_wrk():
        sys.exit("bench: wrk is not on the PATH, so nothing is measured (Debian: apt-get install wrk)")
    found: dict[str, dict[str, object]] = {}
    with Stand(USERS) as stand:
        for flow in flows(stand, REFRESHES):
            if arguments.only not in flow.name:
                continue
            found[flow.name] = profile(stand, flow, arguments.rounds, arguments.seconds)
            print(flow.name, json.dumps(found[flow.name], indent=1), sep="\n", flush=True)
    if arguments.no_write or arguments.only:
        return
    results = {
        "command": " ".join(["python -m bench.profile", *sys.argv[1:]]),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": commit(),
        "how": HOW.format(cost=CHEAP_COST),
        "flows": found,
    }
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    write_docs()


if __name__ == "__main__":
    main()
