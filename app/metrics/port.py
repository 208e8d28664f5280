"""What METRICS_PORT answers: /metrics, and nothing else. It is apart from the server's own edge, its log and its counts."""

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from app.auth.lanes import bearer_token
from app.core.edge import frames
from app.metrics.scraping import Scraper

log = structlog.get_logger()


class MetricsPort:
    """An ASGI application. Where METRICS_TOKEN is set it is asked for here, too."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (await self._answer(Request(scope)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.scope["path"] != "/metrics":
            return PlainTextResponse("Not found\n", 404)
        if request.method not in {"GET", "HEAD"}:
            return PlainTextResponse("Method not allowed\n", 405, {"Allow": "GET, HEAD"})
        if not self._scraper.admits(bearer_token(request.scope)):
            return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": "Bearer"})
        try:
            body, media_type = await self._scraper.scrape(request.headers.get("accept", ""))
        except Exception as error:  # nothing is there to catch it: the server's edge is elsewhere
            log.warning("metrics.failed", error=type(error).__name__, at=frames(error))
            return PlainTextResponse("Failed\n", 500)
        return Response(body, media_type=media_type, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
