"""The tables of webhooks."""

import uuid
from datetime import datetime

from sqlalchemy import JSON, BigInteger, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Serial, UtcDateTime


class WebhookEndpoint(Base):
    """A receiver, and the facts it is told of: of events written after the one whose id is `after_event`.

    `lease` is of the one worker that delivers to it at the moment. The old secret signs beside the new one until `old_until`.
    """

    __tablename__ = "webhook_endpoints"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(String(2048))
    description: Mapped[str] = mapped_column(String(100))
    facts: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    after_event: Mapped[int] = mapped_column(BigInteger)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_reason: Mapped[str | None] = mapped_column(String(16))
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary(128))
    old_secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary(128))
    old_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def enabled(self) -> bool:
        """Whether it is told of anything."""
        return self.disabled_at is None


class WebhookDelivery(Base):
    """One event for one receiver, once; a test has no event. Its id, as `webhook-id`, is the same at each attempt.

    `tries` counts the attempts since it was made or replayed. `due_at` is when the next one is due while it waits.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(None, "endpoint_id", "created_at", "id"),
        Index(None, "endpoint_id", "state", "due_at"),
        Index("uq_webhook_deliveries_event_id_endpoint_id", "event_id", "endpoint_id", unique=True),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[uuid.UUID]
    event_id: Mapped[int | None] = mapped_column(BigInteger)
    type: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    state: Mapped[str] = mapped_column(String(16))
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WebhookAttempt(Base):
    """What came of one attempt: a status and how the answer begins, or why there is none."""

    __tablename__ = "webhook_attempts"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    delivery_id: Mapped[uuid.UUID] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    milliseconds: Mapped[int]
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(16))
    answer: Mapped[str] = mapped_column(Text)


class WebhookCursor(Base):
    """One row: up to which place of the audit chain receivers were given their deliveries."""

    __tablename__ = "webhook_cursor"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
