"""The table of security events."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Digest, Serial, UtcDateTime

ABOUT_ANOTHER = text("(subject_id IS NULL OR subject_id <> actor_id)")
# What logins write, again and again: these are found by going through rows, all others by an index that costs no login.
COMMON = frozenset({"session.ended", "user.login.failed", "user.login.step_owed", "user.login.succeeded", "user.reauthenticated"})
RARE = text(
    "fact NOT IN ('session.ended', 'user.login.failed', 'user.login.step_owed', 'user.login.succeeded', 'user.reauthenticated')"
)
UNSEALED, SEALED = text("position IS NULL"), text("position IS NOT NULL")


class AuditEvent(Base):
    """One security event.

    `id` is given by the database in the order of writing. What changes an account is written while its row is locked, so such
    events of one account are in the order in which they took effect. Ids are not foreign keys: a record outlives what it
    tells of.

    `data` names nobody; what may is in `personal`. `position`, `seal` and `mark` are the row's place in the chain, given by the
    sealer within seconds; until then `mark` says that we wrote it, and a negative position that we did not. The salts are
    gone, and the digests there, of what was erased (`app/audit/chain.py`).
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "subject_id", "id"),
        # Most rows tell of what somebody did to the own account: they are found by subject, and cost no second index.
        Index("ix_audit_events_about_another", "actor_id", "id", sqlite_where=ABOUT_ANOTHER, postgresql_where=ABOUT_ANOTHER),
        Index("ix_audit_events_rare", "fact", "id", sqlite_where=RARE, postgresql_where=RARE),
        Index(None, "address", "id"),
        Index("ix_audit_events_unsealed", "id", sqlite_where=UNSEALED, postgresql_where=UNSEALED),
        # Apart, so that writing a row costs the one above alone.
        Index("uq_audit_events_position", "position", unique=True, sqlite_where=SEALED, postgresql_where=SEALED),
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
    personal: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # None: written by a server from before the chain
    impersonator_id: Mapped[uuid.UUID | None]
    client_salt: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    personal_salt: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    client_digest: Mapped[bytes | None] = mapped_column(Digest)
    personal_digest: Mapped[bytes | None] = mapped_column(Digest)
    position: Mapped[int | None] = mapped_column(BigInteger)
    seal: Mapped[bytes | None] = mapped_column(Digest)
    mark: Mapped[bytes | None] = mapped_column(LargeBinary(20))

    @property
    def said(self) -> dict[str, Any]:
        """What changed, personal or not."""
        return {**self.data, **(self.personal or {})}


class AuditChain(Base):
    """One row: how far the chain is, and which sealer has it.

    `taken_in_to` is the last place of a row from before there was a chain; None: they are being taken in.
    """

    __tablename__ = "audit_chain"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    seal: Mapped[bytes] = mapped_column(Digest)
    taken_in_to: Mapped[int | None] = mapped_column(BigInteger)
    lease: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    head_position: Mapped[int] = mapped_column(BigInteger)  # the newest signed head
    head_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditHead(Base):
    """A signed head, as it went to the sinks. Whoever owns the database can remove it: the sinks' copies are the proof."""

    __tablename__ = "audit_heads"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    position: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[str] = mapped_column(String(600))
