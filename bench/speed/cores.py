"""Which core does what: the server has one to itself, all else (PostgreSQL, Redis, wrk, this process) shares another."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import mean

import psutil

MANY = 6  # with so many cores two workers can have one each, and the load more than one


@dataclass(frozen=True, slots=True)
class Cores:
    """Numbers of cores, as the kernel counts them."""

    usable: tuple[int, ...]

    @property
    def server(self) -> frozenset[int]:
        """The server's own."""
        return frozenset(self.usable[:1])

    @property
    def both(self) -> frozenset[int]:
        """For what is measured on two cores."""
        return frozenset(self.usable[:2])

    @property
    def load(self) -> frozenset[int]:
        """Everybody else's: one, or four where there are many. The server's, if there is no other."""
        return frozenset(self.usable[2:6] if len(self.usable) >= MANY else self.usable[1:2] or self.usable)


def plan() -> Cores:
    """Of the cores this process may use."""
    return Cores(tuple(sorted(os.sched_getaffinity(0))))


@contextmanager
def on(cores: Collection[int]) -> Iterator[None]:
    """Run this thread, and the processes it starts meanwhile, on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Busy:
    """How much of each core was in use between two looks."""

    before: list[tuple[float, float]]

    @classmethod
    def now(cls) -> "Busy":
        """Begin to look."""
        return cls(_looked())

    def share(self, cores: Collection[int]) -> float:
        """Between 0 and 1, since then, on average of these cores."""
        after = _looked()
        return round(mean(_share(self.before[core], after[core]) for core in cores), 3)


def _share(before: tuple[float, float], after: tuple[float, float]) -> float:
    busy, total = (new - old for new, old in zip(after, before, strict=True))
    return busy / total if total else 0.0


def _looked() -> list[tuple[float, float]]:
    return [(sum(each) - each.idle - getattr(each, "iowait", 0.0), sum(each)) for each in psutil.cpu_times(percpu=True)]
