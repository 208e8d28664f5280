"""Authenticator apps that are brought in from elsewhere, or taken along."""

import uuid
from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import random_id
from app.database import add_many
from app.mfa import repository
from app.mfa.deps import MfaKit
from app.mfa.models import TotpFactor
from app.mfa.proofs import place_of
from app.mfa.totp import DIGITS, STEP_SECONDS, step_at

SECRET_BYTES = range(10, 65)  # RFC 4226 section 4 wants 16; the oldest apps have 10
USUAL = {"algorithm": "SHA1", "digits": str(DIGITS), "period": str(STEP_SECONDS)}


class NoSecret(ValueError):
    """Not the secret of an app that codes can be checked of."""


def read_secret(text: str) -> bytes:
    """The secret of an app, from base32 as people type it or from an otpauth:// link.

    Raises:
        NoSecret: it is none, or the app makes other codes than those of SHA-1 with six digits each 30 seconds.
    """
    if text.startswith("otpauth:"):
        text = _of_link(text)
    letters = text.replace(" ", "").rstrip("=").upper()
    try:
        secret = b32decode(letters + "=" * (-len(letters) % 8))
    except (Base32Error, ValueError):
        raise NoSecret("the authenticator's secret is not base32") from None
    if len(secret) not in SECRET_BYTES:
        raise NoSecret("the authenticator's secret is too short or too long")
    return secret


def _of_link(link: str) -> str:
    try:
        parts = urlsplit(link)
        said = {name: values[0] for name, values in parse_qs(parts.query, max_num_fields=16).items()}
    except ValueError:
        raise NoSecret("the authenticator's link can't be read") from None
    if parts.hostname != "totp" or any(said.get(name, usual).upper() != usual for name, usual in USUAL.items()):
        raise NoSecret("the authenticator makes other codes than SHA-1, six digits, 30 seconds")
    return said.get("secret", "")


def write_secret(secret: bytes) -> str:
    """As `read_secret` takes it."""
    return b32encode(secret).decode().rstrip("=")


async def add_apps(db: AsyncSession, kit: MfaKit, secrets: Mapping[uuid.UUID, bytes], now: datetime) -> None:
    """An app that counts for each of these new accounts. A code that was good up to now is not good once more."""
    usual = {"created_at": now, "confirmed_at": now, "last_step": step_at(now)}
    factors = [TotpFactor(id=random_id(), user_id=user_id, **usual) for user_id in secrets]
    names = ("id", "user_id", "created_at", "confirmed_at", "last_step")
    rows = [
        {name: getattr(factor, name) for name in names}
        | {"secret_sealed": kit.sealer.seal(secrets[factor.user_id], place_of(factor))}
        for factor in factors
    ]
    await add_many(db, TotpFactor, rows)


async def list_secrets(db: AsyncSession, kit: MfaKit, user_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, bytes]:
    """The secrets of those of these accounts that have an app.

    Raises:
        NoSecret: one was sealed by another key.
    """
    found: dict[uuid.UUID, bytes] = {}
    for factor in await repository.list_confirmed(db, user_ids):
        secret = kit.sealer.unseal(factor.secret_sealed, place_of(factor))
        if secret is None:
            raise NoSecret("an authenticator's secret was sealed under another SECRET_KEY")
        found[factor.user_id] = secret
    return found
