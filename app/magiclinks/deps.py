"""What signing in by mail needs beside auth's kit, and what stands for the browser that asked."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Request
from starlette.responses import Response

from app.core.cookies import MAGIC
from app.core.crypto import b64decode, random_secret
from app.core.csrf import cookies_of
from app.core.deps import kit

SECRET_BYTES = 32
LATE = timedelta(hours=1)  # a link counts from its sending; whoever waits for a slow mail is still who asked


@dataclass(frozen=True, slots=True)
class MagicKit:
    """The links' key, how long they live, where they lead."""

    key: bytes
    lane_key: bytes
    life: timedelta
    url: str


Magic = Annotated[MagicKit, kit(MagicKit)]


def asking_browser(request: Request) -> str | None:
    """The secret of this browser, if it asked for a link not long ago."""
    held = cookies_of(request).read(request.scope, MAGIC)
    raw = b64decode(held) if held and held.isascii() else None
    return held if raw is not None and len(raw) == SECRET_BYTES else None


def remember_browser(request: Request, response: Response, kit: MagicKit) -> str:
    """A secret that stands for this browser, which keeps it a while longer than a link lives: the one it has, or a new one."""
    secret = asking_browser(request) or random_secret()
    cookies_of(request).put(response, MAGIC, secret, int((kit.life + LATE).total_seconds()))
    return secret


def forget_browser(request: Request, response: Response) -> None:
    """It has what it asked for."""
    if cookies_of(request).read(request.scope, MAGIC) is not None:
        cookies_of(request).drop(response, MAGIC)
