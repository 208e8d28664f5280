"""The table of tickets."""

import uuid
from datetime import datetime

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Digest, UtcDateTime

OPEN = text("spent_at IS NULL AND voided_at IS NULL")


class Ticket(Base):
    """Leave to do one thing once. At most one of a purpose is open for its subject: a newer voids the older.

    The subject is an account, or a row that stands for something asked of one (a pending registration, a change of address,
    a session): such tickets outlive a change of password, which voids those of the account itself.
    `binding` is the digest of what stands for the browser that asked, where that matters.
    """

    __tablename__ = "tickets"
    __table_args__ = (
        Index("uq_tickets_open", "subject_id", "purpose", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        Index("ix_tickets_open_address", "address", "purpose", sqlite_where=OPEN, postgresql_where=OPEN),  # for codes
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[uuid.UUID]
    address: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    spent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    binding: Mapped[bytes | None] = mapped_column(Digest)


class CodeGuess(Base):
    """How often short codes were guessed: for one purpose and address, whatever was sent there meanwhile; or of one account."""

    __tablename__ = "code_guesses"

    key: Mapped[bytes] = mapped_column(Digest, primary_key=True)
    guesses: Mapped[int]
    forget_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
