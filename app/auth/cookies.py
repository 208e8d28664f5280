"""What a browser keeps for a person: the session itself, the refresh token of a page's script, that the device is known."""

from dataclasses import replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.auth.remembered import LIFE as REMEMBERED_LIFE
from app.auth.sessions import DEVICE_LIFE, Held, Pair
from app.core.cookies import ACTING, DEVICE, REFRESH, REMEMBERED, SESSION
from app.core.csrf import cookies_of
from app.core.server import Server


def hand_over(response: Response, server: Server, pair: Pair, now: datetime, *, by_cookie: bool = False) -> Pair:
    """Let the browser keep what a login or refresh gave; `by_cookie` the refresh token too, which then leaves the answer."""
    cookies, seconds = server.cookies, max(0, int((pair.expires_at - now).total_seconds()))
    if pair.device is not None:
        cookies.put(response, DEVICE, pair.device, int(DEVICE_LIFE.total_seconds()))
    if pair.remembered is not None:
        cookies.put(response, REMEMBERED, pair.remembered, int(REMEMBERED_LIFE.total_seconds()))
    if pair.cookie is not None:
        cookies.put(response, SESSION, pair.cookie, seconds)
    if not by_cookie or pair.refresh_token is None:
        return pair
    cookies.put(response, REFRESH, pair.refresh_token, seconds)
    return replace(pair, refresh_token=None)


def drop_cookies(request: Request, response: Response) -> None:
    """Take the session and the refresh token away, or the session in which somebody acts as another; the device stays known."""
    cookies = cookies_of(request)
    acting = cookies.read(request.scope, ACTING) is not None
    for kind in (ACTING,) if acting else (SESSION, REFRESH):
        if cookies.read(request.scope, kind) is not None:
            cookies.drop(response, kind)


def held_to_end(request: Request) -> Held:
    """What a logout ends: while somebody acts as another that alone, and they go on as themselves."""
    acting = cookies_of(request).read(request.scope, ACTING)
    return Held(cookie=acting) if acting is not None else held_by(request)


def held_by(request: Request) -> Held:
    """What the browser holds of its own sessions."""
    cookies = cookies_of(request)
    refresh = cookies.read(request.scope, REFRESH)
    return Held(refresh=(refresh,) if refresh else (), cookie=cookies.read(request.scope, SESSION))
