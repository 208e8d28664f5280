"""Rounds of numbers made into figures: medians, the ratio of each round, and whether it reaches what it must."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, Self

Sample = dict[str, float]
Round = dict[str, Sample]  # what was measured in one round, by name


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, and the least and greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure has to reach: the ratio, or the measured value itself."""

    sense: Literal[">=", "<="]
    value: float
    of: Literal["ratio", "measured"] = "ratio"

    def reached(self, figure: float) -> bool:
        """Whether it does."""
        return figure >= self.value if self.sense == ">=" else figure <= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Without a goal it is information; without a measured value `note` says why."""

    what: str
    unit: str = ""
    measured: Spread | None = None
    yardstick: str = ""
    against: Spread | None = None
    ratio: Spread | None = None
    goal: Goal | None = None
    note: str = ""
    hashing: str = ""  # scheme and cost, beside every figure of a login

    @property
    def reached(self) -> bool | None:
        """None if there is nothing to reach, or nothing to judge."""
        if self.goal is None:
            return None
        figure = self.ratio if self.goal.of == "ratio" else self.measured
        return None if figure is None else self.goal.reached(figure.median)


def values(rounds: Sequence[Round], name: str, of: str = "rate") -> list[float]:
    """One number of each round."""
    return [each[name][of] for each in rounds]


def ratios(rounds: Sequence[Round], name: str, yardstick: str, of: str = "rate") -> list[float]:
    """Each round's own ratio: what slows the machine down for a while slows both."""
    return [mine / other for mine, other in zip(values(rounds, name, of), values(rounds, yardstick, of), strict=True)]


def compared(
    what: str,
    rounds: Sequence[Round],
    name: str,
    yardstick: str,
    *,
    of: str = "rate",
    unit: str = "requests/s",
    called: str = "",
    goal: Goal | None = None,
    note: str = "",
    hashing: str = "",
) -> Row:
    """The row of something measured beside its yardstick."""
    return Row(
        what=what,
        unit=unit,
        measured=Spread.of(values(rounds, name, of)),
        yardstick=called or yardstick,
        against=Spread.of(values(rounds, yardstick, of)),
        ratio=Spread.of(ratios(rounds, name, yardstick, of)),
        goal=goal,
        note=note,
        hashing=hashing,
    )


def row_of(stored: dict[str, Any]) -> Row:
    """A row as it was before it became JSON."""
    spreads = {name: Spread(**stored[name]) if stored[name] else None for name in ("measured", "against", "ratio")}
    goal = Goal(**stored["goal"]) if stored["goal"] else None
    return Row(**{**stored, **spreads, "goal": goal})
