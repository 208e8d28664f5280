"""What is seen on the terminal: a bar while measuring, a table at the end."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from bench.speed.figures import Row
from bench.speed.words import beside, goal, middle, ratio

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
    table = Table("case", *(Column(name, justify="right") for name in ("measured", "beside", "ratio", "to reach")), "")
    for row in rows:
        mark = MARKS[row.reached] if row.measured else f"[yellow]{row.note}[/]"
        table.add_row(row.what, middle(row.measured, row.unit), beside(row), ratio(row), goal(row.goal), mark)
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
