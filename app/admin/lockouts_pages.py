"""/admin/lockouts: accounts that strangers' failed tries have stopped, and what one person's failed tries hold up.

Letting somebody try again is the act of the person's page (person_acts.py), which says beforehand what it does.
"""

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from app.admin.face import At, Desk
from app.admin.person_pages import LANES
from app.admin.users_pages import MAX_QUERY
from app.auth import staff
from app.auth.deps import AuthKit
from app.core.deps import Now
from app.core.permissions import Role, covers
from app.users import service as users
from app.users.errors import UserNotFound
from app.users.models import User

pages = APIRouter(prefix="/admin/lockouts", include_in_schema=False)


async def _find(db: AsyncSession, sought: str) -> User | None:
    if not sought.isprintable():  # no name is like that, and PostgreSQL would take no NUL
        return None
    try:
        return await users.get_by_name(db, sought)
    except UserNotFound:
        return None


@pages.get("")
async def show_lockouts(desk: Annotated[Desk, At("users:read")], now: Now) -> Response:
    """Everybody who is stopped, or the person searched for."""
    sought, kit = desk.request.query_params.get("q", "").strip()[:MAX_QUERY], desk.server.kit(AuthKit)
    async with desk.server.database.read() as db:
        user = await _find(db, sought) if sought else None
        lockouts = await staff.list_lockouts(db, kit, user.id, now) if user else []
        stops = [] if sought else await staff.list_stops(db, kit, now)
    return desk.show(
        "lockouts",
        desk.form({"q": sought}),
        user=user,
        lockouts=[(desk.say(LANES[each.kind]), each) for each in lockouts],
        stops=stops,
        most=staff.MOST_STOPS,
        liftable=lambda whose: desk.may("users:write") and covers(desk.known.me.role, Role(whose.role)),
    )
