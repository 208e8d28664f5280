"""Health over the wire."""

from typing import Literal

from pydantic import BaseModel


class HealthOut(BaseModel):
    """How the server is, and what of what it needs is there."""

    status: Literal["ok", "degraded", "down"]
    checks: dict[str, str]


class LiveOut(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ReadyOut(BaseModel):
    """Whether requests can be served."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]
