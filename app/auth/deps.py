"""What auth's flows need beside a transaction, put together once when the feature is installed."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated

from app.auth.blocklist import Blocklist
from app.auth.common_passwords import CommonPasswords
from app.auth.errors import PasswordRejected
from app.auth.hashing import HashingPool
from app.auth.password_rules import PasswordPolicy, violations
from app.auth.utils import Passwords, Tokens
from app.core.deps import kit


@dataclass(frozen=True, slots=True)
class AuthKit:
    """Keys, rules and the hashing pool."""

    passwords: Passwords
    pool: HashingPool
    tokens: Tokens
    blocklist: Blocklist
    common: CommonPasswords
    policy: PasswordPolicy
    product: str
    refresh_days: int
    lane_key: bytes
    client_key: bytes
    remember_key: bytes
    registration_open: bool
    refused: Counter[str] = field(default_factory=Counter)  # logins that were refused before they were tried, by why

    def check_new_password(self, password: str, field: str, *, username: str, email: str) -> None:
        """The rules for every path that sets a password (ASVS V6.2).

        Raises:
            PasswordRejected: which rules it breaks.
        """
        found = violations(password, self.policy, username=username, email=email, product=self.product, common=self.common)
        if found:
            raise PasswordRejected(field, [(violation.code, violation.detail) for violation in found])


Auth = Annotated[AuthKit, kit(AuthKit)]
