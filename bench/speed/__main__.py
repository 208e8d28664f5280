"""The command: `python -m bench.speed`."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from bench.speed.cases import CASES
from bench.speed.cores import Busy
from bench.speed.figures import Row
from bench.speed.report import DOCS, write_docs
from bench.speed.results import LEAST_ROUNDS, RESULTS, Found, save, stored
from bench.speed.run import SMOKE, Bench, Case, Sizes
from bench.speed.screen import Terminal, show
from bench.speed.stand import Stand
from bench.speed.wrk import UnmeasuredError, has_wrk

LOOK_SECONDS, TOO_BUSY = 1.0, 0.05
ORDER = [case.name for case in CASES]


def main() -> None:
    """Measure what was asked for."""
    arguments = _arguments()
    if arguments.docs:
        write_docs()
        print(f"Wrote {DOCS}")
        return
    if not has_wrk():
        sys.exit("bench: wrk is not on the PATH, so nothing is measured (Debian: apt-get install wrk)")
    sizes = SMOKE if arguments.smoke else _sizes(arguments)
    chosen = [case for case in CASES if not arguments.only or case.name in arguments.only]
    keeps = not arguments.smoke and sizes.rounds >= LEAST_ROUNDS and (arguments.save or not arguments.only)
    found = measure(chosen, sizes, keeps=keeps)
    rows = [row for each in found for row in each.rows]
    if not arguments.smoke:
        show(rows)
    if keeps:
        write_docs()
        print(f"Wrote {RESULTS} and {DOCS}")
    sys.exit(1 if any(_failed(row) for row in rows) else 0)


def measure(cases: Sequence[Case], sizes: Sizes, *, keeps: bool) -> list[Found]:
    """Run the cases; each goes into the results as soon as it is measured, if they are kept."""
    found: list[Found] = []
    done = 0
    rounds = sum(case.alternations for case in cases) * sizes.rounds
    with Terminal(rounds) as screen, Stand(sizes.users, sizes.cost, lasting=sizes.smoke) as stand:
        for case in cases:
            screen.say(f"{case.name}: preparing")
            others = 0.0 if sizes.smoke else _others(stand)
            if others > TOO_BUSY:
                screen.tell(f"{case.name}: other programs take {others:.0%} of the cores, so the figures are worth little")
            started = time.monotonic()
            bench = Bench(stand, sizes, screen, {})
            rows = _rows(bench, case)
            taken = time.monotonic() - started
            found.append(Found(case.name, case.title, rows, bench.said, taken, len(stand.cores.usable), others))
            screen.tell(f"{case.name}: {'; '.join(row.note for row in rows if _failed(row)) or 'measured'} ({taken:.0f} s)")
            done += case.alternations * sizes.rounds
            screen.reach(done)
            if keeps and not any(map(_failed, rows)):
                save(case.name, stored(found[-1], sizes, " ".join(["python -m bench.speed", *sys.argv[1:]])), ORDER)
    return found


def _sizes(arguments: argparse.Namespace) -> Sizes:
    return replace(Sizes(), rounds=arguments.rounds, scale_users=arguments.scale_users, events=arguments.events)


def _others(stand: Stand) -> float:
    """How busy the cores are while nothing of ours has anything to do."""
    busy = Busy.now()
    time.sleep(LOOK_SECONDS)
    return busy.share(stand.cores.usable)


def _rows(bench: Bench, case: Case) -> list[Row]:
    try:
        return case.measure(bench)
    except UnmeasuredError as error:
        return [Row(case.name, note=f"error: {error}")]


def _failed(row: Row) -> bool:
    return row.note.startswith("error:")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description="How fast, and compared with what?")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, metavar="N", help="of each case; fewer than 5 are not kept")
    parser.add_argument("--only", nargs="+", choices=ORDER, metavar="NAME", help=f"these cases: {', '.join(ORDER)}")
    parser.add_argument("--save", action="store_true", help="keep what --only measures beside the results there are")
    parser.add_argument("--scale-users", type=int, default=1_000_000, metavar="N", help="size of the large database")
    parser.add_argument("--events", type=int, default=Sizes().events, metavar="N", help="length of the long audit log")
    parser.add_argument("--smoke", action="store_true", help="a little of everything: does it run, never how fast")
    parser.add_argument("--docs", action="store_true", help="only write docs/performance.md from the results there are")
    return parser.parse_args()


if __name__ == "__main__":
    main()
