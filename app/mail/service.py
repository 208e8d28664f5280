"""Writing mails and asking for them to be sent. No secret is ever in a job: links are derived by the worker."""

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ports import MailTransport
from app.core.templating import render_html, render_text
from app.jobs import service as jobs
from app.jobs.sockets import NotNow, Work

KIND = "mail"
NOBODY = ""  # for rows written so that known and unknown accounts cost the same; nothing is sent
SUBJECTS = {
    "password-reset": "Reset your password",
    "password-changed": "Your password was changed",
    "signed-out-for-safety": "You were signed out for your safety",
    "new-device": "A new sign-in to your account",
    "magic-link": "Sign in to your account",
    "login-stopped": "Too many failed sign-ins to your account",
    "leaving": "Your account will be erased",
    "welcome-back": "Your account stays",
    "verify-email": "Confirm your mail address",
    "address-taken": "You already have an account",
    "email-change": "Confirm your new mail address",
    "email-changed": "Your mail address was changed",
    "email-change-undone": "The change of your mail address was undone",
    "invitation": "You are invited",
}


class MailUnconfigured(NotNow):
    """There is nowhere to send mail to; it stays queued."""


@dataclass(frozen=True, slots=True)
class MailKit:
    """Who sends, by what transport, and what the product is called."""

    transport: MailTransport | None
    sender: str
    sender_name: str
    public_url: str

    def compose(self, job_id: UUID, template: str, to: str, now: datetime, values: dict[str, Any]) -> EmailMessage:
        """A mail in text and HTML whose Message-ID is the job's id, so that a second delivery can be told."""
        message = EmailMessage()
        user, _, host = self.sender.rpartition("@")
        message["From"] = Address(self.sender_name, user, host)
        message["To"] = Address(addr_spec=to)
        message["Subject"] = SUBJECTS[template]
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{job_id}@{host}>"
        message["Auto-Submitted"] = "auto-generated"
        shared = {"product": self.sender_name, "public_url": self.public_url, "subject": SUBJECTS[template], **values}
        message.set_content(render_text(f"mail/{template}.txt", **shared))
        message.add_alternative(render_html(f"mail/{template}.html", **shared), subtype="html")
        return message

    async def deliver(self, work: Work, template: str, to: str, values: dict[str, Any]) -> None:
        """Hand one mail over.

        Raises:
            MailUnconfigured: nowhere to; the job stays.
        """
        if self.transport is None:
            raise MailUnconfigured
        await self.transport.send(self.compose(work.id, template, to, work.now, values))

    async def run(self, work: Work) -> None:
        """The handler of jobs of kind "mail"."""
        if work.payload["to"] != NOBODY:
            await self.deliver(work, work.payload["template"], work.payload["to"], work.payload["values"])


async def enqueue(db: AsyncSession, template: str, to: str, now: datetime, **values: str) -> None:
    """A mail to exactly this address, committed with the caller's change; `values` hold no secret."""
    await jobs.enqueue(db, KIND, {"template": template, "to": to, "values": values}, now)
