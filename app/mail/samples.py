"""Mails with made-up values, to be looked at: nothing in them is anybody's."""

import uuid
from datetime import datetime
from email.message import EmailMessage

from app.mail.service import SUBJECTS, MailKit

TO = "ada@example.com"
MAIL_ID = uuid.UUID(int=0)
# Of all templates together; `method`, `few` and `place` choose the longer wording.
VALUES = {
    "username": "ada",
    "at": "2026-01-02 03:04 UTC",
    "until": "2026-01-02 03:34 UTC",
    "minutes": "15",
    "hours": "24",
    "days": "7",
    "link": "https://auth.example.com/account/sample?token=sample",
    "code": "ABCD-EFGH",
    "device": "Firefox",
    "address": "192.0.2.1",
    "place": "Rome",
    "method": "totp",
    "left": "2",
    "few": "yes",
    "position": "1024",
    "line": "{sample}",
}
NAMES = tuple(sorted(SUBJECTS))


def sample(kit: MailKit, template: str, locale: str, now: datetime) -> EmailMessage:
    """A mail as it would be sent, in a language."""
    return kit.compose(MAIL_ID, template, TO, now, VALUES, locale)
