"""Our cookies: their names, and how they are read, set and taken away. All are HttpOnly and sent to this host alone."""

import uuid
from dataclasses import dataclass

from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from app.core.crypto import b64decode, b64encode, random_256

SESSION, REFRESH, DEVICE, FORM, MAGIC, REMEMBERED = "", "-refresh", "-device", "-form", "-magic", "-remembered"
PASSKEY, ATTEMPT, CONSOLE, ACTING = "-passkey", "-attempt", "-console", "-acting"
ID_BYTES, SECRET_BYTES = 16, 32
CONSOLE_PATH = "/admin/"
# All others must come along with a link from elsewhere (SameSite=Lax).
STRICT = frozenset({DEVICE, REMEMBERED, PASSKEY, ATTEMPT, CONSOLE})


@dataclass(frozen=True, slots=True)
class Cookies:
    """How cookies are written on this server. Over TLS `__Host-` binds them to this very host: no neighbour can set one."""

    https: bool

    def name(self, kind: str) -> str:
        """The cookie's whole name."""
        return f"{'__Host-' if self.https else ''}authkeep{kind}"

    def read(self, scope: Scope, kind: str) -> str | None:
        """What the browser sent; None for nothing, and for an empty one."""
        name = self.name(kind)
        marked = name.encode()
        for key, value in scope["headers"]:
            if key == b"cookie" and marked in value:
                found: str | None = cookie_parser(value.decode("latin-1")).get(name)
                if found:
                    return found
        return None

    def holding(self, scope: Scope) -> tuple[str, bool] | None:
        """The cookie of the session that a request belongs to, and whether it is one in which somebody acts as another.

        That one wins, good or not, everywhere but in the console: nobody is to do as themselves what they meant to do as another.
        """
        path: str = scope["path"]
        acting = None if f"{path}/".startswith(CONSOLE_PATH) else self.read(scope, ACTING)
        if acting is not None:
            return acting, True
        own = self.read(scope, SESSION)
        return (own, False) if own is not None else None

    def put(self, response: Response, kind: str, value: str, seconds: int | None) -> None:
        """Let the browser keep it for so long; None: until it is closed."""
        response.set_cookie(
            self.name(kind),
            value,
            max_age=seconds,
            path="/",
            secure=self.https,
            httponly=True,
            samesite="strict" if kind in STRICT else "lax",
        )

    def drop(self, response: Response, kind: str) -> None:
        """Take it away."""
        response.delete_cookie(
            self.name(kind), path="/", secure=self.https, httponly=True, samesite="strict" if kind in STRICT else "lax"
        )


def new_session_cookie(session_id: uuid.UUID) -> str:
    """A new value for a session's cookie: which session it is, and a secret of 256 random bits."""
    return b64encode(session_id.bytes + random_256())


def session_id_in(cookie: str | None) -> uuid.UUID | None:
    """The session a cookie claims to be for; says nothing about whether it is true."""
    raw = b64decode(cookie) if cookie and cookie.isascii() else None
    return uuid.UUID(bytes=raw[:ID_BYTES]) if raw is not None and len(raw) == ID_BYTES + SECRET_BYTES else None
