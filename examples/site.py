"""A server-rendered site that leaves signing in to Authkeep's pages: `uvicorn examples.site:app --port 9000`.

The browser holds Authkeep's cookie for this host. The site passes it on to /auth/verify with each request, and is told who it is.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, quote

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

AUTHKEEP = os.environ.get("AUTHKEEP_URL", "http://localhost:8000")  # as browsers know it
INSIDE = os.environ.get("AUTHKEEP_INSIDE", AUTHKEEP)  # as this server reaches it
HERE = os.environ.get("SITE_URL", "http://localhost:9000")
COOKIE = "__Host-authkeep" if AUTHKEEP.startswith("https:") else "authkeep"
ACTING = f"{COOKIE}-acting"  # support looks at somebody's account; without it, they would be themselves here

notes: dict[str, list[str]] = {}  # by the account's id: names change hands


@dataclass(frozen=True)
class User:
    """Who looks at the page."""

    id: str
    username: str
    roles: tuple[str, ...]
    looked_at_by: str | None  # somebody of the staff, who sees what the user sees


async def user_of(request: Request) -> User | None:
    """Asked at every request, so that signing out counts at the next one.

    Raises:
        ConnectionError: Authkeep can't say. Let nobody in.
    """
    held = [f"{name}={request.cookies[name]}" for name in (COOKIE, ACTING) if name in request.cookies]
    if not held:
        return None
    try:
        answer = await request.app.state.authkeep.get("/auth/verify", headers={"Cookie": "; ".join(held)})
    except httpx2.HTTPError:
        raise ConnectionError from None
    if answer.status_code == 401:
        return None
    if answer.status_code != 204:
        raise ConnectionError
    said = answer.headers
    roles = tuple(said["x-auth-roles"].split(","))
    return User(said["x-auth-user"], said["x-auth-username"], roles, said.get("x-auth-actor"))


def sign_in(request: Request) -> Response:
    """Over to Authkeep's page, and back here afterwards: SITE_URL must be in its NEXT_ORIGINS."""
    return RedirectResponse(f"{AUTHKEEP}/account/sign-in?next={quote(HERE + request.url.path, safe='')}", status_code=303)


async def show_notes(request: Request) -> Response:
    """For whoever is signed in."""
    user = await user_of(request)
    if user is None:
        return sign_in(request)
    items = "".join(f"<li>{escape(note)}" for note in notes.get(user.id, []))
    return HTMLResponse(
        f"""<!doctype html><html lang="en"><title>Notes</title>
        <h1>Notes of {escape(user.username)}</h1><ul>{items}</ul>
        <form method="post"><label>Note <input name="note" maxlength="200" required></label> <button>Keep</button></form>
        <p><a href="{AUTHKEEP}/account/">Your account</a> <a href="{AUTHKEEP}/account/sign-out">Sign out</a></p>"""
    )


async def add_note(request: Request) -> Response:
    """The cookie comes along with a form of any page, so the form must be one of ours."""
    if request.headers.get("origin") != HERE:
        return HTMLResponse("This form was sent by another page.", status_code=403)
    user = await user_of(request)
    if user is None:
        return sign_in(request)
    if user.looked_at_by is not None:
        return HTMLResponse("You act as somebody else.", status_code=403)
    fields = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), max_num_fields=5))
    notes.setdefault(user.id, []).append(fields.get("note", "")[:200])
    return RedirectResponse("/", status_code=303)


async def unavailable(_request: Request, _error: Exception) -> Response:
    """It can't be known who it is: nobody, then, and not for long."""
    return HTMLResponse("Please try again in a moment.", status_code=503, headers={"Retry-After": "1"})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Connections to Authkeep are kept open."""
    async with httpx2.AsyncClient(base_url=INSIDE, timeout=6) as app.state.authkeep:
        yield


app = Starlette(
    lifespan=lifespan,
    routes=[Route("/", show_notes, methods=["GET"]), Route("/", add_note, methods=["POST"])],
    exception_handlers={ConnectionError: unavailable},
)
