"""/dev/mailbox, for the person at this very machine alone: it shows reset links."""

import ipaddress

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse

from app.config import LOOPBACK_NAMES
from app.core.caller import PUBLIC
from app.core.deps import DbRead, ServerOf
from app.core.errors import NotFound
from app.core.templating import page
from app.mail import dev
from app.mail.schemas import DevMailOut

FORWARDING = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")


async def at_this_machine(request: Request, server: ServerOf) -> None:
    """Development without a mail server, a loopback peer, a loopback Host, no proxy in between; else it isn't there.

    The Host check keeps a web page elsewhere from reading it by DNS rebinding.
    """
    peer = request.client.host if request.client else ""
    host = request.url.hostname or ""
    open_here = server.settings.is_development and server.settings.SMTP_HOST is None
    if not (open_here and _is_loopback(peer) and host in LOOPBACK_NAMES) or any(name in request.headers for name in FORWARDING):
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
async def mailbox(db: DbRead) -> HTMLResponse:
    """The mails as a page."""
    return page("dev/mailbox.html", mails=await dev.list_mails(db))
