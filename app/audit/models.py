"""The table of security events."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Serial, UtcDateTime

ABOUT_ANOTHER = text("(subject_id IS NULL OR subject_id <> actor_id)")


class AuditEvent(Base):
    """One security event.

    `id` is given by the database in the order of writing. What changes an account is written while its row is locked, so such
    events of one account are in the order in which they took effect. Ids are not foreign keys: a record outlives what it
    tells of.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "subject_id", "id"),
        # Most rows tell of what somebody did to the own account: they are found by subject, and cost no second index.
        Index("ix_audit_events_about_another", "actor_id", "id", sqlite_where=ABOUT_ANOTHER, postgresql_where=ABOUT_ANOTHER),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    fact: Mapped[str] = mapped_column(String(64))
    actor_id: Mapped[uuid.UUID | None]
    subject_id: Mapped[uuid.UUID | None]
    session_id: Mapped[uuid.UUID | None]
    address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(256))
    request_id: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
