"""While staff act as somebody: stopping it, and the page that says it has ended."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.account.face import HOME, Face, Seen
from app.auth import sessions
from app.auth.cookies import drop_cookies, held_to_end
from app.auth.deps import Auth
from app.core.caller import PUBLIC, find_by_cookie
from app.core.client import ClientOf
from app.core.cookies import ACTING
from app.core.csrf import FormFields
from app.core.deps import Now, ServerOf
from app.core.errors import Unauthenticated
from app.core.i18n import N_

pages = APIRouter(prefix="/account", include_in_schema=False)
CONSOLE = "/admin/"
TITLE = N_("You act as yourself again")
TEXT = N_("Acting as somebody else has ended. What you do from here on is done as yourself.")


@pages.post("/acting-stop")
async def stop(face: Seen, _fields: FormFields, kit: Auth, client: ClientOf, now: Now) -> Response:
    """Be oneself again, back in the console."""
    if face.known.impersonator is None:
        return face.go(HOME)
    try:
        async with face.server.database.write() as db:
            await sessions.log_out(db, kit, held_to_end(face.request), client, now)
    except Unauthenticated:
        pass  # it had ended before; what is wanted is true
    answer = face.go(f"{CONSOLE}users/{face.known.me.id}", "acting-ended")
    drop_cookies(face.request, answer)
    return answer


@pages.get("/acting-ended", dependencies=[PUBLIC])
async def show_ended(request: Request, server: ServerOf, now: Now) -> Response:
    """From here on the browser's own session counts again; not before somebody has read that."""
    try:
        caller = await find_by_cookie(server, request.scope, now)
    except Unauthenticated:
        caller = None
    if caller is not None and caller.impersonator is not None:
        return RedirectResponse(HOME, status_code=303)
    face = Face(request, server, None)
    answer = face.message(face.say(TITLE), face.say(TEXT), link=(CONSOLE, face.say(N_("To the console"))))
    if server.cookies.read(request.scope, ACTING) is not None:
        server.cookies.drop(answer, ACTING)
    return answer
