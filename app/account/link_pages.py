"""Where mailed links lead: /account/verify, email-confirm, email-undo, end-session, invitation. Looking spends nothing."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.account.face import HOME, MAX_TOKEN, SIGN_IN, Face, Open, read, token_in
from app.auth.deps import Auth
from app.auth.devices import Devices, end_by_link
from app.auth.devices import preview as preview_session
from app.auth.schemas import EndSessionIn
from app.core.client import ClientOf
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.device_names import load_names
from app.core.errors import AppError
from app.core.limits import Limited
from app.invitations import service as invitations
from app.invitations.deps import Invitations
from app.invitations.schemas import AcceptInvitationIn
from app.verification import changes
from app.verification import service as verification
from app.verification.deps import Verification
from app.verification.schemas import EmailTokenIn, ResendIn, VerifyEmailIn

pages = APIRouter(prefix="/account", include_in_schema=False)
LinkToken = Annotated[str, Query(alias="token")]


def _onward(face: Face, done: str) -> Response:
    return face.go(HOME if face.caller else SIGN_IN, done)


@pages.get("/verify")
async def show_verify(face: Open, kit: Verification, now: Now, token: LinkToken = "") -> Response:
    """Of a link, whose account it is about, with a button; without one, the form for the code."""
    if not token:
        email = face.me.email if face.me and not face.me.email_verified else ""
        return face.show("verify", face.form({"email": email}), token="", username="")
    async with face.server.database.read() as db:
        username = await verification.preview(db, kit, token[:MAX_TOKEN], now)
    return face.show("verify", token=token, username=username)


@pages.post("/verify", dependencies=[Limited("verify_email")])
async def verify(face: Open, fields: FormFields, kit: Verification, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/verify-email. A code is spent once its username was shown, as a link is."""
    try:
        body = read(VerifyEmailIn, fields)
        async with face.server.database.write() as db:
            if body.email is None or body.code is None:
                await verification.verify_by_link(db, kit, body.token or "", client, now)
            elif fields.get("confirm") == "yes":
                await verification.verify_by_code(db, kit, body.email, body.code, client, now)
            else:
                username = await verification.preview_code(db, kit, body.email, body.code, now)
                return face.show("verify", face.form({"email": body.email}), token="", typed_code=body.code, username=username)
    except AppError as error:
        return face.refused("verify", fields, error, token="", username="")
    return _onward(face, "verified" if face.caller else "verified-account")


@pages.get("/verify-again")
async def show_verify_again(face: Open) -> Response:
    """The form."""
    email = face.me.email if face.me and not face.me.email_verified else ""
    return face.show("verify-again", face.form({"email": email}))


@pages.post("/verify-again", dependencies=[Limited("resend")])
async def verify_again(face: Open, fields: FormFields, kit: Verification, now: Now) -> Response:
    """The flow of POST /auth/verify-email/resend: one answer, whatever there is to send."""
    try:
        body = read(ResendIn, fields)
        async with face.server.database.write() as db:
            await verification.ask_again(db, face.server.limits, kit, body.email, now)
    except AppError as error:
        return face.refused("verify-again", fields, error)
    return face.go("/account/verify", "verify-mailed")


@pages.get("/email-confirm")
async def show_email_confirm(face: Open, token: LinkToken = "") -> Response:
    """A button."""
    return face.show("email-confirm", token=token[:MAX_TOKEN])


@pages.post("/email-confirm", dependencies=[Limited("confirm_email")])
async def confirm_email(face: Open, fields: FormFields, kit: Verification, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/me/email/confirm."""
    try:
        body = read(EmailTokenIn, fields)
        async with face.server.database.write() as db:
            await changes.confirm_change(db, kit, body.token, client, now)
    except AppError as error:
        return face.refused("email-confirm", fields, error, token=token_in(fields))
    return _onward(face, "address-changed")


@pages.get("/email-undo")
async def show_email_undo(face: Open, token: LinkToken = "") -> Response:
    """A button."""
    return face.show("email-undo", token=token[:MAX_TOKEN])


@pages.post("/email-undo", dependencies=[Limited("confirm_email")])
async def undo_email(face: Open, fields: FormFields, auth: Auth, kit: Verification, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/me/email/undo."""
    try:
        body = read(EmailTokenIn, fields)
        async with face.server.database.write() as db:
            await changes.undo_change(db, auth, kit, body.token, client, now)
    except AppError as error:
        return face.refused("email-undo", fields, error, token=token_in(fields))
    return face.go(SIGN_IN, "address-undone")


@pages.get("/end-session")
async def show_end_session(face: Open, devices: Devices, now: Now, token: LinkToken = "") -> Response:
    """Which session the link is about, with a button."""
    async with face.server.database.read() as db:
        session = await preview_session(db, devices, token[:MAX_TOKEN], now)
    device = (await load_names())(session.user_agent).in_language(face.locale)
    place = devices.place_of(session, face.locale)
    return face.show("end-session", token=token, session=session, device=device, place=place)


@pages.post("/end-session", dependencies=[Limited("end_session")])
async def end_session(face: Open, fields: FormFields, devices: Devices, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/end-session."""
    body = read(EndSessionIn, fields)
    async with face.server.database.write() as db:
        await end_by_link(db, devices, body.token, client, now)
    return face.go("/account/forgot", "session-ended-by-mail")


@pages.get("/invitation")
async def show_invitation(face: Open, kit: Invitations, now: Now, token: LinkToken = "") -> Response:
    """The form for the account that is offered."""
    return face.show("invitation", face.form({"email": await _invited(face, kit, token[:MAX_TOKEN], now)}), token=token)


async def _invited(face: Face, kit: Invitations, token: str, now: Now) -> str:
    async with face.server.database.read() as db:
        return (await invitations.preview(db, kit, token, now)).email


@pages.post("/invitation", dependencies=[Limited("invitation")])
async def accept_invitation(face: Open, fields: FormFields, auth: Auth, kit: Invitations, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/invitations/accept. Signs nobody in: whoever reads the mail must know the password."""
    try:
        body = read(AcceptInvitationIn, fields)
        await invitations.accept(
            face.server.database, auth, kit, body.token, body.username, body.password, client, now, locale=face.locale
        )
    except AppError as error:
        again = {**fields, "email": await _invited(face, kit, token_in(fields), now)}
        return face.refused("invitation", again, error, token=token_in(fields))
    return face.go(SIGN_IN, "invited")
