"""Accounts over the wire."""

import uuid
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.core.permissions import Role
from app.core.wire import Body
from app.users.names import DisplayName, Locale, Username


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
    leaving_at: datetime | None = Field(description="When its owner left; seven days later it is erased")


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


class ProfileIn(Body):
    """What to change of one's own account. What is not named stays; null clears a display name or a locale."""

    username: Username | None = None
    display_name: DisplayName | None = Field(None, description="How to call the person; any script, at most 64 characters")
    locale: Locale | None = Field(None, description="Language of mails and pages")

    @model_validator(mode="after")
    def _nobody_is_nameless(self) -> Self:
        if "username" in self.model_fields_set and self.username is None:
            raise PydanticCustomError("username_missing", "A username can be changed, not cleared")
        return self

    def changes(self) -> dict[str, str | None]:
        """What was named."""
        return self.model_dump(exclude_unset=True)
