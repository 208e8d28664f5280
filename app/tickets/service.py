"""Issuing, checking, spending and voiding tickets."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import keyed_digest
from app.core.errors import AppError
from app.tickets import repository
from app.tickets.models import Ticket
from app.tickets.repository import MOST_COMPARED
from app.tickets.tokens import matches, matches_code, read_code, read_id, write_code, write_token

KEPT_AFTER_EXPIRY = timedelta(days=7)
MOST_GUESSES, GUESSES_KEPT = 5, timedelta(days=1)
NOBODY = uuid.UUID(int=0)


class TicketInvalid(AppError):
    """Unknown, of another purpose, spent, voided, expired, or made for an address since given up: one answer."""

    code, status, title = "ticket_invalid", 400, "The link is not valid any more; ask for a new one"


class CodeRefused(TicketInvalid):
    """A wrong code, or one guess too many: the same answer as any ticket that is not good. The guess is kept."""

    keeps = True


find = repository.find_ticket
charge_guess = repository.charge_guess
refund_guess = repository.refund_guess
clear_guesses = repository.clear_guesses
count_guesses = repository.count_guesses
find_guesses_end = repository.find_guesses_end
code_of = write_code


async def issue(
    db: AsyncSession,
    key: bytes,
    ticket_id: uuid.UUID,
    purpose: str,
    subject_id: uuid.UUID,
    address: str,
    now: datetime,
    life: timedelta,
    *,
    binding: bytes | None = None,
) -> str | None:
    """The token of ticket `ticket_id`, made now or at an earlier try; None if it was spent or voided since.

    The caller holds the account's row, so that "at most one open" can't be raced.
    """
    if await repository.find_ticket(db, ticket_id) is None:
        await repository.void_tickets(db, subject_id, purpose, now)
        await repository.add_ticket(db, ticket_id, purpose, subject_id, address, now, now + life, binding)
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


async def find_by_code(db: AsyncSession, key: bytes, purpose: str, address: str, code: str, now: datetime) -> Ticket:
    """The open ticket of a purpose and address (in its unique form) whose code this is. Spends nothing.

    A guess is counted before it is looked at, by purpose and address as typed, whether anything was ever sent there: five in
    24 hours, however many codes were mailed meanwhile. The sixth does the same work and gets the same answer as a wrong one,
    the right code too (docs/adr/0011).

    Raises:
        CodeRefused: there is none; the transaction must be committed, and is where the error reaches `Database.write`.
    """
    guesses = keyed_digest(key, "guesses", purpose, address)
    charged = await repository.charge_guess(db, guesses, MOST_GUESSES, now, now + GUESSES_KEPT)
    rows = await repository.list_open(db, purpose, address, now)
    nobodys = [(NOBODY, NOBODY)] * (MOST_COMPARED - len(rows))
    typed, found = read_code(code), None
    for ticket_id, subject_id in [*rows, *nobodys]:
        ticket = Ticket(id=ticket_id, purpose=purpose, subject_id=subject_id, address=address)
        if matches_code(key, ticket, typed) and ticket_id != NOBODY:
            found = ticket
    if found is None or charged is None:
        raise CodeRefused
    await repository.clear_guesses(db, guesses)
    return found


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
    await repository.delete_old(db, now, now - KEPT_AFTER_EXPIRY)
