"""docs/timing.md out of bench/results/timing.json."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results" / "timing.json"
DOCS = ROOT / "docs" / "timing.md"

TEXT = """<!-- Written by `python -m bench.timing`; edit bench/report.py instead. -->
# Telling accounts apart by the clock

A stranger who can tell by an answer, or by how long it takes, whether somebody has an account here, has learnt something that
is none of their business. Authkeep gives one answer at one cost: login hashes for nobody as long as for somebody and writes the
same rows; forgot-password writes one job and looks nobody up, which the worker does up to 2 seconds later. So do sign-up, where
addresses must be proved first, and asking for its mail again. A code is compared with five, whatever there is.

## What is measured

A server process of its own, one worker, a client on one keep-alive connection of the same machine: less noise than any network
leaves an attacker. For each pair one known and one unknown account are asked about, in random order, each name once; every
answer must be the same in status, headers and body. The attacker knows one half of the pairs, takes the threshold and the
direction that tell most of them apart, and is judged on the other half. 50 % is guessing. With a few hundred pairs one halving
is a matter of luck, so the figure is the mean of 101 random halvings, with their 5th and 95th percentile beside it.

The bound is **55 %**, and **90 %** must be told apart on a server that is broken on purpose (`bench/broken_timing.py`: unknown
users are refused at once; taken addresses are looked up before hashing; tickets are issued and mails sent within the request).

## What came out

{tables}

"Known slower" is the share of pairs in which the known account's answer took longer: it would show a difference that drifts
of the machine hide from a threshold. Times are median and quartiles in milliseconds.

## The conditions

{conditions}

Run it again: `{command}` (about {minutes} minutes; `--scale 0.1` for a quick look, `--docs` to write this page anew).

## What it does not show

- With EMAIL_VERIFICATION=optional registration says that an address is taken, and in either mode that a name is: that is what a
  form must say to the person in front of it. It is limited by address.
- A worker in the same process has more to do for a known address than for an unknown one, at a random moment within the next 2
  seconds. Whoever watches the server's pace by other requests sees a little more work some time later; `WORKER_IN_SERVER=false`
  and `python -m app worker` keep that out of the server process.
- While accounts have hashes of an older, other scheme, every login costs as much as all of them together would, until the last
  such hash is gone.
"""


def write_docs() -> None:
    """Write the page anew."""
    results = json.loads(RESULTS.read_text())
    DOCS.write_text(
        TEXT.format(
            tables="\n\n".join(_table(results["found"], title, broken=broken) for title, broken in SECTIONS),
            conditions=_conditions(results),
            command=results["command"],
            minutes=round(results["minutes"]),
        )
    )


SECTIONS = (("The server", False), ("The broken server", True))
HEAD = (
    "| stack | measured | pairs | told apart | 5–95 % | known slower | known | unknown |\n|---|---|---:|---:|---:|---:|---:|---:|"
)


def _table(found: list[dict[str, Any]], title: str, *, broken: bool) -> str:
    rows = [_row(each) for each in found if each["broken"] is broken]
    return "\n".join([f"### {title}", "", HEAD, *rows])


def _row(found: dict[str, Any]) -> str:
    verdict = found["verdict"]
    name = f"{found['contest']['name']} ({found['round'].removesuffix(', broken')})"
    spread = f"{verdict['low']:.0%}–{verdict['high']:.0%}"
    cells = [found["stack"], name, f"{verdict['pairs']:,}", f"**{verdict['accuracy']:.1%}**", spread]
    cells += [f"{verdict['known_slower']:.1%}", _times(verdict["known"]), _times(verdict["unknown"])]
    return "| " + " | ".join(cells) + " |"


def _times(quartiles: list[float]) -> str:
    first, middle, third = quartiles
    return f"{middle:.2f} ({first:.2f}–{third:.2f})"


def _conditions(results: dict[str, Any]) -> str:
    machine = results["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    loads = [each["load"] for each in results["found"]]
    return "\n".join(
        [
            f"- {results['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}.",
            f"- {packages}.",
            "- Databases in memory (a disk adds noise, which hides differences); PostgreSQL with fsync and full_page_writes on.",
            "- bcrypt at the cost named; Argon2id with 19 MiB, 2 passes, 1 lane. Some pairs of warm-up are not counted.",
            "- Limits by address off, the worker in no server. The seed of names and orders is fixed.",
            f"- The machine's load average (1 minute) when the measurements began: {min(loads)} to {max(loads)}.",
        ]
    )
