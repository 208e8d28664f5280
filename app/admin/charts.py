"""Small charts as shapes that a template draws: attributes alone, since pages may hold no style of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

STEP, BAR, HEIGHT = 10, 8, 60
LEAST = 1.5  # so that one among thousands is seen


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, from the bottom, and what it says when pointed at."""

    x: float
    y: float
    height: float
    says: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars side by side, as high as their share of the highest."""

    name: str
    label: str
    total: str
    peak: str
    bars: list[Bar]
    ticks: list[str]
    width: int
    height: int = HEIGHT
    bar: int = BAR


def chart(name: str, label: str, values: Sequence[tuple[str, int]]) -> Chart:
    """The chart of these numbers, oldest first, each with its moment; the first, the middle and the last stand below it."""
    peak = max((value for _, value in values), default=0)
    bars = []
    for place, (moment, value) in enumerate(values):
        if value > 0:
            height = round(max(LEAST, HEIGHT * value / peak), 1)
            says = f"{moment}: {grouped(value)}"
            bars.append(Bar(place * STEP + (STEP - BAR) / 2, round(HEIGHT - height, 1), height, says))
    ticks = [values[place][0] for place in (0, len(values) // 2, -1)] if values else []
    return Chart(name, label, grouped(sum(value for _, value in values)), grouped(peak), bars, ticks, len(values) * STEP)


def grouped(number: int | None) -> str:
    """A number in groups of three digits, with narrow spaces between them; a dash for none."""
    return "–" if number is None else f"{number:,}".replace(",", "\u202f")
