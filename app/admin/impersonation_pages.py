"""Acting as somebody: says what that means, asks why, and begins it."""

import uuid
from typing import Annotated

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response

from app.admin.face import At, Desk
from app.auth.deps import Auth
from app.core.cookies import ACTING
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.errors import AppError, FieldError, Invalid
from app.core.limits import Limited
from app.impersonation import service
from app.impersonation.deps import Impersonation
from app.impersonation.schemas import ImpersonateIn
from app.users import service as users
from app.users.errors import UserNotFound
from app.users.models import User

pages = APIRouter(prefix="/admin/users/{user_id}/impersonate", include_in_schema=False)
Impersonator = Annotated[Desk, At("users:impersonate", harm=True)]
ONWARD = "/account/"


async def _person(desk: Desk, user_id: uuid.UUID) -> User:
    async with desk.server.database.read() as db:
        return await users.get_user(db, user_id)


@pages.get("")
async def show_impersonate(user_id: uuid.UUID, desk: Impersonator, kit: Impersonation) -> Response:
    """What it does, and the field for the reason."""
    return desk.show("impersonate", person=await _person(desk, user_id), tells=kit.tells)


@pages.post("", dependencies=[Limited("impersonate")])
async def impersonate(
    user_id: uuid.UUID, desk: Impersonator, fields: FormFields, auth: Auth, kit: Impersonation, now: Now
) -> Response:
    """The flow of POST /users/{id}/impersonate, for this browser: a cookie of its own holds the person's session."""
    try:
        reason = _reason(fields.get("reason", ""))
        async with desk.server.database.write() as db:
            pair = await service.start(db, auth, kit, desk.known, user_id, reason, now, browser=True)
    except UserNotFound:
        raise
    except AppError as error:
        person = await _person(desk, user_id)
        return desk.refused("impersonate", {"reason": "", **fields}, error, person=person, tells=kit.tells)
    answer = desk.go(ONWARD)
    seconds = max(0, int((pair.expires_at - now).total_seconds()))
    desk.server.cookies.put(answer, ACTING, pair.cookie or "", seconds)
    return answer


def _reason(text: str) -> str:
    try:
        return ImpersonateIn(reason=text).reason
    except ValidationError:
        raise Invalid(errors=[FieldError(("body", "reason"), "reason_missing", "")]) from None
