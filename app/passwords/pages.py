"""/account/reset-password: the page a reset mail links to. Works without script; looking at it spends nothing."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from app.auth.deps import Auth
from app.auth.errors import PasswordRejected
from app.core.caller import PUBLIC
from app.core.client import ClientOf
from app.core.deps import Now, ServerOf, Transactions
from app.core.errors import AppError
from app.core.limits import Limited
from app.core.templating import page
from app.core.wire import FORM, media_type_of, storable_secret
from app.passwords import service
from app.passwords.deps import Reset
from app.tickets.service import TicketInvalid

pages = APIRouter(prefix="/account", include_in_schema=False)
MAX_FORM_FIELDS = 5
DEAD_LINK = "It was used before, replaced by a newer one, or is too old. Ask for a new one where you sign in."
MAX_TOKEN, MAX_PASSWORD = 200, 1024


@pages.get("/reset-password", dependencies=[PUBLIC])
async def show_reset(server: ServerOf, token: Annotated[str, Query()] = "") -> HTMLResponse:
    """The form. Whether the link is good shows when it is used."""
    return page("passwords/reset.html", product=server.settings.EMAIL_FROM_NAME, token=token[:MAX_TOKEN], errors=[])


@pages.post("/reset-password", dependencies=[PUBLIC, Limited("reset_password")])
async def do_reset(
    request: Request, server: ServerOf, database: Transactions, kit: Auth, reset: Reset, client: ClientOf, now: Now
) -> HTMLResponse:
    """The same flow as POST /auth/reset-password, in other clothes. The token in the form is what makes it ours."""
    product = server.settings.EMAIL_FROM_NAME
    fields = _read_form(request, await request.body())
    token, password = fields.get("token", "")[:MAX_TOKEN], fields.get("new_password", "")
    try:
        await service.reset_password(database, kit, reset, token, _usable(password), client, now)
    except PasswordRejected as error:
        details = [fault.detail for fault in error.errors]
        return page("passwords/reset.html", status=422, product=product, token=token, errors=details)
    except TicketInvalid as error:
        return page("message.html", status=error.status, product=product, title="This link no longer works", text=DEAD_LINK)
    except AppError as error:
        shown = page("passwords/reset.html", status=error.status, product=product, token=token, errors=[error.title])
        shown.headers.update(error.headers)
        return shown
    text = "Your password was changed, and you were signed out everywhere. You can now sign in with the new password."
    return page("message.html", product=product, title="Password changed", text=text)


def _usable(password: str) -> str:
    if not 0 < len(password) <= MAX_PASSWORD:
        raise PasswordRejected("new_password", [("length", "Type a password of 8 to 128 characters.")])
    try:
        return storable_secret(password)
    except ValueError:
        raise PasswordRejected("new_password", [("unprintable", "Control characters are not allowed.")]) from None


def _read_form(request: Request, raw: bytes) -> dict[str, str]:
    if media_type_of(request) != FORM:
        return {}
    try:
        return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS))
    except ValueError:
        return {}
