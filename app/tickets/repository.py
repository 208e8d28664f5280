"""SQL of tickets. Spending is one statement, and so is charging a guess."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, delete, insert, literal, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import UtcDateTime, insert_into
from app.statements import run
from app.tickets.models import CodeGuess, Ticket

IS_OPEN = Ticket.spent_at.is_(None) & Ticket.voided_at.is_(None)
MOST_COMPARED = 5


def _newest_open() -> Any:
    one = select(literal(1).label("one")).subquery()
    newest = (
        select(Ticket.id, Ticket.subject_id)
        .where(
            Ticket.address == bindparam("address"),
            Ticket.purpose == bindparam("purpose"),
            IS_OPEN,
            Ticket.expires_at > bindparam("now", type_=UtcDateTime),
        )
        .order_by(Ticket.created_at.desc(), Ticket.id)
        .limit(MOST_COMPARED)
        .subquery()
    )
    return select(newest.c.id, newest.c.subject_id).select_from(one).outerjoin(newest, true())


NEWEST_OPEN = _newest_open()


async def find_ticket(db: AsyncSession, ticket_id: uuid.UUID) -> Ticket | None:
    """The row as it is now."""
    return await db.get(Ticket, ticket_id, populate_existing=True)


async def add_ticket(
    db: AsyncSession,
    ticket_id: uuid.UUID,
    purpose: str,
    subject_id: uuid.UUID,
    address: str,
    now: datetime,
    expires_at: datetime,
    binding: bytes | None = None,
) -> None:
    """A new open ticket; the caller holds the account's row."""
    await db.execute(
        insert(Ticket).values(
            id=ticket_id,
            purpose=purpose,
            subject_id=subject_id,
            address=address,
            created_at=now,
            expires_at=expires_at,
            binding=binding,
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


async def list_open(db: AsyncSession, purpose: str, address: str, now: datetime) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Id and subject of the newest open tickets of a purpose for an address.

    By a query that has a row of plain columns where there is none, too: what is made of a row can be measured.
    """
    rows = await run(db, NEWEST_OPEN, {"purpose": purpose, "address": address, "now": now})
    return [(ticket_id, subject_id) for ticket_id, subject_id in rows if ticket_id is not None]


async def charge_guess(db: AsyncSession, key: bytes, most: int, now: datetime, forget_at: datetime) -> int | None:
    """Count one guess before it is looked at; how many there are now, None if there were `most` already.

    The count begins anew at `forget_at`.
    """
    charge = insert_into(db, CodeGuess).values(key=key, guesses=1, forget_at=forget_at)
    over = CodeGuess.forget_at <= now
    charged = charge.on_conflict_do_update(
        index_elements=[CodeGuess.key],
        set_={
            "guesses": case((over, 1), else_=CodeGuess.guesses + 1),
            "forget_at": case((over, charge.excluded.forget_at), else_=CodeGuess.forget_at),
        },
        where=or_(over, CodeGuess.guesses < most),
    ).returning(CodeGuess.guesses)
    count: int | None = await db.scalar(charged)
    return count


async def refund_guess(db: AsyncSession, key: bytes) -> None:
    """Take back one guess that was right."""
    await db.execute(update(CodeGuess).where(CodeGuess.key == key, CodeGuess.guesses > 0).values(guesses=CodeGuess.guesses - 1))


async def count_guesses(db: AsyncSession, key: bytes) -> int:
    """How many there are."""
    return await db.scalar(select(CodeGuess.guesses).where(CodeGuess.key == key)) or 0


async def find_guesses_end(db: AsyncSession, key: bytes) -> datetime | None:
    """When the count begins anew."""
    return await db.scalar(select(CodeGuess.forget_at).where(CodeGuess.key == key))


async def clear_guesses(db: AsyncSession, key: bytes) -> None:
    """Begin to count anew."""
    await db.execute(delete(CodeGuess).where(CodeGuess.key == key))


async def void_all(db: AsyncSession, now: datetime) -> int:
    """Close every open ticket there is."""
    return len((await db.execute(update(Ticket).where(IS_OPEN).values(voided_at=now).returning(Ticket.id))).all())


async def delete_old(db: AsyncSession, now: datetime, before: datetime) -> None:
    """Forget tickets that ran out before, and guesses that count no more."""
    await db.execute(delete(Ticket).where(Ticket.expires_at < before))
    await db.execute(delete(CodeGuess).where(CodeGuess.forget_at <= now))


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


async def list_of(db: AsyncSession, subject_ids: Sequence[uuid.UUID]) -> list[Ticket]:
    """The tickets of these subjects, oldest first."""
    of_subjects = select(Ticket).where(Ticket.subject_id.in_(subject_ids))
    return list((await db.scalars(of_subjects.order_by(Ticket.created_at, Ticket.id))).all())


async def delete_of(db: AsyncSession, subject_ids: Sequence[uuid.UUID]) -> None:
    """Forget the tickets of these subjects."""
    await db.execute(delete(Ticket).where(Ticket.subject_id.in_(subject_ids)))


async def delete_for(db: AsyncSession, address: str) -> None:
    """Forget the tickets for an address."""
    await db.execute(delete(Ticket).where(Ticket.address == address))
