"""The command: `python -m bench.speed`."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from bench.speed.cases import CASES
from bench.speed.figures import Row
from bench.speed.run import SMOKE, Bench, Case, Sizes
from bench.speed.screen import Terminal, show
from bench.speed.stand import Stand
from bench.speed.wrk import UnmeasuredError, has_wrk


def main() -> None:
    """Measure what was asked for."""
    arguments = _arguments()
    if not has_wrk():
        sys.exit("bench: wrk is not on the PATH, so nothing is measured (Debian: apt-get install wrk)")
    sizes = SMOKE if arguments.smoke else replace(Sizes(), rounds=arguments.rounds)
    chosen = [case for case in CASES if not arguments.only or case.name in arguments.only]
    sys.exit(0 if measure(chosen, sizes) else 1)


def measure(cases: Sequence[Case], sizes: Sizes) -> bool:
    """Run the cases; whether all of them could be measured."""
    rows: list[Row] = []
    failed, done = False, 0
    with Terminal(sum(case.alternations for case in cases) * sizes.rounds) as screen, Stand(sizes.users) as stand:
        for case in cases:
            started = time.monotonic()
            screen.say(f"{case.name}: preparing")
            bench = Bench(stand, sizes, screen, {})
            try:
                rows += case.measure(bench)
            except UnmeasuredError as error:
                failed = True
                rows.append(Row(case.name, note=f"error: {error}"))
                screen.tell(f"{case.name}: {error}")
            else:
                screen.tell(f"{case.name}: measured ({time.monotonic() - started:.0f} s)")
            done += case.alternations * sizes.rounds
            screen.reach(done)
    show(rows)
    return not failed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description="How fast, and compared with what?")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each case; fewer than 5 are never quoted")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], metavar="NAME", help="these cases")
    parser.add_argument("--smoke", action="store_true", help="a little of everything: does it run, never how fast")
    return parser.parse_args()


if __name__ == "__main__":
    main()
