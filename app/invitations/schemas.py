"""Invitations over the wire."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.core.permissions import Role
from app.core.wire import Body, Secret, Token
from app.users.names import Email, Username


class InvitationIn(Body):
    """Whom to invite, and what they will be."""

    email: Email
    role: Role = Field(Role.USER, strict=False)


class InvitationOut(BaseModel):
    """An invitation that is open."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    email: str
    role: Role
    invited_by: uuid.UUID | None
    created_at: datetime
    expires_at: datetime


class InvitationPageOut(BaseModel):
    """A page of invitations."""

    items: list[InvitationOut]
    next_cursor: str | None = Field(description="Give it as `cursor` for the page after; null: this was the last")


class AcceptInvitationIn(Body):
    """The token of the mailed link, and the account to make."""

    token: Token
    username: Username
    password: Secret
