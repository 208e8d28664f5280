"""The table of invitations."""

import uuid
from datetime import datetime

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, ByteOrdered, UtcDateTime

OPEN = text("accepted_at IS NULL AND withdrawn_at IS NULL")


class Invitation(Base):
    """Leave for one address to make one account. At most one is open for an address: a newer withdraws the older.

    `accepted_by` is the account that was made: its address may be another one by the time it is exported or erased.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        Index("uq_invitations_open", "email_key", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        Index(None, "created_at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    email_key: Mapped[str] = mapped_column(ByteOrdered(320))
    role: Mapped[str] = mapped_column(String(32))
    invited_by: Mapped[uuid.UUID | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    accepted_by: Mapped[uuid.UUID | None]
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
