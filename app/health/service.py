"""Asking every check at once, within a second (P5)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from app.core.health import HealthCheck

log = structlog.get_logger()
ANSWER_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class Report:
    """How the server is: "ok", "degraded" (works, but something is away) or "down"."""

    status: str
    checks: dict[str, str]


async def report(checks: Sequence[HealthCheck]) -> Report:
    """Run the checks side by side; one that does not answer in time counts as down and is not waited for."""
    tasks = {check: asyncio.ensure_future(check.run()) for check in checks}
    await asyncio.wait(tasks.values(), timeout=ANSWER_SECONDS)
    found = {check: _outcome(check, task) for check, task in tasks.items()}
    down = any(check.vital and state != "ok" for check, state in found.items())
    degraded = any(state not in {"ok", "off"} for state in found.values())
    return Report("down" if down else "degraded" if degraded else "ok", {check.name: state for check, state in found.items()})


def _outcome(check: HealthCheck, task: "asyncio.Future[str]") -> str:
    if not task.done():
        task.cancel()
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return "down"
    error = task.exception()
    if error is not None:
        log.info("health.check_failed", check=check.name, error=type(error).__name__)
        return "down"
    return task.result()
