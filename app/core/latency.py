"""How many answers there were and how long they took, counted in steps: one costs well under a microsecond.

What is kept grows by routes, never by what is sent: a route is named by its template.
"""

from bisect import bisect_left
from collections.abc import Sequence

BOUNDS_MS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Steps:
    """How often a number was within each bound and above the one before; and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[int]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last: above all of them
        self.sum = 0.0

    def add(self, number: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, number)] += 1
        self.sum += number


class Answered(Steps):
    """The answers to one method at one route with one kind of status, by the milliseconds they took.

    `streamed` are beside these: how long a long answer takes is up to whoever reads it.
    """

    __slots__ = ("streamed",)

    def __init__(self) -> None:
        super().__init__(BOUNDS_MS)
        self.streamed = 0


Kind = tuple[str, str | None, int]  # method, the route's template where there is one, hundreds of the status (0: no answer)


class Latency:
    """The answers of this process since it began; and, for whoever takes them, those since they were last taken."""

    def __init__(self) -> None:
        self.answered: dict[Kind, Answered] = {}
        self._taken = [0] * (len(BOUNDS_MS) + 1)

    def add(self, ms: float | None, method: str, route: str | None, status: int) -> None:
        """One answer; None for one that was streamed."""
        kind = (method, route, status // 100)
        answered = self.answered.get(kind)
        if answered is None:
            answered = self.answered[kind] = Answered()
        if ms is None:
            answered.streamed += 1
        else:
            answered.add(ms)

    def take(self) -> list[int]:
        """How many there were within each bound, of all kinds together, since this was last asked."""
        now = [sum(each.counts[step] for each in self.answered.values()) for step in range(len(self._taken))]
        taken = [all_of_them - before for all_of_them, before in zip(now, self._taken, strict=True)]
        self._taken = now
        return taken

    def give_back(self, counts: Sequence[int]) -> None:
        """What was taken could not be kept."""
        self._taken = [before - back for before, back in zip(self._taken, counts, strict=True)]


def percentile(counts: Sequence[int], share: float) -> int | None:
    """Milliseconds within which this share of answers was given; None: there were none, or it took longer than all bounds."""
    wanted, seen = share * sum(counts), 0
    for bound, count in zip(BOUNDS_MS, counts, strict=False):
        seen += count
        if seen and seen >= wanted:
            return bound
    return None
