"""The hashing pool: a bounded number of threads, a bounded queue, no connection held meanwhile (DESIGN section 2)."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

from app.core.errors import Overloaded

NICENESS = 5  # 19 would starve logins under load; 0 would be felt by every other request
QUEUE_PER_THREAD = 8
Result = TypeVar("Result")


class RunHash(Protocol):
    """Runs one hashing function in the pool."""

    def __call__(self, function: Callable[..., Result], *args: object) -> Awaitable[Result]:
        """Its result."""
        ...


class HashingPool:
    """Threads that hash. A place is taken before any look-up, so that shedding costs nothing and tells nothing."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or usable_cores()
        self._places = self.threads * (1 + QUEUE_PER_THREAD)
        self._executor = ThreadPoolExecutor(self.threads, "hashing", initializer=_step_back)
        self._asked = 0  # hashes that were asked for and are not there yet
        self.shed = 0  # how often there was no place

    @property
    def running(self) -> int:
        """Hashes that are being made."""
        return min(self._asked, self.threads)

    @property
    def waiting(self) -> int:
        """Hashes that wait for a thread."""
        return self._asked - self.running

    @property
    def places_left(self) -> int:
        """How many more may come before one is shed."""
        return self._places

    @contextlib.contextmanager
    def place(self) -> Iterator[RunHash]:
        """A place in the queue, and the way to use it.

        Raises:
            Overloaded: there is none.
        """
        if self._places <= 0:
            self.shed += 1
            raise Overloaded(2)
        self._places -= 1
        try:
            yield self._run
        finally:
            self._places += 1

    async def close(self) -> None:
        """Let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., Result], *args: object) -> Result:
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, partial(function, *args))
        finally:
            self._asked -= 1


def usable_cores() -> int:
    """Cores this process may run on, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _step_back() -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
