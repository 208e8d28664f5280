"""/admin/users/{id}: one person, and each act about the account on a page that says what it is about to do."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.responses import Response

from app.admin.face import At, Desk
from app.admin.forms import read
from app.admin.person_acts import ACTS, Act, Doing
from app.admin.users_pages import PATH, ROLE_NAMES
from app.audit.reading import list_about
from app.audit.words import words_of
from app.auth import staff
from app.auth.deps import AuthKit
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.device_names import load_names
from app.core.errors import AppError, FieldError, Forbidden, Invalid
from app.core.i18n import LOCALES, N_
from app.core.permissions import Permission, Role, covers
from app.mfa import service as mfa
from app.mfa.deps import MfaKit
from app.users import service as users
from app.users.errors import UserNotFound
from app.users.models import User
from app.verification import staff as verification
from app.verification.schemas import EditUserIn

pages = APIRouter(prefix=PATH + "/{user_id}", include_in_schema=False)
EVENTS = 15
METHODS = {"totp": N_("Authenticator app"), "passkey": N_("Passkey"), "recovery": N_("Recovery codes")}
LANES = {
    "username": N_("Sign-in by the username"),
    "email": N_("Sign-in by the mail address"),
    "account": N_("Sign-in by password at all"),
    "proof": N_("Confirming who they are"),
    "second_factor": N_("Second factor"),
}


@pages.get("")
async def show_person(user_id: uuid.UUID, desk: Annotated[Desk, At("users:read")], now: Now) -> Response:
    """All of it on one page."""
    name = await load_names()
    async with desk.server.database.read() as db:
        user = await users.get_user(db, user_id)
        overview = await mfa.look(db, desk.server.kit(MfaKit), user)
        sessions = await staff.list_sessions(db, user_id, now)
        lockouts = await staff.list_lockouts(db, desk.server.kit(AuthKit), user_id, now)
        events = await list_about(db, user_id, EVENTS) if desk.may("audit:read") else []
    return desk.show(
        "person",
        **_about(desk, user),
        overview=overview,
        methods=[desk.say(METHODS.get(method, method)) for method in overview.methods],
        sessions=[(each, name(each.user_agent).in_language(desk.locale)) for each in sessions],
        lockouts=[(desk.say(LANES[each.kind]), each) for each in lockouts],
        events=[(each, words_of(each.fact, desk.locale), name(each.user_agent).in_language(desk.locale)) for each in events],
        acts=[(path, desk.say(act.title), act.destructive) for path, act in ACTS.items() if _fits(desk, act, user)],
    )


def _about(desk: Desk, user: User) -> dict[str, Any]:
    reachable = covers(desk.known.me.role, Role(user.role))
    return {
        "user": user,
        "role": desk.say(ROLE_NAMES[Role(user.role)]),
        "reachable": reachable,
        "own": user.id == desk.known.me.id,
    }


def _fits(desk: Desk, act: Act, user: User) -> bool:
    allowed = desk.may(act.permission) and covers(desk.known.me.role, Role(user.role))
    return allowed and act.fits(user) and (act.own or user.id != desk.known.me.id)


def _asking(desk: Desk, path: str, act: Act, user: User) -> dict[str, Any]:
    mine = desk.known.me.role
    return {
        **_about(desk, user),
        "title": desk.say(act.title),
        "text": desk.say(act.text),
        "label": desk.say(act.label),
        "act": path,
        "destructive": act.destructive,
        "roles": [(role.value, desk.say(name)) for role, name in ROLE_NAMES.items() if covers(mine, role)],
        "session": desk.request.query_params.get("session", ""),
    }


def _shower(path: str, act: Act) -> Callable[..., Awaitable[Response]]:
    async def show(user_id: uuid.UUID, desk: Annotated[Desk, At(act.permission, harm=act.harm)]) -> Response:
        """What is about to be done."""
        async with desk.server.database.read() as db:
            user = await users.get_user(db, user_id)
        if not covers(desk.known.me.role, Role(user.role)):
            raise Forbidden
        return desk.show("person_act", **_asking(desk, path, act, user))

    return show


def _doer(path: str, act: Act) -> Callable[..., Awaitable[Response]]:
    async def do(
        user_id: uuid.UUID, desk: Annotated[Desk, At(act.permission, harm=act.harm)], fields: FormFields, now: Now
    ) -> Response:
        """Do it."""
        try:
            if act.destructive and fields.get("sure") != "yes":
                raise Invalid(errors=[FieldError(("body", "sure"), "missing", "")])
            async with desk.server.database.write() as db:
                held = await users.hold(db, desk.known, user_id, now, act.permission)
                _see_unchanged(held, fields)
                await act.do(Doing(db, desk.server, desk.known, user_id, fields, now))
        except UserNotFound:
            raise
        except AppError as error:
            return await _refused(desk, user_id, "person_act", {"sure": "", **fields}, error, path, act)
        return desk.go(PATH if act.done == "deleted" else f"{PATH}/{user_id}", act.done)

    return do


def _see_unchanged(user: User, fields: Mapping[str, str]) -> None:
    """Refuse what was decided about an account that is another by now: other role, status, address or password."""
    if fields.get("epoch") != str(user.epoch):
        raise Invalid(errors=[FieldError(("body", "epoch"), "changed_meanwhile", "")])


async def _refused(
    desk: Desk, user_id: uuid.UUID, name: str, fields: Mapping[str, str], error: AppError, path: str, act: Act
) -> Response:
    async with desk.server.database.read() as db:
        user = await users.get_user(db, user_id)
    fields = {key: value for key, value in fields.items() if key != "epoch"}
    return desk.refused(name, fields, error, **_asking(desk, path, act, user) | {"session": fields.get("session", "")})


for _path, _act in ACTS.items():
    pages.add_api_route(f"/{_path}", _shower(_path, _act), methods=["GET"])
    pages.add_api_route(f"/{_path}", _doer(_path, _act), methods=["POST"])

Editor = Annotated[Desk, At("users:write", harm=True)]


@pages.get("/edit")
async def show_edit(user_id: uuid.UUID, desk: Editor) -> Response:
    """What can be changed, as it is."""
    async with desk.server.database.read() as db:
        user = await users.get_user(db, user_id)
    if not covers(desk.known.me.role, Role(user.role)):
        raise Forbidden
    values = {name: getattr(user, name) or "" for name in ("username", "email", "display_name", "locale")}
    return desk.show("person_edit", desk.form(values), **_about(desk, user), locales=LOCALES)


@pages.post("/edit")
async def edit(user_id: uuid.UUID, desk: Editor, fields: FormFields, now: Now) -> Response:
    """The flow of PATCH /users/{id}."""
    try:
        more = {name: fields.get(name) or None for name in ("display_name", "locale")}
        given = {"username": fields.get("username") or " ", "email": fields.get("email") or " "}
        body = read(EditUserIn, given, **more)
        async with desk.server.database.write() as db:
            held = await users.hold(db, desk.known, user_id, now, Permission.USERS_WRITE)
            _see_unchanged(held, fields)
            await verification.edit(db, desk.known, user_id, body.changes(), now)
    except UserNotFound:
        raise
    except AppError as error:
        async with desk.server.database.read() as db:
            user = await users.get_user(db, user_id)
        fields = {key: value for key, value in fields.items() if key != "epoch"}
        return desk.refused("person_edit", fields, error, **_about(desk, user), locales=LOCALES)
    return desk.go(f"{PATH}/{user_id}", "saved")
