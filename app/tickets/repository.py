"""SQL of tickets. Spending is one statement."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.tickets.models import Ticket

IS_OPEN = Ticket.spent_at.is_(None) & Ticket.voided_at.is_(None)


async def find_ticket(db: AsyncSession, ticket_id: uuid.UUID) -> Ticket | None:
    """The row as it is now."""
    return await db.get(Ticket, ticket_id, populate_existing=True)


async def add_ticket(
    db: AsyncSession, ticket_id: uuid.UUID, purpose: str, subject_id: uuid.UUID, address: str, now: datetime, expires_at: datetime
) -> None:
    """A new open ticket; the caller holds the account's row."""
    await db.execute(
        insert(Ticket).values(
            id=ticket_id, purpose=purpose, subject_id=subject_id, address=address, created_at=now, expires_at=expires_at
        )
    )


async def extend_ticket(db: AsyncSession, ticket_id: uuid.UUID, expires_at: datetime) -> bool:
    """Give a ticket that is still open its time again, since its mail leaves only now; False if it is not open."""
    kept = update(Ticket).where(Ticket.id == ticket_id, IS_OPEN).values(expires_at=expires_at).returning(Ticket.id)
    return await db.scalar(kept) is not None


async def spend_ticket(db: AsyncSession, ticket_id: uuid.UUID, purpose: str, address: str, now: datetime) -> bool:
    """True for the one who spends it; `address` is the account's at this moment."""
    spent = (
        update(Ticket)
        .where(Ticket.id == ticket_id, Ticket.purpose == purpose, Ticket.address == address, IS_OPEN, Ticket.expires_at > now)
        .values(spent_at=now)
        .returning(Ticket.id)
    )
    return await db.scalar(spent) is not None


async def void_tickets(db: AsyncSession, subject_id: uuid.UUID, purpose: str | None, now: datetime) -> None:
    """Close the open tickets of an account, of one purpose or of all."""
    void = update(Ticket).where(Ticket.subject_id == subject_id, IS_OPEN).values(voided_at=now)
    await db.execute(void.where(Ticket.purpose == purpose) if purpose else void)


async def void_all(db: AsyncSession, now: datetime) -> int:
    """Close every open ticket there is."""
    return len((await db.execute(update(Ticket).where(IS_OPEN).values(voided_at=now).returning(Ticket.id))).all())


async def delete_old(db: AsyncSession, before: datetime) -> None:
    """Forget tickets that ran out before."""
    await db.execute(delete(Ticket).where(Ticket.expires_at < before))


def _about(subject_id: uuid.UUID, address: str) -> ColumnElement[bool]:
    return (Ticket.subject_id == subject_id) | (Ticket.address == address)


async def list_about(db: AsyncSession, subject_id: uuid.UUID, address: str) -> list[Ticket]:
    """The tickets of a subject or for an address, oldest first."""
    return list(
        (await db.scalars(select(Ticket).where(_about(subject_id, address)).order_by(Ticket.created_at, Ticket.id))).all()
    )


async def delete_about(db: AsyncSession, subject_id: uuid.UUID, address: str) -> None:
    """Forget the tickets of a subject and those for an address."""
    await db.execute(delete(Ticket).where(_about(subject_id, address)))


async def delete_of(db: AsyncSession, subject_ids: Sequence[uuid.UUID]) -> None:
    """Forget the tickets of these subjects."""
    await db.execute(delete(Ticket).where(Ticket.subject_id.in_(subject_ids)))
