"""One page for one request, whichever face of the server it belongs to: who looks at it, in which language."""

from functools import cached_property
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import RedirectResponse

from app.core.caller import Caller
from app.core.errors import Unauthenticated
from app.core.i18n import negotiate, translate
from app.core.ports import Account
from app.core.server import Server

LOOKING = "authkeep.looking"  # key in the ASGI scope: who looks at the page, should it end in an error


class PageFace:
    """What the pages of accounts and of the console share."""

    def __init__(self, request: Request, server: Server, caller: Caller | None) -> None:
        self.request = request
        self.server = server
        self.caller = caller

    @property
    def me(self) -> Account | None:
        """The account of whoever is signed in."""
        return self.caller.me if self.caller else None

    @property
    def known(self) -> Caller:
        """The caller of a page that only callers see."""
        if self.caller is None:
            raise Unauthenticated
        return self.caller

    @cached_property
    def locale(self) -> str:
        """The person's choice; else what their browser asks for."""
        chosen = self.me.locale if self.me else None
        return chosen or negotiate(self.request.headers.get("accept-language", ""), self.server.settings.DEFAULT_LOCALE)

    def say(self, message: str, **values: object) -> str:
        """A marked text in this page's language."""
        return translate(self.locale, message, **values)

    def go(self, path: str, done: str = "", **query: str) -> RedirectResponse:
        """On to another page, by GET, so that a reload sends nothing twice."""
        asked = {"done": done, **query} if done else query
        return RedirectResponse(f"{path}?{urlencode(asked)}" if asked else path, status_code=303)
