"""People brought in from a file: how many a second, and whether memory grows with the file."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bench.accounts import stored
from bench.speed.cases.memory import MEBIBYTE
from bench.speed.cores import on
from bench.speed.figures import Goal, Row, Sample, Spread, compared, values
from bench.speed.run import Bench, Case
from bench.speed.wrk import UnmeasuredError
from tests.support.processes import ROOT, reap_if_we_die

FEW, MANY = 10_000, 100_000
LOOK_SECONDS = 0.05
LEAST_RATE, FLAT = 5_000, 1.1
SAID = re.compile(r"Added (\d+); (\d+) were there already, 0 refused")


def bringing(bench: Bench) -> list[Row]:
    """Two files into fresh databases, each a second time: the rate of the large one must be reached, memory the same."""
    few, many = min(FEW, bench.sizes.scale_users // 10), min(MANY, bench.sizes.scale_users)
    folder = bench.stand.new_folder()
    files = {count: _file(folder, count) for count in (few, many)}
    urls: dict[int, str] = {}

    def first(count: int) -> Sample:
        urls[count] = bench.stand.database("services")
        return _run(bench, urls[count], files[count], (count, 0))

    parts = {f"{count:,} people": lambda count=count: first(count) for count in (few, many)}
    rounds = bench.alternate("import", parts)
    again = _run(bench, urls[many], files[many], (0, many))
    embedded = _run(bench, bench.stand.database("embedded"), files[many], (many, 0))
    bench.said["import once more"] = [{"again": again, "embedded": embedded}]
    less, more = parts
    rate, memory = Spread.of(values(rounds, more)), f"import of {more}, most memory"
    return [
        Row(f"import of {more}, PostgreSQL", "people/s", rate, goal=Goal(">=", LEAST_RATE, "measured")),
        Row(f"import of {more}, processor time of the command for one", "µs", Spread.of(values(rounds, more, "each"))),
        compared(memory, rounds, more, less, of="peak", unit="MiB", called=f"for {few:,}", goal=Goal("<=", FLAT)),
        Row(f"the same {more} once more, PostgreSQL", "people/s", Spread.of([again["rate"]]), note="one run"),
        Row(f"import of {more}, SQLite", "people/s", Spread.of([embedded["rate"]]), note="one run"),
    ]


def _file(folder: Path, count: int) -> Path:
    """People with a hash, an address that was proved, and a name, a tenth of them with an authenticator app."""
    path, password_hash = folder / f"{count}.jsonl", stored("bcrypt/12")
    usual = {"email_verified": True, "created_at": "2024-05-06T07:08:09Z", "password_hash": password_hash}
    with path.open("w") as file:
        for number in range(count):
            name = f"person{number}"
            person = {"username": name, "email": f"{name}@example.com", "display_name": f"Person {number}", **usual}
            more = {"totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"} if number % 10 == 0 else {}
            file.write(json.dumps(person | more) + "\n")
    return path


def _run(bench: Bench, url: str, file: Path, expected: tuple[int, int]) -> Sample:
    """`python -m app users import` as a whole, from its start to its end, on the server's core."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **bench.stand.environment(url, bench.sizes.cost, None)}
    command = [sys.executable, "-m", "app", "users", "import", str(file)]
    started, peak, busy = time.perf_counter(), 0.0, 0.0
    with on(bench.stand.cores.server):
        process = subprocess.Popen(command, env=env, cwd=bench.stand.new_folder(), stdout=subprocess.PIPE, text=True)
    reap_if_we_die(process.pid)
    with process:
        while process.poll() is None:
            seen = psutil.Process(process.pid)
            peak = max(peak, seen.memory_info().rss / MEBIBYTE)
            busy = max(busy, sum(seen.cpu_times()[:2]))
            time.sleep(LOOK_SECONDS)
        said = process.stdout.read() if process.stdout else ""
    taken = time.perf_counter() - started
    found = SAID.match(said)
    if process.returncode or found is None or (int(found[1]), int(found[2])) != expected:
        raise UnmeasuredError(f"users import says {said[-200:]!r}")
    each = busy / sum(expected) * 1_000_000
    return {"rate": round(sum(expected) / taken), "peak": round(peak, 1), "seconds": round(taken, 2), "each": round(each, 1)}


CASES = (Case("import", "bringing people in", 1, bringing),)
