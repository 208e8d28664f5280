"""The part of the document that says where each microsecond goes, out of bench/results/profile.json."""

import json
from pathlib import Path
from typing import Any

from bench.speed.svg import Stack, stacks
from tests.support.processes import ROOT

RESULTS = ROOT / "bench" / "results" / "profile.json"
TEXT = """## Where each microsecond goes

{how}

{chart}

{tables}

`{command}`, {date}, commit {commit}.

"""


def section(images: Path, file: Path) -> str:
    """Nothing, if it was not measured."""
    if not file.exists():
        return ""
    found = json.loads(file.read_text())
    flows = found["flows"]
    title = "Microseconds of the server's core for one request"
    values = [Stack(name, list(flow["stages"].items()), f"{flow['total']:.0f} µs") for name, flow in flows.items()]
    (images / "profile.svg").write_text(stacks(title, values))
    return TEXT.format(
        how=found["how"],
        chart=f"![{title}](img/profile.svg)",
        tables="\n\n".join(_table(name, flow) for name, flow in flows.items()),
        command=found["command"],
        date=found["date"],
        commit=found["commit"],
    )


def _table(name: str, flow: dict[str, Any]) -> str:
    total = flow["total"]
    lines = [f"| {name} | µs | share |", "|---|---:|---:|"]
    lines += [f"| {stage} | {size:.1f} | {size / total:.0%} |" for stage, size in flow["stages"].items()]
    return "\n".join([*lines, f"| **total** | **{total:.1f}** | |"])
