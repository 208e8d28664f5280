"""Signing in by mail, where MAGIC_LINK is on: /account/magic-link, to ask for a link and to use it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.account.entry_pages import signed_in
from app.account.face import MAX_TOKEN, Open, read
from app.account.step_pages import step_owed
from app.auth import sessions
from app.auth.cookies import held_by
from app.auth.deps import Auth
from app.auth.steps import Owed
from app.core.client import ClientOf
from app.core.cookies import DEVICE, REMEMBERED
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.errors import AppError
from app.core.limits import Limited
from app.magiclinks import service as magiclinks
from app.magiclinks.deps import Magic, asking_browser, forget_browser, remember_browser
from app.magiclinks.schemas import MagicLinkIn, MagicSignInIn

pages = APIRouter(prefix="/account", include_in_schema=False)
PAGE = "/account/magic-link"
BLANK: dict[str, Any] = {"token": "", "typed_code": "", "username": "", "sent": False, "other_browser": False}


@pages.get("/magic-link")
async def show_magic_link(
    face: Open, kit: Magic, now: Now, token: Annotated[str, Query()] = "", done: Annotated[str, Query()] = ""
) -> Response:
    """Of a link, whom it signs in, with a button; without one, the form for the code or to ask."""
    if not token:
        return face.show("magic-link", face.form(), **{**BLANK, "sent": done == "mailed"})
    async with face.server.database.read() as db:
        browser = (asking_browser(face.request),)
        username, is_own = await magiclinks.preview(db, kit, token[:MAX_TOKEN], browser, now)
    return face.show("magic-link", **{**BLANK, "token": token, "username": username, "other_browser": not is_own})


@pages.post("/magic-link/send", dependencies=[Limited("magic_link")])
async def send_magic_link(face: Open, fields: FormFields, kit: Magic, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/magic-link: one answer, whether there is such an account or not."""
    answer = face.go(PAGE, "mailed", **({"next": fields["next"]} if fields.get("next") else {}))
    try:
        body = read(MagicLinkIn, fields)
        secret = remember_browser(face.request, answer, kit)
        async with face.server.database.write() as db:
            await magiclinks.ask(db, face.server.limits, kit, body.email, secret, client, now)
    except AppError as error:
        return face.refused("magic-link", fields, error, **BLANK)
    return answer


@pages.post("/magic-link", dependencies=[Limited("magic_link_verify")])
async def sign_in_by_mail(face: Open, fields: FormFields, auth: Auth, kit: Magic, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/magic-link/verify. In another browser than asked, only once the person was told and confirms."""
    server, browser = face.server, (asking_browser(face.request),)
    device, remembered = (server.cookies.read(face.request.scope, kind) for kind in (DEVICE, REMEMBERED))
    confirmed = fields.get("confirm") == "yes"
    try:
        proof = read(MagicSignInIn, {name: fields.get(name, "") for name in ("token", "email", "code")}).proof
        async with server.database.write() as db:
            if not confirmed:
                username, is_own = await magiclinks.preview(db, kit, proof, browser, now)
                if not is_own:
                    told = {"token": fields.get("token", ""), "typed_code": fields.get("code", ""), "username": username}
                    return face.show("magic-link", face.form(fields), **{**BLANK, **told, "other_browser": True})
            pair = await magiclinks.sign_in(
                db, auth, kit, proof, browser, device, client, now, confirmed=confirmed, browser=True, remembered=remembered
            )
    except AppError as error:
        return face.refused("magic-link", fields, error, **{**BLANK, "sent": "code" in fields})
    if isinstance(pair, Owed):
        onward = step_owed(face, fields, pair)
        forget_browser(face.request, onward)
        return onward
    await sessions.end_replaced(server.database, auth, held_by(face.request), client, now)
    answer = face.go_on(fields)
    forget_browser(face.request, answer)
    return signed_in(face, answer, pair, now)
