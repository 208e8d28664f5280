"""Where features plug in what they do later."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Handler:
    """Does the jobs of one kind; may be called again for a job it has done, if the worker died before saying so."""

    kind: str
    run: Callable[[Work], Awaitable[None]]


Daily = Callable[[AsyncSession, datetime], Awaitable[None]]

HANDLERS: Socket[Handler] = Socket("jobs.HANDLERS")
DAILY: Socket[Daily] = Socket("jobs.DAILY")
