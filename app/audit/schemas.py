"""The audit log over the wire."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class EventOut(BaseModel):
    """A security event. What named somebody who was erased is empty."""

    id: int
    position: int | None = Field(description="Place in the chain; null: not sealed yet")
    at: datetime
    fact: str = Field(examples=["user.login.failed"], description="What happened; docs/audit.md lists them all")
    actor_id: uuid.UUID | None = Field(description="Who did it; null: a stranger, or the operator at the command line")
    subject_id: uuid.UUID | None = Field(description="The account it is about; null: an unknown one")
    impersonator_id: uuid.UUID | None = Field(description="Who acted in the actor's place")
    session_id: uuid.UUID | None
    address: str = Field(examples=["203.0.113.7"])
    user_agent: str
    device: str = Field(examples=["Firefox on Linux"], description="What the user agent claims to be")
    request_id: str = Field(description="As in the logs")
    data: dict[str, Any] = Field(description="What changed, before and after")


class EventPageOut(BaseModel):
    """A page of events, newest first."""

    items: list[EventOut]
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the page after, also where this one has few items or none; null: this was the last"
    )
