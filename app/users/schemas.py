"""Accounts over the wire."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.core.permissions import Role
from app.core.wire import Body


class UserOut(BaseModel):
    """An account, as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    username: str = Field(examples=["alice"])
    email: str = Field(examples=["alice@example.com"])
    role: Role
    email_verified: bool
    created_at: datetime
    display_name: str | None
    locale: str | None = Field(description="Language of mails and pages; null: none was chosen")


class UserDetailOut(UserOut):
    """An account, as an admin sees it."""

    active: bool
    last_login_at: datetime | None


class UserPageOut(BaseModel):
    """A page of accounts."""

    items: list[UserDetailOut]
    next_cursor: str | None = Field(description="Give it as `cursor` for the page after; null: this was the last")
    total: int = Field(description="How many match, counted to 10,000")
    total_capped: bool = Field(description="True: there are more than `total`")


class RoleIn(Body):
    """A new role."""

    role: Role = Field(strict=False)


class StatusIn(Body):
    """Whether the account may be used."""

    active: bool
