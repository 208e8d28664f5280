"""/account/reset-password: the page a reset mail links to. Works without script; looking at it spends nothing."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from app.auth.deps import Auth, AuthKit
from app.auth.errors import PasswordRejected
from app.auth.password_rules import MIN_LENGTH, PasswordPolicy
from app.core.caller import PUBLIC
from app.core.client import ClientOf
from app.core.deps import Now, Transactions
from app.core.errors import AppError
from app.core.limits import Limited
from app.core.templating import page
from app.core.wire import FORM, media_type_of, storable_secret
from app.passwords import service
from app.passwords.deps import Reset
from app.tickets.service import TicketInvalid

pages = APIRouter(prefix="/account", include_in_schema=False)
MAX_FORM_FIELDS = 5
RULES = {
    PasswordPolicy.STANDARD: "At least 8 characters, one of them neither letter nor digit.",
    PasswordPolicy.STRICT: "At least 15 characters.",
}
DEAD_LINK = "It was used before, replaced by a newer one, or is too old. Ask for a new one where you sign in."
MAX_TOKEN, MAX_PASSWORD = 200, 1024


@pages.get("/reset-password", dependencies=[PUBLIC])
async def show_reset(kit: Auth, token: Annotated[str, Query()] = "") -> HTMLResponse:
    """The form. Whether the link is good shows when it is used."""
    return _form(kit, token[:MAX_TOKEN], [])


@pages.post("/reset-password", dependencies=[PUBLIC, Limited("reset_password")])
async def do_reset(request: Request, database: Transactions, kit: Auth, reset: Reset, client: ClientOf, now: Now) -> HTMLResponse:
    """The same flow as POST /auth/reset-password, in other clothes. The token in the form is what makes it ours."""
    fields = _read_form(request, await request.body())
    token, password = fields.get("token", "")[:MAX_TOKEN], fields.get("new_password", "")
    try:
        await service.reset_password(database, kit, reset, token, _usable(password), client, now)
    except PasswordRejected as error:
        return _form(kit, token, [fault.detail for fault in error.errors], status=422)
    except TicketInvalid as error:
        return page("message.html", status=error.status, product=kit.product, title="This link no longer works", text=DEAD_LINK)
    except AppError as error:
        shown = _form(kit, token, [error.title], status=error.status)
        shown.headers.update(error.headers)
        return shown
    text = "Your password was changed, and you were signed out everywhere. You can now sign in with the new password."
    return page("message.html", product=kit.product, title="Password changed", text=text)


def _form(kit: AuthKit, token: str, errors: list[str], *, status: int = 200) -> HTMLResponse:
    rule, least = RULES[kit.policy], MIN_LENGTH[kit.policy]
    return page("passwords/reset.html", status=status, product=kit.product, token=token, errors=errors, rule=rule, least=least)


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
