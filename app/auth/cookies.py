"""What a browser keeps for a person: the session itself, the refresh token of a page's script, that the device is known."""

from dataclasses import replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.auth.remembered import LIFE as REMEMBERED_LIFE
from app.auth.sessions import DEVICE_LIFE, Held, Pair
from app.core.cookies import DEVICE, REFRESH, REMEMBERED, SESSION
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
    """Take the session and the refresh token away; the device stays known."""
    cookies = cookies_of(request)
    for kind in (SESSION, REFRESH):
        if cookies.read(request.scope, kind) is not None:
            cookies.drop(response, kind)


def held_by(request: Request) -> Held:
    """What the browser holds of sessions."""
    cookies = cookies_of(request)
    refresh = cookies.read(request.scope, REFRESH)
    return Held(refresh=(refresh,) if refresh else (), cookie=cookies.read(request.scope, SESSION))
