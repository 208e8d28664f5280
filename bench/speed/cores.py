"""Which core does what: the server has one to itself, all else (PostgreSQL, Redis, wrk, this process) shares another."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Cores:
    """Numbers of cores, as the kernel counts them."""

    server: int
    load: int
    usable: tuple[int, ...]

    @property
    def apart(self) -> bool:
        """Whether server and load have a core each."""
        return self.server != self.load


def plan() -> Cores:
    """The first usable core for the server, the second for everything else."""
    usable = tuple(sorted(os.sched_getaffinity(0)))
    return Cores(server=usable[0], load=usable[1 % len(usable)], usable=usable)


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

    def share(self, core: int) -> float:
        """Between 0 and 1, since then."""
        busy, total = (now - then for now, then in zip(_looked()[core], self.before[core], strict=True))
        return round(busy / total, 3) if total else 0.0


def _looked() -> list[tuple[float, float]]:
    return [(sum(each) - each.idle - getattr(each, "iowait", 0.0), sum(each)) for each in psutil.cpu_times(percpu=True)]
