"""Jobs as JSON."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from app.jobs.models import State

Kind = Annotated[str | None, Query(max_length=64, pattern=r"^[a-z0-9_.-]*$", description="Only jobs of this kind")]
Stage = Annotated[State | None, Query(description="Only jobs in this state")]


class JobOut(BaseModel):
    """A job, with as much of its payload as staff may see."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    kind: str = Field(description="What it does, such as `mail`")
    state: State = Field(description="queued: waits for run_at; running: a worker is at it; dead: given up")
    created_at: datetime
    run_at: datetime = Field(description="When it is tried (next)")
    attempts: int
    failing_since: datetime | None
    last_error: str | None = Field(description="Name of the error of the last try")
    dead_at: datetime | None = Field(description="When it was given up")
    payload: dict[str, Any] = Field(description="What it is about; addresses are shortened")


class JobPageOut(BaseModel):
    """A page of jobs."""

    items: list[JobOut]
    next_cursor: str | None = Field(description="Give it as `cursor` for the page after; null: this was the last")
