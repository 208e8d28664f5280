"""Issuing, checking, spending and voiding tickets."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import AppError
from app.tickets import repository
from app.tickets.models import Ticket
from app.tickets.tokens import matches, read_id, write_token

KEPT_AFTER_EXPIRY = timedelta(days=7)


class TicketInvalid(AppError):
    """Unknown, of another purpose, spent, voided, expired, or made for an address since given up: one answer."""

    code, status, title = "ticket_invalid", 400, "The link is not valid any more; ask for a new one"


find = repository.find_ticket


async def issue(
    db: AsyncSession,
    key: bytes,
    ticket_id: uuid.UUID,
    purpose: str,
    subject_id: uuid.UUID,
    address: str,
    now: datetime,
    life: timedelta,
) -> str | None:
    """The token of ticket `ticket_id`, made now or at an earlier try; None if it was spent or voided since.

    The caller holds the account's row, so that "at most one open" can't be raced.
    """
    if await repository.find_ticket(db, ticket_id) is None:
        await repository.void_tickets(db, subject_id, purpose, now)
        await repository.add_ticket(db, ticket_id, purpose, subject_id, address, now, now + life)
    elif not await repository.extend_ticket(db, ticket_id, now + life):
        return None
    ticket = await repository.find_ticket(db, ticket_id)
    return write_token(key, ticket) if ticket else None


async def check(db: AsyncSession, key: bytes, token: str, purpose: str, now: datetime) -> Ticket:
    """The open ticket a token stands for. Spends nothing.

    Raises:
        TicketInvalid: it stands for none.
    """
    ticket_id = read_id(token)
    ticket = await repository.find_ticket(db, ticket_id) if ticket_id else None
    if ticket is None or ticket.purpose != purpose or not matches(key, ticket, token):
        raise TicketInvalid
    if ticket.spent_at or ticket.voided_at or ticket.expires_at <= now:
        raise TicketInvalid
    return ticket


async def spend(db: AsyncSession, ticket: Ticket, address: str, now: datetime) -> None:
    """Use a checked ticket up; `address` is the account's, read under its lock.

    Raises:
        TicketInvalid: somebody was faster, or it stopped being good since it was checked.
    """
    if not await repository.spend_ticket(db, ticket.id, ticket.purpose, address, now):
        raise TicketInvalid


async def void(db: AsyncSession, subject_id: uuid.UUID, now: datetime) -> None:
    """Close whatever is open for an account."""
    await repository.void_tickets(db, subject_id, None, now)


async def void_all(db: AsyncSession, now: datetime) -> int:
    """Close whatever is open for anyone; how many that were."""
    return await repository.void_all(db, now)


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Daily: forget what has long run out."""
    await repository.delete_old(db, now - KEPT_AFTER_EXPIRY)
