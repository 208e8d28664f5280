"""What is held about oneself, over the wire."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class ExportOut(BaseModel):
    """Everything held about the caller, as one document."""

    exported_at: datetime
    data: dict[str, Any] = Field(description="By what it is: the account, sessions, events and so on (docs/privacy.md)")


class LeavingOut(BaseModel):
    """When the account is erased, unless its owner signs in before."""

    erased_at: datetime
