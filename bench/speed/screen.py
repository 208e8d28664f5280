"""What is seen on the terminal: a bar while measuring, a table at the end."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from bench.speed.figures import Goal, Row, Spread

WIDE = 150
MARKS = {True: "[green]reached[/]", False: "[red]missed[/]", None: ""}


class Terminal:
    """`with Terminal(rounds) as screen:`."""

    def __init__(self, rounds: int) -> None:
        columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, transient=True)
        self._task = self._progress.add_task("", total=rounds)

    def say(self, what: str) -> None:
        """What is being done now."""
        self._progress.update(self._task, description=what)

    def advance(self) -> None:
        """One round more is done."""
        self._progress.advance(self._task)

    def reach(self, rounds: int) -> None:
        """So many rounds are done or need no doing."""
        self._progress.update(self._task, completed=rounds)

    def tell(self, line: str) -> None:
        """A line that stays."""
        self._progress.console.print(line, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()


def show(rows: Sequence[Row]) -> None:
    """The table."""
    table = Table("case", *(_right(name) for name in ("measured", "beside", "ratio", "to reach")), "")
    for row in rows:
        against = f"{in_words(row.against)} {row.yardstick}" if row.against else ""
        mark = MARKS[row.reached] if row.measured else f"[yellow]{row.note}[/]"
        table.add_row(
            row.what,
            f"{in_words(row.measured)} {row.unit}" if row.measured else "",
            against,
            spread_in_words(row),
            goal_in_words(row.goal),
            mark,
        )
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _right(name: str) -> Column:
    return Column(name, justify="right")


def in_words(spread: Spread | None) -> str:
    """The median, with as many digits as mean something."""
    return "" if spread is None else number(spread.median)


def number(value: float) -> str:
    """About four digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def spread_in_words(row: Row) -> str:
    """The ratio's median, and its least and greatest."""
    ratio = row.ratio
    return f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})" if ratio else ""


def goal_in_words(goal: Goal | None) -> str:
    """What is to be reached."""
    if goal is None:
        return ""
    times = " ×" if goal.of == "ratio" else ""
    return f"{'≥' if goal.sense == '>=' else '≤'} {goal.value:g}{times}"
