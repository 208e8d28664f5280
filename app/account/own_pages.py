"""What is one's own: /account/ (profile), password, email, sessions, export, leave."""

import uuid

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from app.account.entry_pages import signed_in
from app.account.face import HOME, SIGN_IN, Backed, Own, Proved, Seen, read
from app.auth import sessions
from app.auth.cookies import drop_cookies
from app.auth.deps import Auth
from app.auth.devices import Devices
from app.auth.errors import SessionNotFound
from app.auth.schemas import SessionOut
from app.core.csrf import FormFields, check_cookie_call
from app.core.deps import Now
from app.core.device_names import load_names
from app.core.errors import AppError, FieldError, Invalid
from app.core.i18n import LOCALES, N_
from app.core.limits import Limited
from app.passwords import service as passwords
from app.passwords.schemas import ChangePasswordIn
from app.privacy import service as privacy
from app.privacy.schemas import ExportOut
from app.users import service as users
from app.users.schemas import ProfileIn
from app.verification import changes
from app.verification.deps import Verification
from app.verification.schemas import ChangeEmailIn

pages = APIRouter(prefix="/account", include_in_schema=False)
FILE = "personal-data.json"
SUPPORT = N_("Our support, who see what you see")
well_known = APIRouter(prefix="/.well-known", include_in_schema=False)


@pages.get("/")
async def show_profile(face: Seen) -> Response:
    """Names and language, as they are."""
    me = face.known.me
    values = {"username": me.username, "display_name": me.display_name or "", "locale": me.locale or ""}
    return face.show("profile", face.form(values), locales=LOCALES)


@pages.post("/", dependencies=[Limited("change_profile")])
async def change_profile(face: Own, fields: FormFields, now: Now) -> Response:
    """The flow of PATCH /auth/me."""
    try:
        more = {name: fields.get(name) or None for name in ("display_name", "locale")}
        body = read(ProfileIn, {"username": fields.get("username") or " "}, **more)
        async with face.server.database.write() as db:
            await users.change_profile(db, face.known, body.changes(), now)
    except AppError as error:
        return face.refused("profile", fields, error, locales=LOCALES)
    return face.go(HOME, "profile-saved")


@pages.get("/password")
async def show_password(face: Backed) -> Response:
    """The form."""
    return face.show("password")


@pages.post("/password", dependencies=[Limited("change_password")])
async def change_password(face: Backed, fields: FormFields, kit: Auth, now: Now) -> Response:
    """The flow of POST /auth/change-password: every session ends, and this browser has a new one."""
    try:
        body = read(ChangePasswordIn, fields)
        pair = await passwords.change_password(
            face.server.database, kit, face.known, body.current_password, body.new_password, now
        )
    except AppError as error:
        return face.refused("password", fields, error)
    return signed_in(face, face.go("/account/password", "password-changed"), pair, now)


@pages.get("/email")
async def show_email(face: Proved) -> Response:
    """The form."""
    return face.show("email")


@pages.post("/email", dependencies=[Limited("change_email")])
async def change_email(face: Proved, fields: FormFields, kit: Verification, now: Now) -> Response:
    """The flow of POST /auth/me/email: one answer, whether or not somebody has the address."""
    try:
        body = read(ChangeEmailIn, fields)
        async with face.server.database.write() as db:
            await changes.ask_change(db, face.server.limits, kit, face.known, body.new_email, now)
    except AppError as error:
        return face.refused("email", fields, error)
    return face.go("/account/email", "address-asked")


@pages.get("/sessions")
async def show_sessions(face: Seen, devices: Devices, now: Now) -> Response:
    """Where one is signed in, the session of this browser first."""
    name = await load_names()
    async with face.server.database.read() as db:
        found = await sessions.list_own(db, face.known, now)
    here = face.known.session_id
    named = {each.id: name(each.user_agent) for each in found}
    shown = [SessionOut.of(each, here, named[each.id], devices.place_of(each, face.locale)) for each in found]
    names = {key: device.in_language(face.locale) for key, device in named.items()}
    names |= {each.id: face.say(SUPPORT) for each in shown if each.impersonated}
    return face.show("sessions", sessions=sorted(shown, key=lambda session: not session.current), names=names)


@pages.post("/sessions")
async def end_sessions(face: Own, fields: FormFields, now: Now) -> Response:
    """The flows of DELETE /auth/sessions/{id}, DELETE /auth/sessions and POST /auth/logout-all."""
    which, answer = fields.get("which", ""), face.go("/account/sessions", "session-ended")
    async with face.server.database.write() as db:
        if which == "all":
            await sessions.log_out_everywhere(db, face.known, now)
            answer = face.go(SIGN_IN, "signed-out")
            drop_cookies(face.request, answer)
        elif which == "others":
            await sessions.end_others(db, face.known, now)
            answer = face.go("/account/sessions", "sessions-ended")
        else:
            await sessions.end_own(db, face.known, _session_id(which), now)
    return answer


def _session_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise SessionNotFound from None


@pages.get("/export", dependencies=[Limited("export")])
async def export(face: Proved, now: Now) -> Response:
    """The document of GET /auth/me/export, as a file; not for another site's link, since each export is recorded."""
    check_cookie_call(face.server, face.request.scope)
    document = ExportOut(exported_at=now, data=await privacy.export(face.server.database, face.known, now))
    headers = {"Content-Disposition": f'attachment; filename="{FILE}"'}
    return Response(document.model_dump_json(indent=2), media_type="application/json", headers=headers)


@pages.get("/leave")
async def show_leave(face: Proved) -> Response:
    """One's data, and the way out."""
    return face.show("leave")


@pages.post("/leave")
async def leave(face: Proved, fields: FormFields, now: Now) -> Response:
    """The flow of DELETE /auth/me."""
    try:
        if fields.get("sure") != "yes":
            raise Invalid(errors=[FieldError(("body", "sure"), "missing", "")])
        async with face.server.database.write() as db:
            await privacy.leave(db, face.known, now)
    except AppError as error:
        return face.refused("leave", {"sure": "", **fields}, error)
    answer = face.go(SIGN_IN, "left")
    drop_cookies(face.request, answer)
    return answer


@well_known.get("/change-password")
async def find_change_password(face: Own) -> RedirectResponse:
    """Where password managers send people (W3C, A Well-Known URL for Changing Passwords)."""
    return face.go("/account/password")
