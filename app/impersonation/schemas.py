"""Impersonation over the wire."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from app.core.wire import Body, plain_text

LEAST_REASON, MOST_REASON = 3, 200


def parse_reason(value: str) -> str:
    """The reason without spaces around it; something that can be read.

    Raises:
        PydanticCustomError: it is none.
    """
    reason = plain_text(value).strip()
    if len(reason) < LEAST_REASON or not any(char.isalnum() for char in reason):
        raise PydanticCustomError("reason_missing", "Say why, in a few words")
    return reason


Reason = Annotated[
    str,
    Field(max_length=MOST_REASON, description="Why; the person can read it in their export", examples=["ticket 4711"]),
    AfterValidator(parse_reason),
]


class ImpersonateIn(Body):
    """Why."""

    reason: Reason


class ImpersonationOut(BaseModel):
    """A token that acts as the person. There is no refresh token: when it has expired, say why once more."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- the type's name
    expires_in: int = Field(description="Seconds the token lives: 1800, or less if the caller's own session ends before")
    session_id: uuid.UUID
    expires_at: datetime
