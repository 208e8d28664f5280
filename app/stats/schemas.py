"""Stats over the wire."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PointOut(BaseModel):
    """What happened in one hour, or one day in UTC."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime = Field(description="When it begins")
    sign_ups: int
    logins: int
    failed_logins: int


class AnswersOut(BaseModel):
    """How long answers took, in this hour and the one before."""

    model_config = ConfigDict(from_attributes=True)

    count: int
    p50_ms: int | None = Field(description="Half of them took at most so long; null: there were none, or more than 5000")
    p99_ms: int | None = Field(description="99 % of them took at most so long; null as above")


class OverviewOut(BaseModel):
    """Numbers as they were when a worker last counted."""

    model_config = ConfigDict(from_attributes=True)

    counted_at: datetime | None = Field(description="null: not yet")
    is_behind: bool = Field(description="What happened before is still being counted")
    active_sessions: int | None
    mails_queued: int | None
    mails_dead: int | None
    latency: AnswersOut
    hours: list[PointOut] = Field(description="24, oldest first; the last is the current one")
    days: list[PointOut] = Field(description="30, oldest first, in UTC; the last is today")
    revision: str | None = Field(description="The database's migration")


class StatsOut(OverviewOut):
    """The overview, and how the server is."""

    version: str
    status: Literal["ok", "degraded", "down"]
    checks: dict[str, str]
