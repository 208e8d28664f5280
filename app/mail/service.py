"""Writing mails and asking for them to be sent. No secret is ever in a job: links are derived by the worker."""

import textwrap
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.brand import Brand
from app.core.i18n import N_, translate
from app.core.ports import MailTransport
from app.core.templating import render_html, render_text
from app.jobs import service as jobs
from app.jobs.sockets import NotNow, Work

KIND = "mail"
WIDTH = 76  # of lines of plain text
NOBODY = ""  # for rows written so that known and unknown accounts cost the same; nothing is sent
SUBJECTS = {
    "audit-head": N_("Signed head of the audit log"),
    "password-reset": N_("Reset your password"),
    "account-made": N_("An account was made for you"),
    "password-changed": N_("Your password was changed"),
    "password-removed": N_("Your password was removed"),
    "password-voided": N_("Your old password no longer works"),
    "signed-out-for-safety": N_("You were signed out for your safety"),
    "new-device": N_("A new sign-in to your account"),
    "magic-link": N_("Sign in to your account"),
    "login-stopped": N_("Too many failed sign-ins to your account"),
    "factor-added": N_("A second factor was added to your account"),
    "factor-removed": N_("A second factor was removed from your account"),
    "factor-not-required": N_("Your account need not have a second factor any more"),
    "factor-required": N_("Your account needs a second factor"),
    "factors-reset": N_("Your second factors were reset"),
    "recovery-codes": N_("New recovery codes were made for your account"),
    "recovery-code-used": N_("A recovery code of your account was used"),
    "second-factor-failed": N_("A sign-in to your account failed at its second step"),
    "impersonated": N_("Our support looked at your account"),
    "leaving": N_("Your account will be erased"),
    "welcome-back": N_("Your account stays"),
    "verify-email": N_("Confirm your mail address"),
    "address-taken": N_("You already have an account"),
    "email-change": N_("Confirm your new mail address"),
    "email-changed": N_("Your mail address was changed"),
    "email-change-undone": N_("The change of your mail address was undone"),
    "invitation": N_("You are invited"),
}


class MailUnconfigured(NotNow):
    """There is nowhere to send mail to; it stays queued."""


@dataclass(frozen=True, slots=True)
class MailKit:
    """Who sends, by what transport, in whose name, and the language of people who chose none."""

    transport: MailTransport | None
    sender: str
    sender_name: str
    public_url: str
    brand: Brand
    default_locale: str

    def compose(
        self, job_id: UUID, template: str, to: str, now: datetime, values: dict[str, Any], locale: str | None = None
    ) -> EmailMessage:
        """A mail in text and HTML whose Message-ID is the job's id, so that a second delivery can be told."""
        locale = locale or self.default_locale
        subject = translate(locale, SUBJECTS[template])
        message = EmailMessage()
        user, _, host = self.sender.rpartition("@")
        message["From"] = Address(self.sender_name, user, host)
        message["To"] = Address(addr_spec=to)
        message["Subject"] = subject
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{job_id}@{host}>"
        message["Auto-Submitted"] = "auto-generated"
        shared = {
            "product": self.brand.product,
            "public_url": self.public_url,
            "brand": self.brand,
            "subject": subject,
            **values,
        }
        message.set_content(wrapped(render_text(f"mail/{template}.txt", locale, **shared)))
        message.add_alternative(render_html(f"mail/{template}.html", locale, **shared), subtype="html")
        return message

    async def deliver(self, work: Work, template: str, to: str, values: dict[str, Any], *, locale: str | None = None) -> None:
        """Hand one mail over, in a language of ours or the default one.

        Raises:
            MailUnconfigured: nowhere to; the job stays.
        """
        if self.transport is None:
            raise MailUnconfigured
        await self.transport.send(self.compose(work.id, template, to, work.now, values, locale))

    async def run(self, work: Work) -> None:
        """The handler of jobs of kind "mail"."""
        payload = work.payload
        if payload["to"] != NOBODY:
            await self.deliver(work, payload["template"], payload["to"], payload["values"], locale=payload.get("locale"))


def wrapped(text: str) -> str:
    """Plain text in lines that any mail program shows whole; what has no spaces, such as a link, stays in one piece."""
    lines = (textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False) for line in text.splitlines())
    return "\n".join(lines) + "\n"


async def enqueue(db: AsyncSession, template: str, to: str, now: datetime, *, locale: str | None = None, **values: str) -> None:
    """A mail to exactly this address, committed with the caller's change; `values` hold no secret.

    `locale` is the person's choice, None where there is none: then it is written in the default language.
    """
    await jobs.enqueue(db, KIND, {"template": template, "to": to, "values": values, "locale": locale}, now)
