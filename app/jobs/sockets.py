"""Where features plug in what they do later."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.sockets import Socket


@dataclass(frozen=True, slots=True)
class Work:
    """One try at a job. `id` is the same at each try, so that doing it twice can be noticed."""

    id: uuid.UUID
    payload: dict[str, Any]
    now: datetime


class NotNow(Exception):
    """A handler has nothing to try with, as without a mail server: the job waits, and is never given up for it."""


class Later(Exception):
    """A handler has done what there was to do by now, and says itself when there will be more: no failure, and no end."""

    def __init__(self, run_at: datetime) -> None:
        super().__init__(run_at)
        self.run_at = run_at


MAIN = "main"


@dataclass(frozen=True, slots=True)
class Handler:
    """Does the jobs of one kind; may be called again for a job it has done, if the worker died before saying so.

    Jobs of one lane wait for each other, and for none of another lane.
    """

    kind: str
    run: Callable[[Work], Awaitable[None]]
    lane: str = MAIN


Daily = Callable[[AsyncSession, datetime], Awaitable[None]]


class Steady(Protocol):
    """Work that each worker does again and again, about once a second; several workers may do it at the same time."""

    @property
    def name(self) -> str:
        """As the log tells it."""
        ...

    async def tick(self, now: datetime) -> None:
        """Do what there is to do by now. What it raises is logged, and the next second it is asked again."""
        ...

    async def finish(self, now: datetime) -> None:
        """The worker stops in order: do what must not wait for another one."""
        ...


HANDLERS: Socket[Handler] = Socket("jobs.HANDLERS")
DAILY: Socket[Daily] = Socket("jobs.DAILY")
STEADY: Socket[Steady] = Socket("jobs.STEADY")
LOCAL: Socket[Steady] = Socket("jobs.LOCAL")  # the same, in each process that serves, even where the worker runs apart
