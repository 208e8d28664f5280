"""SQL of the dev mailbox."""

import uuid
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.mail.models import DevMail

KEPT = 200


async def find_dev_mail(db: AsyncSession, mail_id: uuid.UUID) -> DevMail | None:
    """One mail, if it is still there."""
    return await db.get(DevMail, mail_id)


async def add_dev_mail(
    db: AsyncSession, mail_id: uuid.UUID, recipient: str, subject: str, text: str, html: str, now: datetime
) -> None:
    """One more mail; the oldest beyond the newest 200 go."""
    db.add(DevMail(id=mail_id, sent_at=now, recipient=recipient, subject=subject, text=text, html=html))
    await db.flush()
    kept = select(DevMail.id).order_by(DevMail.sent_at.desc()).limit(KEPT)
    await db.execute(delete(DevMail).where(DevMail.id.not_in(kept)))


async def list_dev_mails(db: AsyncSession) -> list[DevMail]:
    """Newest first."""
    return list((await db.scalars(select(DevMail).order_by(DevMail.sent_at.desc(), DevMail.id))).all())


async def list_dev_mails_to(db: AsyncSession, email_key: str) -> list[DevMail]:
    """What was sent to an address, oldest first."""
    sent = select(DevMail).where(func.lower(DevMail.recipient) == email_key)
    return list((await db.scalars(sent.order_by(DevMail.sent_at, DevMail.id))).all())


async def delete_dev_mails_to(db: AsyncSession, email_key: str) -> None:
    """Forget what was sent to an address."""
    await db.execute(delete(DevMail).where(func.lower(DevMail.recipient) == email_key))
