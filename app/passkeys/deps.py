"""What passkeys need: who we are to authenticators, and a key."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Request
from starlette.responses import Response

from app.core.cookies import PASSKEY
from app.core.crypto import b64decode, random_secret
from app.core.csrf import cookies_of
from app.core.deps import kit
from app.passkeys.models import CHALLENGE_LIFE

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class PasskeyKit:
    """The relying party (WebAuthn Level 3 section 5.4.2): its id, its name, the exact origins of its pages and apps."""

    rp_id: str
    rp_name: str
    origins: tuple[str, ...]
    fake_key: bytes


Passkeys = Annotated[PasskeyKit, kit(PasskeyKit)]


def asking_browser(request: Request) -> str | None:
    """The secret of this browser, if it asked for a challenge not long ago."""
    held = cookies_of(request).read(request.scope, PASSKEY)
    raw = b64decode(held) if held and held.isascii() else None
    return held if raw is not None and len(raw) == SECRET_BYTES else None


def remember_browser(request: Request, response: Response) -> str:
    """A secret that stands for this browser, which keeps it as long as a challenge lives: the one it has, or a new one."""
    secret = asking_browser(request) or random_secret()
    cookies_of(request).put(response, PASSKEY, secret, int(CHALLENGE_LIFE.total_seconds()))
    return secret
