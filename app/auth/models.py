"""The tables of sessions, login attempts, devices and failed logins."""

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, Index, String, exists, text
from sqlalchemy.orm import Mapped, aliased, mapped_column

from app.core.assurance import AAL1
from app.database import Base, Digest, UtcDateTime
from app.users.models import User

ALIVE, ENDED = text("ended_at IS NULL"), text("ended_at IS NOT NULL")
ACTING = text("parent_id IS NOT NULL")


class Session(Base):
    """A login and what became of it. The row decides, at every request; it outlives its user.

    `authenticated_at` is the last proof of who it is (the tokens' auth_time), `amr` and `acr` say how it was given; refreshing
    never moves them. `opened_with` and `proved_with` are the second factor or passkey, as `kind:id`, that had part in the
    login and in the last proof; losing it ends the session. In one with a `parent_id` somebody else, `impersonator_id`, acts as
    the account: it was opened from that session of theirs, and is alive only while that one is (docs/adr/0020).
    """

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_alive", "user_id", sqlite_where=ALIVE, postgresql_where=ALIVE),
        # Apart, so that a login pays for one of them: whoever is exported or erased may be one of a million.
        Index("ix_sessions_ended", "user_id", sqlite_where=ENDED, postgresql_where=ENDED),
        Index(None, "parent_id", sqlite_where=ACTING, postgresql_where=ACTING),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID]
    generation: Mapped[int] = mapped_column(default=0)
    rotated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rotated_by: Mapped[bytes | None] = mapped_column(Digest)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(String(32))
    address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(256))
    amr: Mapped[str] = mapped_column(String(64))
    acr: Mapped[str] = mapped_column(String(16), default=AAL1, server_default=AAL1)
    authenticated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_with: Mapped[str | None] = mapped_column(String(64))
    proved_with: Mapped[str | None] = mapped_column(String(64))
    cookie_digest: Mapped[bytes | None] = mapped_column(Digest)
    impersonator_id: Mapped[uuid.UUID | None]
    parent_id: Mapped[uuid.UUID | None]


def is_held_up(now: datetime) -> ColumnElement[bool]:
    """Whether a session is alive; where somebody acts as another, the session that it was opened from too."""
    parent, owner = aliased(Session), aliased(User)
    opened_from = (parent.id == Session.parent_id) & parent.ended_at.is_(None) & (parent.expires_at > now)
    theirs = (owner.id == parent.user_id) & owner.disabled_at.is_(None)
    own = Session.ended_at.is_(None) & (Session.expires_at > now)
    return own & (Session.parent_id.is_(None) | exists().where(opened_from, theirs))


class KnownDevice(Base):
    """A device its owner signed in on: its tries are counted apart from strangers'."""

    __tablename__ = "known_devices"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(index=True)
    digest: Mapped[bytes] = mapped_column(Digest, unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class LoginFailure(Base):
    """Failed tries in a row of one lane, known or not: an identifier as typed, a device, or an account as a whole."""

    __tablename__ = "login_failures"

    key: Mapped[bytes] = mapped_column(Digest, primary_key=True)
    failures: Mapped[int]
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    forget_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginAttempt(Base):
    """A login that was begun: its first proof was given and another step is owed. It opens nothing by itself.

    `owed` is what the client was told (mfa_required, mfa_enrolment_required), `amr` the first proof. It dies with the account's
    `epoch`, after ten minutes or five tries, and when it is spent.
    """

    __tablename__ = "login_attempts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(index=True)
    digest: Mapped[bytes] = mapped_column(Digest)
    owed: Mapped[str] = mapped_column(String(32))
    amr: Mapped[str] = mapped_column(String(64))
    epoch: Mapped[int]
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    spent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RememberedDevice(Base):
    """A browser that need not give the second factor for a while. Its cookie is signed for the account and its factors."""

    __tablename__ = "remembered_devices"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(index=True)
    user_agent: Mapped[str] = mapped_column(String(256))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
