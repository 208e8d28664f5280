"""The account's table."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.permissions import Role
from app.core.personal import Person
from app.core.ports import Account
from app.database import Base, ByteOrdered, UtcDateTime

STAFF, DISABLED = text("role <> 'user'"), text("disabled_at IS NOT NULL")
KEPT_AFTER_LEAVING = timedelta(days=7)  # within them a sign-in brings the account back


def _few(name: str, *columns: str) -> tuple[Index, Index]:
    """Indexes of the few among a million that searches are narrowed to: nobody else's change pays for them."""
    return (
        Index(f"ix_users_staff_by_{name}", *columns, sqlite_where=STAFF, postgresql_where=STAFF),
        Index(f"ix_users_disabled_by_{name}", *columns, sqlite_where=DISABLED, postgresql_where=DISABLED),
    )


class User(Base):
    """An account.

    `username_key` and `email_key` are what is unique and looked up: lower case. `epoch` rises with each change of
    password, address, role or status, and with the first second factor; work that began under an older epoch must not end in a
    session (docs/adr/0003). `leaving_at` is when its owner left: signing in within seven days takes that back, later
    the account is erased.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "role", "id"),
        *_few("name", "username_key"),
        *_few("email", "email_key"),
        *_few("age", "created_at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(32))
    username_key: Mapped[str] = mapped_column(ByteOrdered(32), unique=True)
    email: Mapped[str] = mapped_column(String(320))
    email_key: Mapped[str] = mapped_column(ByteOrdered(320), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(255))  # None: signs in by passkey alone
    role: Mapped[str] = mapped_column(String(32), default=Role.USER)
    epoch: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    email_verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    password_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_login_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    display_name: Mapped[str | None] = mapped_column(String(64))
    locale: Mapped[str | None] = mapped_column(String(8))
    leaving_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)

    @property
    def active(self) -> bool:
        """Whether the account may be used, as far as admins have a say."""
        return self.disabled_at is None

    def usable(self, now: datetime) -> bool:
        """Whether its owner may still do something with it: not disabled, and not left for good."""
        return self.active and (self.leaving_at is None or self.leaving_at > now - KEPT_AFTER_LEAVING)

    @property
    def email_verified(self) -> bool:
        """Whether somebody proved to read mail at the address."""
        return self.email_verified_at is not None

    def account(self) -> Account:
        """The account as a value."""
        return Account(
            self.id,
            self.username,
            self.email,
            Role(self.role),
            self.email_verified,
            self.created_at,
            self.display_name,
            self.locale,
        )

    def person(self) -> Person:
        """The account as the one whose data is exported or erased."""
        return Person(self.id, self.username_key, self.email, self.email_key)


class HashScheme(Base):
    """A password scheme that some stored hash uses, so that every login can cost what the dearest one costs."""

    __tablename__ = "hash_schemes"

    scheme: Mapped[str] = mapped_column(String(64), primary_key=True)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who a login may be for; nobody, if `id` is None. And the password schemes that some account uses."""

    id: uuid.UUID | None
    username: str | None
    email: str | None
    password_hash: str | None
    epoch: int | None
    closed_at: datetime | None  # since when it may not be used: disabled, or left for good
    leaving_at: datetime | None
    last_login_at: datetime | None
    locale: str | None
    scheme_list: str | None

    @property
    def schemes(self) -> list[str]:
        """The schemes, which hold no spaces."""
        return (self.scheme_list or "").split()

    @property
    def active(self) -> bool:
        """Whether there is such an account, and it may be used."""
        return self.id is not None and self.closed_at is None
