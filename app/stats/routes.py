"""GET /stats: the overview, for who has `stats:read`."""

from typing import Annotated

from fastapi import APIRouter

from app import __version__
from app.core.caller import Caller, May
from app.core.deps import DbRead, Now, ServerOf
from app.core.errors import Forbidden, Unauthenticated
from app.core.health import HEALTH
from app.core.problems import refusals
from app.health.service import report
from app.stats import service
from app.stats.schemas import OverviewOut, StatsOut

router = APIRouter(prefix="/stats", tags=["stats"])


@router.get("", summary="How things stand", responses=refusals(Unauthenticated, Forbidden))
async def read_stats(_caller: Annotated[Caller, May("stats:read")], db: DbRead, server: ServerOf, now: Now) -> StatsOut:
    """Sign-ups, logins and failed logins by hour and day, sessions, mails, latency, and how the server is."""
    overview = OverviewOut.model_validate(await service.look(db, now))
    health = await report(HEALTH.of(server.parts))
    return StatsOut.model_validate({**dict(overview), "version": __version__, "status": health.status, "checks": health.checks})
