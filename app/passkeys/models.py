"""The tables of passkeys and of challenges that are open."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Digest, UtcDateTime

CHALLENGE_LIFE = timedelta(minutes=5)
MOST_ID_BYTES = 1023  # of a credential (WebAuthn Level 3 section 4)
MOST_KEY_BYTES = 1024
HANDLE_BYTES = 64


class Passkey(Base):
    """A credential record (WebAuthn Level 3 section 4). All of an account have its one `user_handle`, which says nothing.

    `uv_initialized`: it verified its user (by PIN or body) when it was added, so it may be the whole login.
    `backup_eligible`: it may be synced between devices. `discoverable` is None where the browser did not say.
    """

    __tablename__ = "passkeys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(index=True)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(MOST_ID_BYTES), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(MOST_KEY_BYTES))
    user_handle: Mapped[bytes] = mapped_column(LargeBinary(HANDLE_BYTES))
    sign_count: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(64))
    aaguid: Mapped[uuid.UUID]
    transports: Mapped[str] = mapped_column(String(64))
    discoverable: Mapped[bool | None]
    backup_eligible: Mapped[bool]
    backed_up: Mapped[bool]
    uv_initialized: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PasskeyChallenge(Base):
    """A challenge that an authenticator has not answered yet. The row goes with its first use, whatever comes of that.

    `binding` is the digest of whom it was made for: a session, a login's attempt, a browser. It names nobody.
    """

    __tablename__ = "passkey_challenges"

    digest: Mapped[bytes] = mapped_column(Digest, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    binding: Mapped[bytes] = mapped_column(Digest)
    user_handle: Mapped[bytes | None] = mapped_column(LargeBinary(HANDLE_BYTES))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
