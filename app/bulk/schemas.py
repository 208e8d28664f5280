"""Bulk actions over the wire."""

import uuid
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.bulk.acts import Action
from app.bulk.service import MOST_IDS, Wanted
from app.core.permissions import Role
from app.core.wire import Body, plain_text
from app.users.names import name_key
from app.users.selection import Filters

State = Literal["collecting", "running", "stopped", "done"]
Beginning = Annotated[str, Field(max_length=254), AfterValidator(plain_text)]


class BulkFilterIn(Body):
    """All accounts that match, as in the list of accounts; what is not named may be anything, but something must be."""

    q: Beginning | None = Field(None, min_length=1, description="Literal beginning of username or address")
    role: Role | None = Field(None, strict=False)
    active: bool | None = None
    verified: bool | None = Field(None, description="Whether the address is proved")
    everybody: Literal[True] | None = Field(None, description="Every account, without any other condition")

    @model_validator(mode="after")
    def _says_whom(self) -> Self:
        if (self.everybody is True) != (self.filters() == Filters(None, None, None)):
            raise PydanticCustomError("bulk_filter", "Name a condition, or everybody, and not both")
        return self

    def filters(self) -> Filters:
        """As the listing has them."""
        return Filters(name_key(self.q) if self.q else None, self.role, self.active, self.verified)


class BulkIn(Body):
    """One action on many accounts: those of `ids`, or all that match `filter`."""

    action: Action = Field(strict=False)
    role: Role | None = Field(None, strict=False, description="For `set_role` alone")
    ids: list[Annotated[uuid.UUID, Field(strict=False)]] | None = Field(None, min_length=1, max_length=MOST_IDS)
    filter: BulkFilterIn | None = None

    @model_validator(mode="after")
    def _is_plain(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise PydanticCustomError("bulk_selection", "Give either ids or a filter")
        if (self.action is Action.SET_ROLE) != (self.role is not None):
            raise PydanticCustomError("bulk_role", "Give a role for set_role, and for nothing else")
        return self

    def wanted(self) -> Wanted:
        """As the service has it."""
        return Wanted(self.action, self.role, tuple(self.ids or ()), self.filter.filters() if self.filter else None)


class BulkOut(BaseModel):
    """A bulk action, and how far it is."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    action: Action
    role: Role | None
    state: State
    reason: str | None = Field(
        description="Why it is stopped: `by_hand`, `starter_gone`, `starter_not_permitted`, `starter_changed`"
    )
    total: int = Field(description="How many accounts it is for; while `collecting`, how many were found so far")
    done: int
    skipped: int = Field(description="Left as they were: nothing to do, gone, the own account, the last admin")
    refused: int = Field(description="Left as they were: not allowed")
    failed: int = Field(description="Left as they were after three errors")
    left: int
    started_by: uuid.UUID | None
    acting_id: uuid.UUID | None = Field(description="In whose name it acts: who started it, or resumed it last")
    created_at: datetime
    moved_at: datetime
    ended_at: datetime | None


class ReasonOut(BaseModel):
    """Why accounts were left as they were, and how many."""

    model_config = ConfigDict(from_attributes=True)

    state: Literal["skipped", "refused", "failed"]
    reason: str
    count: int


class NotDoneOut(BaseModel):
    """An account that was left as it was."""

    model_config = ConfigDict(from_attributes=True)

    user_id: uuid.UUID
    state: Literal["skipped", "refused", "failed"]
    reason: str


class BulkDetailOut(BulkOut):
    """One, with what was not done."""

    reasons: list[ReasonOut]
    not_done: list[NotDoneOut] = Field(description="The first hundred")


class BulkPageOut(BaseModel):
    """A page of bulk actions, newest first."""

    items: list[BulkOut]
    next_cursor: str | None = Field(description="Give it as `cursor` for the page after; null: this was the last")
