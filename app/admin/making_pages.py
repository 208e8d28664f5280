"""/admin/users/create and /admin/users/invite: new people."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from app.admin.face import At, Desk
from app.admin.forms import read
from app.admin.users_pages import PATH, ROLE_NAMES
from app.auth.deps import Auth
from app.core.caller import REAUTHENTICATE, missing_proof
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.errors import AppError, SignInNeeded
from app.core.i18n import LOCALES
from app.core.permissions import Role, covers, is_staff
from app.invitations import service as invitations
from app.invitations.deps import Invitations
from app.invitations.schemas import InvitationIn
from app.passwords import staff
from app.passwords.schemas import CreateUserIn

pages = APIRouter(prefix=PATH, include_in_schema=False)
Writer = Annotated[Desk, At("users:write")]


def _choices(desk: Desk) -> dict[str, Any]:
    roles = [(role.value, desk.say(name)) for role, name in ROLE_NAMES.items() if covers(desk.known.me.role, role)]
    return {"roles": roles, "locales": LOCALES}


async def _see_fresh(desk: Desk, role: Role, now: datetime) -> None:
    """A role of staff takes a proof of the last ten minutes, as giving it later does."""
    if is_staff(role) and await missing_proof(desk.server, desk.known, now) is not None:
        raise SignInNeeded(f"{REAUTHENTICATE}?next={quote(desk.request.scope['path'])}")


@pages.get("/create")
async def show_create(desk: Writer) -> Response:
    """The form."""
    return desk.show("create", **_choices(desk))


@pages.post("/create")
async def create(desk: Writer, fields: FormFields, auth: Auth, now: Now) -> Response:
    """The flow of POST /users/ without a password: the person is mailed a link to choose one."""
    try:
        body = read(CreateUserIn, {name: text for name, text in fields.items() if name != "password"})
        await _see_fresh(desk, body.role, now)
        database, caller = desk.server.database, desk.known
        user = await staff.create_account(
            database, auth, caller, body.username, body.email, body.role, None, now, locale=body.locale
        )
    except SignInNeeded:
        raise
    except AppError as error:
        return desk.refused("create", {"username": "", "email": "", **fields}, error, **_choices(desk))
    return desk.go(f"{PATH}/{user.id}", "created")


@pages.get("/invite")
async def show_invite(desk: Writer) -> Response:
    """The form."""
    return desk.show("invite", **_choices(desk))


@pages.post("/invite")
async def invite(desk: Writer, fields: FormFields, kit: Invitations, now: Now) -> Response:
    """The flow of POST /users/invitations."""
    try:
        body = read(InvitationIn, fields)
        await _see_fresh(desk, body.role, now)
        async with desk.server.database.write() as db:
            await invitations.invite(db, kit, desk.known, body.email, body.role, now)
    except SignInNeeded:
        raise
    except AppError as error:
        return desk.refused("invite", {"email": "", **fields}, error, **_choices(desk))
    return desk.go(PATH, "invited")
