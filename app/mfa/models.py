"""The tables of authenticator apps, recovery codes, and who must have a factor."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Digest, UtcDateTime

CONFIRMED, PENDING = text("confirmed_at IS NOT NULL"), text("confirmed_at IS NULL")


class TotpFactor(Base):
    """An authenticator app (RFC 6238). It counts once a code of it was given; an account has one at most, and one pending.

    `secret_sealed` is bound to the row and its account. `last_step` is the newest step whose code was accepted: none is
    accepted twice, nor an older one after it.
    """

    __tablename__ = "totp_factors"
    __table_args__ = (
        Index("uq_totp_factors_confirmed", "user_id", unique=True, sqlite_where=CONFIRMED, postgresql_where=CONFIRMED),
        Index("uq_totp_factors_pending", "user_id", unique=True, sqlite_where=PENDING, postgresql_where=PENDING),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID]
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary(128))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)


class RecoveryCode(Base):
    """A code that stands in for a lost factor, once. 120 random bits, so a keyed digest is enough (ASVS V6.5.2)."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index(None, "user_id", "digest", unique=True),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID]
    digest: Mapped[bytes] = mapped_column(Digest)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    spent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class MfaRequirement(Base):
    """That an account must have a second factor: because an admin says so, or MFA does and its grace has begun to run."""

    __tablename__ = "mfa_requirements"

    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    required_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    grace_ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
