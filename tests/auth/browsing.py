"""A browser: somebody who holds a session by cookie, and pages that ask for one."""

from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app.auth import service
from app.auth.deps import AuthKit
from app.auth.sessions import Pair
from app.core.caller import PUBLIC, FreshPage, MaybeCaller, PageCaller
from app.core.client import Client
from app.core.csrf import FormFields, form_token, keep_form_cookie
from app.core.server import Server
from tests.support import api

ORIGIN = "http://localhost:8000"  # the server's own, by PUBLIC_URL's default
SAME = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
JSON = {"Content-Type": "application/json"}
BROWSER = Client("127.0.0.1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "test")


@dataclass(frozen=True)
class Browsing:
    """Somebody signed in with a browser."""

    user: api.User
    pair: Pair

    @property
    def cookie(self) -> str:
        assert self.pair.cookie is not None
        return self.pair.cookie

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"authkeep={self.cookie}"}

    @property
    def own_page(self) -> dict[str, str]:
        """As a script of our own page asks."""
        return {**self.headers, **SAME, **JSON}


async def sign_in(server: Server, client: httpx2.AsyncClient, user: api.User | None = None) -> Browsing:
    """Somebody, new unless given, whose browser holds a session."""
    user = user or await api.new_user(client)
    client.cookies.clear()
    kit, now = server.kit(AuthKit), server.clock()
    pair = await service.log_in(server.database, kit, user.username, user.password, None, BROWSER, now, browser=True)
    assert isinstance(pair, Pair)
    assert pair.refresh_token is None
    return Browsing(user, pair)


def add_pages(app: FastAPI) -> None:
    """A page for each kind of visitor, and a form."""

    async def profile(caller: PageCaller) -> dict[str, Any]:
        return {"who": str(caller.user_id)}

    async def leave(caller: FreshPage) -> dict[str, Any]:
        return {"who": str(caller.user_id)}

    async def anybody(caller: MaybeCaller) -> dict[str, Any]:
        return {"who": str(caller.user_id) if caller else None}

    async def show(request: Request) -> HTMLResponse:
        page = HTMLResponse(form_token(request))
        keep_form_cookie(request, page)
        return page

    async def send(fields: FormFields) -> dict[str, str]:
        return fields

    app.add_api_route("/account/test/profile", profile)
    app.add_api_route("/account/test/leave", leave)
    app.add_api_route("/account/test/anybody", anybody)
    app.add_api_route("/account/test/form", show, dependencies=[PUBLIC])
    app.add_api_route("/account/test/form", send, methods=["POST"], dependencies=[PUBLIC])
