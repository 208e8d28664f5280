"""/health/: for people, /health/live: for restarting, /health/ready: for sending traffic."""

from typing import Any

from fastapi import APIRouter, Response

from app.core.caller import PUBLIC
from app.core.deps import ServerOf
from app.core.health import HEALTH
from app.health.schemas import HealthOut, LiveOut, ReadyOut
from app.health.service import report

router = APIRouter(prefix="/health", tags=["health"], dependencies=[PUBLIC])
DOWN: dict[int | str, dict[str, Any]] = {503: {"model": HealthOut, "description": "Down: no database"}}
NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": ReadyOut, "description": "Not ready"}}


@router.get("/", summary="Health", responses=DOWN)
async def health(server: ServerOf, response: Response) -> HealthOut:
    """Ok, degraded (Redis away, mail unconfigured: everything works) or down (503: no database)."""
    found = await report(HEALTH.of(server.parts))
    if found.status == "down":
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return HealthOut.model_validate(found, from_attributes=True)


@router.get("/live", summary="Alive")
async def live() -> LiveOut:
    """The process answers, whatever it needs."""
    return LiveOut()


@router.get("/ready", summary="Ready", responses=NOT_READY)
async def ready(server: ServerOf, response: Response) -> ReadyOut:
    """Ready once the database answers and is migrated."""
    found = await report([check for check in HEALTH.of(server.parts) if check.vital])
    if found.status == "ok":
        return ReadyOut(status="ready", checks=found.checks)
    response.status_code = 503
    response.headers["Retry-After"] = "1"
    return ReadyOut(status="not ready", checks=found.checks)
