"""Coming in and going out: /account/sign-in, sign-up, sign-out, reauthenticate."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from app.account.face import SIGN_IN, Face, Open, Own, read
from app.account.proofs_given import chosen, json_in, others, read_credential
from app.account.step_pages import By, step_owed
from app.auth import proofs, registration, sessions, steps
from app.auth import service as auth
from app.auth.cookies import drop_cookies, hand_over, held_by, held_to_end
from app.auth.deps import Auth, AuthKit
from app.auth.errors import RegistrationClosed
from app.auth.schemas import LoginIn, ReauthenticateIn, RegisterIn
from app.auth.sessions import Pair
from app.auth.steps import Owed
from app.core.acting import ACTING_ENDED
from app.core.client import Client, ClientOf
from app.core.cookies import ACTING, DEVICE, REMEMBERED
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.errors import AppError, Unauthenticated
from app.core.limits import Limited
from app.passkeys import logins
from app.passkeys.credentials import AssertedCredential
from app.passkeys.deps import Passkeys, asking_browser
from app.passkeys.errors import PasskeyRefused
from app.passkeys.service import KIND as PASSKEY
from app.users import service as users

pages = APIRouter(prefix="/account", include_in_schema=False)


@pages.get("/sign-in")
async def show_sign_in(face: Open) -> Response:
    """The form; who is signed in already goes on."""
    if face.caller is not None:
        return face.go_on(face.request.query_params)
    return face.show("sign-in", face.form(), offers=face.offers)


@pages.post("/sign-in", dependencies=[Limited("login")])
async def sign_in(face: Open, fields: FormFields, kit: Auth, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/login, for a browser that holds its session by cookie."""
    try:
        body = read(LoginIn, {name: fields.get(name, "") for name in ("username", "password")})
        pair = await _log_in(face, kit, body.identifier, body.password, client, now)
    except AppError as error:
        return face.refused("sign-in", fields, error, offers=face.offers)
    return step_owed(face, fields, pair) if isinstance(pair, Owed) else signed_in(face, face.go_on(fields), pair, now)


@pages.get("/sign-in/passkey")
async def show_sign_in_again(face: Open) -> Response:
    """For who reloads a page that came by a form."""
    return face.go(SIGN_IN)


@pages.post("/sign-in/passkey", dependencies=[Limited("login")])
async def sign_in_by_passkey(
    face: Open, fields: FormFields, auth_kit: Auth, kit: Passkeys, client: ClientOf, now: Now
) -> Response:
    """The flow of POST /auth/login/passkey without an attempt: the passkey is the whole login."""
    database, secrets = face.server.database, (asking_browser(face.request),)
    device = face.server.cookies.read(face.request.scope, DEVICE)
    try:
        credential = read_credential(AssertedCredential, fields, PasskeyRefused)
        pair = await logins.sign_in(database, auth_kit, kit, credential, secrets, device, client, now, browser=True)
    except AppError as error:
        return face.refused("sign-in", fields, error, offers=face.offers)
    if isinstance(pair, Owed):
        return step_owed(face, fields, pair)
    await sessions.end_replaced(database, auth_kit, held_by(face.request), client, now)
    return signed_in(face, face.go_on(fields), pair, now)


async def _log_in(face: Face, kit: AuthKit, identifier: str, password: str, client: Client, now: datetime) -> Pair | Owed:
    server = face.server
    device, remembered = (server.cookies.read(face.request.scope, kind) for kind in (DEVICE, REMEMBERED))
    pair = await auth.log_in(server.database, kit, identifier, password, device, client, now, browser=True, remembered=remembered)
    if isinstance(pair, Owed):
        return pair
    await sessions.end_replaced(server.database, kit, held_by(face.request), client, now)
    return pair


def signed_in(face: Face, answer: RedirectResponse, pair: Pair, now: datetime) -> Response:
    """The answer, by which the browser keeps its session."""
    hand_over(answer, face.server, pair, now)
    return answer


@pages.get("/sign-up")
async def show_sign_up(face: Open) -> Response:
    """The form; who is signed in already has an account."""
    if face.caller is not None:
        return face.go_on(face.request.query_params)
    if face.server.settings.REGISTRATION == "closed":
        raise RegistrationClosed
    if not face.offers["sign_up"]:
        return face.show("closed", status=403)
    return face.show("sign-up", face.form())


@pages.post("/sign-up", dependencies=[Limited("register")])
async def sign_up(face: Open, fields: FormFields, kit: Auth, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/register; where that makes the account at once, its owner is signed in."""
    try:
        body = read(RegisterIn, fields)
        made = await registration.register(
            face.server.database, kit, body.username, body.email, body.password, client, now, locale=face.locale
        )
    except AppError as error:
        return face.refused("sign-up", fields, error)
    if made is None:
        return face.go("/account/verify", "registration-mailed")
    try:
        pair = await _log_in(face, kit, body.username, body.password, client, now)
    except AppError:  # too busy just now: the account is there all the same
        return face.go(SIGN_IN, "registered")
    if isinstance(pair, Owed):
        return step_owed(face, fields, pair)
    return signed_in(face, face.go_on(fields, "registered"), pair, now)


@pages.get("/sign-out")
async def show_sign_out(face: Open) -> Response:
    """A button: a link alone must not sign anybody out."""
    return face.show("sign-out")


@pages.post("/sign-out")
async def sign_out(face: Open, _fields: FormFields, kit: Auth, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/logout."""
    try:
        async with face.server.database.write() as db:
            await sessions.log_out(db, kit, held_to_end(face.request), client, now)
    except Unauthenticated:
        pass  # it had ended before; what is wanted is true
    acting = face.server.cookies.read(face.request.scope, ACTING) is not None
    answer = face.go(ACTING_ENDED) if acting else face.go(SIGN_IN, "signed-out")
    drop_cookies(face.request, answer)
    return answer


@pages.get("/reauthenticate")
async def show_reauthenticate(face: Own, by: By = None) -> Response:
    """The form that a page which wants a fresh proof leads to."""
    return face.show("reauthenticate", face.form(), **await _asking_again(face, by))


async def _asking_again(face: Face, by: str | None) -> dict[str, Any]:
    """By what it can be proved: without a factor by the password, without a password by a passkey."""
    async with face.server.database.read() as db:
        enrolled = await steps.find_enrolled(db, face.known.me.id)
        has_password = (await users.get_user(db, face.known.me.id)).password_hash is not None
    methods = enrolled.names if has_password else enrolled.names & {PASSKEY}
    shown = chosen(methods, by) if enrolled.owing else "password"
    return {"has_password": has_password, "method": shown, "others": others(methods, shown) if enrolled.owing else ()}


@pages.post("/reauthenticate", dependencies=[Limited("reauthenticate")])
async def reauthenticate(face: Own, fields: FormFields, kit: Auth, now: Now) -> Response:
    """The flow of POST /auth/reauthenticate."""
    try:
        second = {
            name: fields[field] for name, field in (("code", "otp"), ("recovery_code", "recovery_code")) if fields.get(field)
        }
        body = read(ReauthenticateIn, {"password": fields.get("password", ""), **second}, credential=json_in(fields))
        pair = await proofs.reauthenticate(face.server.database, kit, face.known, body.given(), now)
    except AppError as error:
        return face.refused("reauthenticate", fields, error, **await _asking_again(face, fields.get("by")))
    return signed_in(face, face.go_on(fields), pair, now)
