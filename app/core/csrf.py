"""That a request which carries a cookie was meant by the person: where it comes from, and for forms a token beside it.

A browser sends a cookie by itself, whoever made it ask. A bearer token is put there by a program that holds it, so calls
that bring one need none of this.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from app.config import Settings
from app.core.cookies import FORM, Cookies, session_id_in
from app.core.crypto import b64decode, b64encode, derive_key, equal, keyed_digest, random_secret
from app.core.errors import CsrfRefused, MalformedBody, UnsupportedMediaType
from app.core.server import Server
from app.core.wire import FORM as FORM_TYPE
from app.core.wire import JSON, media_type_in

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
OURS = frozenset({"same-origin", "none"})  # none: typed, a bookmark, a reload
FORM_TOKEN = "form_token"  # noqa: S105 -- the field's name
FORM_COOKIE = "authkeep.form_cookie"  # key in the ASGI scope
SECRET_BYTES = 32
MAX_FORM_FIELDS = 30
MAX_CHOSEN = 1_030  # of a form with a list to choose from
MAX_NEXT = 1000
UNSAFE = re.compile(r"[^!-\[\]-~]")  # white space, control characters, the backslash, and all that is not ASCII
DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """The origin of a web address as browsers write it (RFC 6454 section 6.1)."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in {None, DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


@dataclass(frozen=True, slots=True)
class Origins:
    """Where a request with a cookie may come from."""

    own: str
    callers: frozenset[str]
    form_key: bytes
    mark_key: bytes

    @classmethod
    def of(cls, settings: Settings) -> "Origins":
        """As these settings have it."""
        own = origin_of(settings.public_url)
        callers = frozenset({own, *map(origin_of, settings.CORS_ORIGINS)})
        secret = settings.SECRET_KEY.get_secret_value()
        return cls(own, callers, derive_key(secret, "form-token"), derive_key(secret, "browser-mark"))


def origins_of(server: Server) -> Origins:
    """Those of this server."""
    if Origins not in server.kits:
        server.provide(Origins.of(server.settings))
    return server.kit(Origins)


def check_cookie_call(server: Server, scope: Scope, *, ours: bool = False) -> None:
    """Let a call of the API that carries a cookie pass only if a page that may make it did; with `ours`, only a page of ours.

    What changes something needs an allowed Origin and, since only a script that was let in by CORS can send that, the type
    application/json. What only reads must not come from elsewhere.

    Raises:
        CsrfRefused: it may come from anywhere.
    """
    headers, method, origins_known = Headers(scope=scope), scope["method"], origins_of(server)
    allowed = {origins_known.own} if ours else origins_known.callers
    origins = headers.getlist("origin")
    if method in SAFE:
        if any(origin not in allowed for origin in origins) or headers.get("sec-fetch-site") == "cross-site":
            raise CsrfRefused
        return
    if len(origins) != 1 or origins[0] not in allowed:
        raise CsrfRefused
    if method in WITH_BODY and media_type_in(headers) != JSON:
        raise CsrfRefused


def check_origin_if_any(server: Server, scope: Scope) -> None:
    """Refuse what a page made that may not call; programs, which send no Origin, may.

    Raises:
        CsrfRefused: a page of another origin asks.
    """
    if any(origin not in origins_of(server).callers for origin in Headers(scope=scope).getlist("origin")):
        raise CsrfRefused


def is_form_of_another(server: Server, scope: Scope) -> bool:
    """Whether a page that may not call sent a form: that alone it can send without being let in by CORS."""
    headers = Headers(scope=scope)
    elsewhere = any(origin not in origins_of(server).callers for origin in headers.getlist("origin"))
    return elsewhere and media_type_in(headers) != JSON


def form_token(request: Request) -> str:
    """What a form carries in its field `form_token`. Give the page its cookie too, by `keep_form_cookie`."""
    server: Server = request.app.state.server
    secret = _form_cookie(server, request)
    if secret is None:
        secret = request.scope.setdefault(FORM_COOKIE, random_secret())
    return _token(server, request, secret)


def keep_form_cookie(request: Request, response: Response) -> None:
    """Set the cookie that belongs to the forms shown, where the browser has none yet."""
    made = request.scope.get(FORM_COOKIE)
    if made is not None:
        cookies_of(request).put(response, FORM, made, None)


def check_form(request: Request, fields: Mapping[str, str]) -> None:
    """Let a form pass only if a page of ours showed it, to this browser, in this session.

    Raises:
        CsrfRefused: another page sent it, or it was shown before somebody signed in or out.
    """
    server: Server = request.app.state.server
    headers, own = request.headers, origins_of(server).own
    origins, site = headers.getlist("origin"), headers.get("sec-fetch-site")
    if site is None and not origins:
        raise CsrfRefused
    if site is not None and site not in OURS:
        raise CsrfRefused
    # A page that tells nobody where it leads from (Referrer-Policy: no-referrer) has the Origin "null".
    if any(origin != own and not (origin == "null" and site == "same-origin") for origin in origins):
        raise CsrfRefused
    secret = _form_cookie(server, request)
    if secret is None or not equal(fields.get(FORM_TOKEN, "").encode(), _token(server, request, secret).encode()):
        raise CsrfRefused


def browser_mark(request: Request, value: str) -> str | None:
    """What shows that a value was given to this browser, by the cookie of its forms; None for one that has none."""
    server: Server = request.app.state.server
    secret = _form_cookie(server, request)
    return b64encode(keyed_digest(origins_of(server).mark_key, secret, value)) if secret is not None else None


def cookies_of(request: Request) -> Cookies:
    """How this request's server writes cookies."""
    server: Server = request.app.state.server
    return server.cookies


def _form_cookie(server: Server, request: Request) -> str | None:
    found = server.cookies.read(request.scope, FORM)
    raw = b64decode(found) if found and found.isascii() else None
    return found if raw is not None and len(raw) == SECRET_BYTES else None


def _token(server: Server, request: Request, secret: str) -> str:
    # By the session's id and not by the whole cookie: a proof given again in another tab changes the secret alone.
    held = server.cookies.holding(request.scope)
    session_id = session_id_in(held[0]) if held else None
    return b64encode(keyed_digest(origins_of(server).form_key, "form", secret, session_id.bytes if session_id else b""))


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of several with one name the last.

    Raises:
        UnsupportedMediaType, MalformedBody: it is none.
    """
    return dict(await _read_pairs(request, MAX_FORM_FIELDS))


async def _read_pairs(request: Request, most: int) -> list[tuple[str, str]]:
    if media_type_in(request.headers) != FORM_TYPE:
        raise UnsupportedMediaType(f"Send {FORM_TYPE}.")
    raw = await request.body()
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=most)
    except ValueError:
        raise MalformedBody from None


async def _checked_form(request: Request) -> dict[str, str]:
    fields = await read_form(request)
    check_form(request, fields)
    return fields


async def _checked_choices(request: Request) -> list[tuple[str, str]]:
    pairs = await _read_pairs(request, MAX_CHOSEN)
    check_form(request, dict(pairs))
    return pairs


FormFields = Annotated[dict[str, str], Depends(_checked_form)]  # of a form that `check_form` let pass
FormChoices = Annotated[list[tuple[str, str]], Depends(_checked_choices)]  # of such a form, with all fields of one name


def safe_next(settings: Settings, value: str | None) -> str | None:
    """Where `next=` may lead: a path of our own, or a page of NEXT_ORIGINS; None for everything else.

    Browsers strip tabs and line ends out of an address, read a backslash as a slash, and two slashes as another host.
    """
    if not value or len(value) > MAX_NEXT or UNSAFE.search(value):
        return None
    if value.startswith("/"):
        return value if not value.startswith("//") and _split(value) is not None else None
    parts = _split(value)
    if parts is None or parts.scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    # As it is written, so that nothing of it is left for a browser to read in another way.
    return value if f"{parts.scheme}://{parts.netloc}" in settings.NEXT_ORIGINS and value.startswith(parts.scheme) else None


def _split(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts
