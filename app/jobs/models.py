"""The tables of later work."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, UtcDateTime


class State(StrEnum):
    """How far a job is: it waits, a worker is at it, it was given up."""

    QUEUED = "queued"
    RUNNING = "running"
    DEAD = "dead"


class Job(Base):
    """Something to do. Done: the row is gone, and with it what it held. Dead: tried for days, kept to be seen."""

    __tablename__ = "jobs"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    run_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    lease: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(200))
    dead_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DailyRound(Base):
    """When the daily round is due next: one row, moved on by whoever does the round."""

    __tablename__ = "daily_rounds"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
