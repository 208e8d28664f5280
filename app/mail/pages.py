"""/dev/mailbox, for the person at this very machine alone: it shows reset links."""

import ipaddress
import re

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse

from app.core.brand import Brand
from app.core.caller import PUBLIC
from app.core.deps import DbRead, ServerOf
from app.core.errors import NotFound
from app.core.templating import Look, page
from app.mail import dev
from app.mail.schemas import DevMailOut

HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
PROXY_SIGNS = frozenset(
    {
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
    }
)


async def at_this_machine(request: Request, server: ServerOf) -> None:
    """Development without a mail server, a loopback peer, a loopback Host, no proxy in between; else it isn't there.

    The Host check keeps a web page elsewhere from reading it by DNS rebinding.
    """
    open_here = server.settings.is_development and server.settings.SMTP_HOST is None
    peer = request.client.host if request.client else ""
    hosts = request.headers.getlist("host")
    is_local = _is_loopback(peer) and len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None
    is_forwarded = any(name in PROXY_SIGNS or name.startswith("x-forwarded") for name in request.headers)
    if not open_here or not is_local or is_forwarded:
        raise NotFound


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


pages = APIRouter(prefix="/dev", include_in_schema=False, dependencies=[PUBLIC, Depends(at_this_machine)])


@pages.get("/mailbox.json")
async def mailbox_json(db: DbRead) -> list[DevMailOut]:
    """The mails as JSON."""
    return [DevMailOut.model_validate(mail) for mail in await dev.list_mails(db)]


@pages.get("/mailbox")
async def mailbox(db: DbRead, server: ServerOf) -> HTMLResponse:
    """The mails as a page."""
    return page("dev/mailbox.html", Look(server.kit(Brand)), mails=await dev.list_mails(db))
