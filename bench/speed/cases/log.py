"""The long log taken along, verified and sealed: how fast, and in how much memory, beside a tenth of it."""

import os
import re
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlencode

import psutil
import psycopg

from bench.speed.cases.memory import MEBIBYTE, resident
from bench.speed.cores import on
from bench.speed.events import Plan, append_unsealed, moment_of
from bench.speed.figures import Goal, Round, Row, Sample, Spread, compared, values
from bench.speed.looks import Admin, large
from bench.speed.run import Bench, Case
from bench.speed.wrk import UnmeasuredError
from tests.support.processes import ROOT, reap_if_we_die, wait_until
from tests.support.servers import ServerProcess

PART = 2**20
LOOKS_AT_MEMORY = 16  # parts between two
FEW, MANY = 100_000, 1_000_000
FLAT = 1.1
LONGEST_SECONDS, LOOK_SECONDS = 600, 0.1
VERIFY = [sys.executable, "-m", "app", "audit", "verify"]
WAITING = "SELECT count(*) FROM audit_events WHERE position IS NULL"


def taking_along(bench: Bench) -> list[Row]:
    """Exports of two sizes: the memory of the server must be the same."""
    found = large(bench)
    few, many = min(FEW, bench.sizes.events // 10), min(MANY, bench.sizes.events)
    with bench.stand.server(found.home) as server:
        admin = Admin(found.home, server)
        found_of: Round = {}
        for kind in ("jsonl", "csv"):
            for count in (few, many):
                bench.screen.say(f"export: {count:,} rows as {kind}")
                found_of[f"{count:,} rows as {kind}"] = export(server, admin, found.log, count, kind)
    rounds = bench.said["export"] = [found_of]
    rows: list[Row] = []
    for kind in ("jsonl", "csv"):
        less, more = f"{few:,} rows as {kind}", f"{many:,} rows as {kind}"
        goal = Goal("<=", FLAT)
        memory = f"export of {more}, most memory of the server"
        rates = [each[more]["rate"] for each in rounds]
        rows.append(compared(memory, rounds, more, less, of="peak", unit="MiB", called=f"for {few:,}", goal=goal, note="one run"))
        rows.append(Row(f"export of {more}", "rows/s", Spread.of(rates), note="one run"))
    return rows


def export(server: ServerProcess, admin: Admin, log: Plan, count: int, kind: str) -> Sample:
    """The newest rows, about so many, read to the end."""
    admin.prove()
    since = moment_of(log, log.count - count)
    started, peak, lines, parts = time.perf_counter(), resident(server), 0, 0
    answer = admin.ask(f"/audit/export?{urlencode({'format': kind, 'since': since.isoformat()})}")
    while part := answer.read(PART):
        lines += part.count(b"\n")
        parts += 1
        if parts % LOOKS_AT_MEMORY == 1:
            peak = max(peak, resident(server))
    peak = max(peak, resident(server))
    if lines < count:
        raise UnmeasuredError(f"the export has {lines:,} rows, not {count:,}")
    return {"rate": round(lines / (time.perf_counter() - started)), "peak": peak, "rows": lines}


def sealing(bench: Bench) -> list[Row]:
    """Rows that wait, sealed by the server's own worker."""
    found, count = large(bench), bench.sizes.unsealed
    with psycopg.connect(found.log.url, autocommit=True) as connection, bench.stand.server(found.home):
        wait_until(lambda: _waiting(connection) == 0, "nothing waits for its seal", LONGEST_SECONDS)

        def measure() -> Sample:
            append_unsealed(found.log, found.log.count, count)
            before, started = _waiting(connection), time.perf_counter()
            wait_until(lambda: _waiting(connection) == 0, "all rows are sealed", LONGEST_SECONDS)
            return {"rate": round(before / (time.perf_counter() - started)), "rows": before}

        rounds = bench.alternate("sealing", {"sealed": measure})
    return [Row("sealing", "rows/s", Spread.of(values(rounds, "sealed")))]


def _waiting(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(WAITING).fetchone()
    return int(row[0]) if row else 0


def verifying(bench: Bench) -> list[Row]:
    """`python -m app audit verify` of all there is, on the server's core."""
    found = large(bench)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **found.home.env}
    bench.screen.say(f"audit verify: {found.log.count:,} rows")
    started = time.perf_counter()
    with on(bench.stand.cores.server):
        process = subprocess.Popen(VERIFY, env=env, cwd=bench.stand.new_folder(), stdout=subprocess.PIPE, text=True)
    reap_if_we_die(process.pid)
    peak = 0.0
    with process:
        while process.poll() is None:
            peak = max(peak, psutil.Process(process.pid).memory_info().rss / MEBIBYTE)
            time.sleep(LOOK_SECONDS)
        said = process.stdout.read() if process.stdout else ""
    taken = time.perf_counter() - started
    verified = re.search(r"Verified (\d+) rows", said)
    if process.returncode or verified is None or int(verified[1]) < found.log.count:
        raise UnmeasuredError(f"audit verify says {said[-200:]!r}")
    count = int(verified[1])
    bench.said["verify"] = [{"verify": {"rows": count, "seconds": round(taken, 1), "peak": round(peak, 1)}}]
    return [
        Row(f"audit verify of {count:,} rows", "rows/s", Spread.of([count / taken]), note="one run"),
        Row(f"audit verify of {count:,} rows, most memory", "MiB", Spread.of([peak]), note="one run"),
    ]


CASES = (
    Case("export", "the log taken along", 0, taking_along),
    Case("sealing", "rows of the log sealed", 1, sealing),
    Case("audit-verify", "the log verified", 0, verifying),
)
