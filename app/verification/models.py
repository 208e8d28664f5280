"""The tables of pending registrations and of changes of address."""

import uuid
from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, ByteOrdered, UtcDateTime


class PendingRegistration(Base):
    """What somebody typed to register, until the address is proved: no account yet, and it opens nothing.

    Written whether or not the address is taken. `username_key` is kept from others until `reserved_until`, then the row
    is dead, whatever became of its mail.
    """

    __tablename__ = "pending_registrations"
    __table_args__ = (Index(None, "email_key", "created_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(32))
    username_key: Mapped[str] = mapped_column(ByteOrdered(32), unique=True)
    email: Mapped[str] = mapped_column(String(320))
    email_key: Mapped[str] = mapped_column(ByteOrdered(320))
    password_hash: Mapped[str] = mapped_column(String(255))
    scheme: Mapped[str] = mapped_column(String(64))
    locale: Mapped[str | None] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reserved_until: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class EmailChange(Base):
    """A change of an account's address: asked for, confirmed at the new one, perhaps undone from the old one.

    `epoch` is the account's when it was asked for: a later change of password, role or status makes the link worthless. Once
    confirmed, the old address is kept from everybody else until `forget_at`, so that it can be given back.
    """

    __tablename__ = "email_changes"
    __table_args__ = (Index(None, "user_id", "requested_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID]
    epoch: Mapped[int]
    old_email: Mapped[str] = mapped_column(String(320))
    old_email_key: Mapped[str] = mapped_column(ByteOrdered(320), index=True)
    new_email: Mapped[str] = mapped_column(String(320))
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    forget_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
