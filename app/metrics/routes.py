"""GET /metrics, where METRICS_TOKEN is set and no port of its own."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from app.auth.lanes import bearer_token
from app.core.caller import PUBLIC
from app.core.deps import ServerOf
from app.core.errors import Unauthenticated
from app.metrics.scraping import Scraper

router = APIRouter(include_in_schema=False, dependencies=[PUBLIC])


@router.get("/metrics")
async def read_metrics(request: Request, server: ServerOf, accept: Annotated[str, Header()] = "") -> Response:
    """The numbers of this process, for who has the token."""
    scraper = server.kit(Scraper)
    if not scraper.admits(bearer_token(request.scope)):
        raise Unauthenticated
    body, media_type = await scraper.scrape(accept)
    return Response(body, media_type=media_type)
