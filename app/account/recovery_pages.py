"""Back in after forgetting: /account/forgot and /account/reset-password, which reset mails link to."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.account.face import MAX_TOKEN, SIGN_IN, Open, read, token_in
from app.auth.deps import Auth
from app.core.client import ClientOf
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.errors import AppError
from app.core.limits import Limited
from app.passwords import service as passwords
from app.passwords.deps import Reset
from app.passwords.schemas import ForgotPasswordIn, ResetPasswordIn

pages = APIRouter(prefix="/account", include_in_schema=False)


@pages.get("/forgot")
async def show_forgot(face: Open, done: Annotated[str, Query()] = "") -> Response:
    """The form; or that a message is on its way, if there is such an account."""
    return face.show("forgot", face.form(), sent=done == "mailed")


@pages.post("/forgot", dependencies=[Limited("forgot_password")])
async def forgot(face: Open, fields: FormFields, reset: Reset, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/forgot-password: one answer, whether there is such an account or not."""
    try:
        body = read(ForgotPasswordIn, fields)
        async with face.server.database.write() as db:
            await passwords.request_reset(db, face.server.limits, reset, body.email, client, now)
    except AppError as error:
        return face.refused("forgot", fields, error, sent=False)
    return face.go("/account/forgot", "mailed")


@pages.get("/reset-password")
async def show_reset(face: Open, token: Annotated[str, Query()] = "") -> Response:
    """The form. Whether the link is good shows when it is used; looking spends nothing."""
    return face.show("reset-password", face.form(), token=token[:MAX_TOKEN])


@pages.post("/reset-password", dependencies=[Limited("reset_password")])
async def reset_password(face: Open, fields: FormFields, kit: Auth, reset: Reset, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/reset-password. Signs nobody in: whoever reads the mail must know the new password."""
    token = token_in(fields)
    try:
        body = read(ResetPasswordIn, fields)
        await passwords.reset_password(face.server.database, kit, reset, body.token, body.new_password, client, now)
    except AppError as error:
        return face.refused("reset-password", fields, error, token=token)
    return face.go(SIGN_IN, "password-reset")
