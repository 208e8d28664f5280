"""The tables of bulk actions."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, UtcDateTime


class BulkAction(Base):
    """One action on many accounts, and how far it is.

    `acting_id` is in whose name it acts: who started it, or resumed it last; `acting_epoch` is that account's at that moment,
    and once it is another, it stops. `turn` names the one chain of jobs that may go on with it: a job of an older turn does
    nothing. `filter` is there while the accounts that match it are being written down, up to the id `collected_to`. `moved_at`
    is when a worker last got on with it.
    """

    __tablename__ = "bulk_actions"
    __table_args__ = (Index(None, "created_at", "id"), Index(None, "state", "moved_at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(String(32))
    role: Mapped[str | None] = mapped_column(String(32))
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    collected_to: Mapped[uuid.UUID | None]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    turn: Mapped[int] = mapped_column(default=0)
    started_by: Mapped[uuid.UUID | None]
    acting_id: Mapped[uuid.UUID | None]
    acting_epoch: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    moved_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    skipped: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)

    @property
    def left(self) -> int:
        """How many accounts wait for their turn."""
        return self.total - self.done - self.skipped - self.refused - self.failed


class BulkItem(Base):
    """One account that a bulk action is for, and what became of it."""

    __tablename__ = "bulk_items"
    __table_args__ = (Index(None, "bulk_id", "state", "user_id"),)

    bulk_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, index=True)
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    reason: Mapped[str | None] = mapped_column(String(32))
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
