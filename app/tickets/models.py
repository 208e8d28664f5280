"""The table of tickets."""

import uuid
from datetime import datetime

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, UtcDateTime

OPEN = text("spent_at IS NULL AND voided_at IS NULL")


class Ticket(Base):
    """Leave to do one thing once. At most one of a purpose is open for an account: a newer voids the older."""

    __tablename__ = "tickets"
    __table_args__ = (Index("uq_tickets_open", "user_id", "purpose", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[uuid.UUID]
    address: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    spent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
