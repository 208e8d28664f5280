"""docs/performance.md and its charts out of bench/results/speed.json and profile.json. No figure is typed by hand."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.speed.figures import Row
from bench.speed.profiled import RESULTS as PROFILE
from bench.speed.profiled import section as profile_section
from bench.speed.results import Stored, load, rows_of
from bench.speed.svg import Bar, bars
from bench.speed.words import beside, goal, middle, number, ratio
from tests.support.processes import ROOT

DOCS = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "img"
VERDICTS = {True: "reached", False: "**missed**", None: ""}
TABLE = "| | measured | beside it | ratio (least–greatest) | to reach | |\n|---|---:|---:|---:|---:|---|"
SUMMARY = TABLE.replace(" | |\n", " | | command |\n") + "---|"

TEXT = """<!-- Written by `python -m bench.speed --docs`; edit bench/speed/report.py instead. -->
# How fast it is

The check of a token is what this server does all day. The session row and Redis are asked every time, and nothing of the
answer is remembered; it should still cost no more than a FastAPI route that does nothing. A login costs what bcrypt costs,
and nobody else should feel it. This page says how far that is so.

`make bench` measures everything (about {minutes} minutes on this machine); `python -m bench.speed --only NAME` one case. wrk
has to be installed (`make ci-deps`).

## What it must reach

{summary}

{charts}

## Every figure

A ratio is the median of the rounds' own ratios; least and greatest are those of the rounds. Measured values are medians.

{sections}

{profile}## How it is measured

- Every case alternates with its yardstick: one round of this, one of that, in the opposite order the next time, both servers
  up all the while. What slows the machine for a moment slows both. A warm-up is not counted.
- The server is one worker and has one core to itself. PostgreSQL, Redis, wrk and the bench share another ("both cores" says
  where it is otherwise). wrk keeps {connections} connections busy and takes its requests from a file, in random order.
- The server runs as in production: `python -m app serve`, ENVIRONMENT=production, an https PUBLIC_URL, LOG_LEVEL=INFO.
  Headers and access log are on; the log goes to a file. RATE_LIMIT_ENABLED=false, because all load comes from one address.
  Logins with bcrypt below cost 10 need ENVIRONMENT=development; `bench/speed/cheap_hashes.py` puts all else back to
  production's.
- {users:,} accounts, each with a session. Their "last used" is spread over five minutes, so it is written as often as in real
  use. What falls due while the yardstick has its turn is spread anew before the server has its own.
- PostgreSQL has fsync, full_page_writes and synchronous_commit on and shared_buffers of 512 MB. Its files and those of SQLite
  are in memory: a disk would make commits slower, the server's and the yardstick's alike.
- The FastAPI route (`bench/yardstick.py`) answers the same JSON through a response model and asks nobody anything. It is run
  by uvicorn with the flags the server has, gets the same requests, and writes no log. The bare ASGI callable is
  `bench/bare.py`; `bench/headers.py` is another that sends the headers of GET /auth/verify and does nothing else.
- "UPDATE + route" is the time of one UPDATE with its commit (psycopg alone on the server's core, as many connections as the
  server's pool may open) and of one answer of the route, added.
- "Not seen before": {cold_tokens:,} tokens are shown in turn, four times as many as the server remembers signatures of. None
  is a hit.
- Raw bcrypt is `bcrypt.checkpw` on as many threads as there are cores, nothing else in the process.
{long_log}- A round counts only if every answer has the right status and no connection breaks. Otherwise there is no figure.

## The machine

{machines}

## What it does not show

- A network. Client and server talk over loopback, so these are the costs of the server alone.
- TLS. It ends at the proxy before this server.
- A disk that is slow to sync. It sets the pace of logins and refreshes; no code can change that.
"""

LONG_LOG = """- Pages for staff, and what is done with the long log: {scale_users:,} accounts, {events:,} events of
  300 days. Two processes write the events by the server's own functions, as one chain under its key, so that `audit verify`
  finds it whole. One admin asks on one connection, {looks} times for each page in a round; the slowest page of each kind has
  to be fast enough. One person has one event of a hundred, one address five of a hundred. Each export ends with the newest row.
  Where a command names other sizes, they were those.
"""


def write_docs() -> None:
    """Write the page and its charts anew."""
    cases = load()
    IMAGES.mkdir(exist_ok=True)
    charts = [_chart(name, title, values) for name, title, values in _charts(cases) if values]
    first = next(iter(cases.values()))
    DOCS.write_text(
        TEXT.format(
            minutes=max(1, round(sum(case["seconds"] for case in cases.values()) / 60)),
            summary=_summary(cases),
            charts="\n\n".join(charts),
            sections="\n\n".join(_section(case) for case in cases.values()),
            profile=profile_section(IMAGES, PROFILE),
            connections=32,
            users=first["sizes"]["users"],
            cold_tokens=first["sizes"]["cold_tokens"],
            long_log=_long_log(cases),
            machines=_machines(cases),
        )
    )


def _long_log(cases: Mapping[str, Stored]) -> str:
    """How the long log is made and looked at; nothing, if it was not measured."""
    return LONG_LOG.format(**cases["console"]["sizes"]) if "console" in cases else ""


def _summary(cases: Mapping[str, Stored]) -> str:
    found = [(row, case["command"]) for case in cases.values() for row in rows_of(case) if row.goal is not None]
    judged = [row.reached for row, _ in found if row.reached is not None]
    lines = [f"{_line(row)} `{command}` |" for row, command in found]
    return "\n".join([f"{sum(judged)} of {len(judged)} goals are reached.", "", SUMMARY, *lines])


def _table(rows: Iterable[Row]) -> str:
    return "\n".join([TABLE, *map(_line, rows)])


def _line(row: Row) -> str:
    name = row.what + (f" ({row.hashing})" if row.hashing else "")
    last = ", ".join(filter(None, (VERDICTS[row.reached], row.note)))
    return "| " + " | ".join([name, middle(row.measured, row.unit), beside(row), ratio(row), goal(row.goal), last]) + " |"


def _section(case: Stored) -> str:
    said = f"`{case['command']}`, {case['date']}, commit {case['commit']}, {_rounds(case)}"
    others = f"other programs took {case['others']:.0%} of the cores just before"
    return f"### {case['title']}\n\n{said}; {others}.\n\n{_table(rows_of(case))}"


def _rounds(case: Stored) -> str:
    sizes = case["sizes"]
    return f"{sizes['rounds']} rounds of {sizes['seconds']} s"


def _machines(cases: Mapping[str, Stored]) -> str:
    different: list[dict[str, Any]] = []
    for case in cases.values():
        if case["machine"] not in different:
            different.append(case["machine"])
    return "\n".join(map(machine_in_words, different))


def machine_in_words(machine: Mapping[str, Any]) -> str:
    """Two lines of a list."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return "\n".join(
        [
            f"- {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
            f"Python {machine['python']}, wrk {machine['wrk']}, redis-server {machine['redis-server']}.",
            f"- {packages}.",
        ]
    )


def _charts(cases: Mapping[str, Stored]) -> Iterable[tuple[str, str, list[Bar]]]:
    rows = {row.what: row for case in cases.values() for row in rows_of(case) if row.measured}
    at_least = [row for row in rows.values() if row.goal and row.goal.sense == ">=" and row.ratio]
    at_most = [row for row in rows.values() if row.goal and row.goal.sense == "<=" and row.ratio]
    yield "speed-more", "Compared with the yardstick: more is better (dashed: to reach)", list(map(_of_ratio, at_least))
    yield "speed-less", "Compared with the yardstick: less is better (dashed: to reach)", list(map(_of_ratio, at_most))
    yield "speed-requests", "Requests a second, one worker on one core", list(_rates(rows))


def _of_ratio(row: Row) -> Bar:
    assert row.ratio is not None
    label = row.what + (f" ({row.hashing.removeprefix('bcrypt, ')})" if row.hashing else "")
    wanted = row.goal.value if row.goal else None
    return Bar(label, row.ratio.median, f"{row.ratio.median:.2f}", row.ratio.low, row.ratio.high, wanted)


def _rates(rows: Mapping[str, Row]) -> Iterable[Bar]:
    told: set[str] = set()
    for row in rows.values():
        if row.unit != "requests/s" or row.measured is None or "while" in row.what:
            continue
        for name, spread, own in ((row.what, row.measured, True), (row.yardstick, row.against, False)):
            if spread is not None and name not in told and not (own and " beside " in name):
                told.add(name)
                yield Bar(name, spread.median, number(spread.median), spread.low, spread.high, own=own)


def _chart(name: str, title: str, values: list[Bar]) -> str:
    (IMAGES / f"{name}.svg").write_text(bars(title, values))
    return f"![{title}](img/{name}.svg)"
