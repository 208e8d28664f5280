"""Mail: what every template looks like, in every language, with made-up values."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from app.admin.face import At, Desk
from app.core.deps import Now
from app.core.errors import NotFound
from app.core.i18n import LOCALES
from app.mail.samples import NAMES, sample
from app.mail.service import SUBJECTS, MailKit

pages = APIRouter(prefix="/admin/mail", include_in_schema=False)
# A mail has its styles inline, as mail programs want them: here alone, in a frame that may do nothing and open nothing.
FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)


def chosen(params: Mapping[str, str], locale: str) -> tuple[str, str]:
    """Which template in which language an address asks for."""
    template, asked = params.get("template", NAMES[0]), params.get("lang", locale)
    if template not in SUBJECTS or asked not in LOCALES:
        raise NotFound
    return template, asked


@pages.get("")
async def preview(desk: Annotated[Desk, At("jobs:read")], now: Now) -> Response:
    """One template, and the choice of others."""
    template, lang = chosen(desk.request.query_params, desk.locale)
    mail = sample(desk.server.kit(MailKit), template, lang, now)
    text = mail.get_body(("plain",))
    return desk.show(
        "mail",
        frames=True,
        shown=template,
        lang=lang,
        templates=[(name, desk.say(SUBJECTS[name])) for name in NAMES],
        locales=sorted(LOCALES),
        subject=str(mail["Subject"]),
        text=text.get_content() if text else "",
    )


@pages.get("/html")
async def preview_html(desk: Annotated[Desk, At("jobs:read")], now: Now) -> Response:
    """The HTML half, for the frame of the page."""
    template, lang = chosen(desk.request.query_params, desk.locale)
    html = sample(desk.server.kit(MailKit), template, lang, now).get_body(("html",))
    headers = {"Content-Security-Policy": FRAME_POLICY, "X-Frame-Options": "SAMEORIGIN", "Cache-Control": "no-store"}
    return desk.keep(HTMLResponse(html.get_content() if html else "", headers=headers))
