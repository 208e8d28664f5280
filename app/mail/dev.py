"""The dev mailbox: where development's mails go when there is no mail server."""

import uuid
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.mail import repository
from app.mail.models import DevMail


class DevMailbox:
    """A transport that keeps mails for the person at this machine to read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def send(self, message: EmailMessage) -> None:
        """See `MailTransport.send`; the same Message-ID twice is one mail."""
        mail_id = uuid.UUID(message["Message-ID"].strip("<>").partition("@")[0])
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        async with self._database.write() as db:
            if await repository.find_dev_mail(db, mail_id) is None:
                await repository.add_dev_mail(
                    db,
                    mail_id,
                    str(message["To"]),
                    str(message["Subject"]),
                    text.get_content() if text else "",
                    html.get_content() if html else "",
                    parsedate_to_datetime(message["Date"]),
                )


async def list_mails(db: AsyncSession) -> list[DevMail]:
    """What was sent, newest first."""
    return await repository.list_dev_mails(db)
