"""The overview: how the service is, and what happened of late."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from app import __version__
from app.admin.charts import Chart, chart, grouped
from app.admin.face import At, Desk
from app.core.deps import DbRead, Now
from app.core.health import HEALTH
from app.core.i18n import N_
from app.health.service import report
from app.stats import service
from app.stats.service import Point

pages = APIRouter(prefix="/admin", include_in_schema=False)
SILENT = timedelta(minutes=5)
LABELS = {"sign_ups": N_("Sign-ups"), "logins": N_("Logins"), "failed_logins": N_("Failed logins")}
CHECKS = {"database": N_("Database"), "migrations": N_("Migrations"), "redis": "Redis", "mail": N_("Mail")}
STATES = {
    "ok": N_("in order"),
    "off": N_("not used"),
    "down": N_("does not answer"),
    "unconfigured": N_("not set up"),
    "some given up": N_("some were given up"),
}
STATUSES = {"ok": N_("Everything works"), "degraded": N_("It works, but something needs a look"), "down": N_("It does not work")}


@pages.get("/")
async def show_home(desk: Annotated[Desk, At("stats:read")], db: DbRead, now: Now) -> Response:
    """The flow of GET /stats."""
    overview = await service.look(db, now)
    health = await report(HEALTH.of(desk.server.parts))
    spans = [
        ("hours", desk.say(N_("The last 24 hours")), overview.hours, "%H:%M"),
        ("days", desk.say(N_("The last 30 days")), overview.days, "%m-%d"),
    ]
    return desk.show(
        "home",
        overview=overview,
        is_silent=overview.counted_at is None or now - overview.counted_at > SILENT,
        health=health,
        status_words=desk.say(STATUSES[health.status]),
        checks=[
            (desk.say(CHECKS.get(name, name)), desk.say(STATES.get(state, state)), state) for name, state in health.checks.items()
        ],
        version=__version__,
        spans=[(name, label, points, _charts(desk, name, points, form)) for name, label, points, form in spans],
        grouped=grouped,
    )


def _charts(desk: Desk, span: str, points: Sequence[Point], form: str) -> list[Chart]:
    return [
        chart(f"{span}-{name}", desk.say(label), [(point.at.strftime(form), getattr(point, name)) for point in points])
        for name, label in LABELS.items()
    ]
