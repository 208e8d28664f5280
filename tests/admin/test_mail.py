"""Every mail can be looked at in every language; its HTML in a frame that may do nothing."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.i18n import LOCALES
from app.core.server import Server
from app.core.templating import TEMPLATES
from app.mail.samples import NAMES, sample
from app.mail.service import MailKit
from tests.admin.scene import POLICY, give_role, staff
from tests.support.clock import TravellingClock

FRAMED = POLICY.replace(" style-src", " frame-src 'self'; style-src")


@pytest.mark.parametrize("locale", sorted(LOCALES))
def test_every_template_has_sample_values(server: Server, clock: TravellingClock, locale: str) -> None:
    files = {Path(each).stem for each in (TEMPLATES / "mail").glob("*.txt")}
    assert set(NAMES) == files
    subjects = {str(sample(server.kit(MailKit), name, locale, clock())["Subject"]) for name in NAMES}
    assert len(subjects) == len(NAMES)


async def test_the_page_frames_the_mail_and_the_frame_may_do_nothing(app: FastAPI, client: AsyncClient) -> None:
    looker = await staff(app, client, "auditor")
    page = await looker.open("/admin/mail", template="password-reset", lang="de")
    assert page.status_code == 200
    assert page.headers["content-security-policy"] == FRAMED
    assert '<iframe class="mail" sandbox ' in page.text
    framed = await looker.open("/admin/mail/html", template="password-reset", lang="de")
    assert framed.status_code == 200
    policy = framed.headers["content-security-policy"]
    assert {"default-src 'none'", "style-src 'unsafe-inline'", "sandbox"} <= set(policy.split("; "))
    assert "script-src" not in policy
    assert framed.headers["x-frame-options"] == "SAMEORIGIN"
    assert '<html lang="de">' in framed.text
    other = await looker.open("/admin/settings")
    assert other.headers["content-security-policy"] == POLICY
    for odd in ({"template": "../layout"}, {"template": "parts"}, {"lang": "xx"}):
        for path in ("/admin/mail", "/admin/mail/html"):
            assert (await looker.open(path, **odd)).status_code == 404
    await give_role(app, looker.username, "support")
    assert (await looker.open("/admin/mail/html")).status_code == 403
