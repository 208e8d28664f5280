"""Mail over SMTP. Only the job worker comes here, so a slow server delays a mail and nothing else."""

from email.message import EmailMessage

import aiosmtplib

from app.config import Settings

TIMEOUT_SECONDS = 10.0


class SmtpTransport:
    """One connection a mail: simple, and a server that went away is noticed at once."""

    def __init__(self, settings: Settings) -> None:
        self._host = settings.SMTP_HOST
        self._port = settings.SMTP_PORT
        self._user = settings.SMTP_USER
        self._password = settings.SMTP_PASSWORD
        self._tls = settings.SMTP_TLS

    async def send(self, message: EmailMessage) -> None:
        """See `MailTransport.send`; certificates are checked."""
        await aiosmtplib.send(
            message,
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password.get_secret_value() if self._password else None,
            use_tls=self._tls == "tls",
            start_tls=self._tls == "starttls",
            timeout=TIMEOUT_SECONDS,
        )
