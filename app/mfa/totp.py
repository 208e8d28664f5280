"""One-time codes by time (RFC 6238): SHA-1, six digits, steps of 30 seconds, as every authenticator app does them."""

from base64 import b32decode, b32encode
from dataclasses import dataclass
from datetime import datetime

import pyotp

from app.core.crypto import equal

SECRET_BYTES = 20
STEP_SECONDS, DIGITS, DRIFT = 30, 6, 1  # one step of drift to either side (RFC 6238 section 5.2)


@dataclass(frozen=True, slots=True)
class Setup:
    """What an authenticator app is set up with: the secret to type, or the same as a link and as a picture of it (SVG)."""

    secret: str
    otpauth_uri: str
    qr_svg: str


def setup_of(secret: bytes, username: str, issuer: str) -> Setup:
    """How an app comes by the secret."""
    import segno

    text = b32encode(secret).decode()
    uri = pyotp.TOTP(text).provisioning_uri(name=username, issuer_name=issuer)
    picture = segno.make(uri, error="m", micro=False)
    return Setup(text, uri, picture.svg_inline(scale=4, border=4, light="#fff", omitsize=True, svgclass=None, lineclass=None))


def setup_again(text: str, username: str, issuer: str) -> Setup | None:
    """The same for a secret that a page showed and a form brings back; None for what is none."""
    try:
        secret = b32decode(text)
    except ValueError:
        return None
    return setup_of(secret, username, issuer) if len(secret) == SECRET_BYTES else None


def step_at(now: datetime) -> int:
    """The number of the step that a moment lies in."""
    return int(now.timestamp()) // STEP_SECONDS


def find_step(secret: bytes, typed: str, now: datetime) -> int | None:
    """The step, of now or one beside it, whose code this is; the newest, if it should be the code of two."""
    code, otp, here = "".join(typed.split()), pyotp.TOTP(b32encode(secret).decode(), digits=DIGITS), step_at(now)
    steps = range(here - DRIFT, here + DRIFT + 1)
    return max((step for step in steps if equal(otp.generate_otp(step).encode(), code.encode())), default=None)
