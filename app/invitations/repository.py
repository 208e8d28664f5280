"""SQL of invitations."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import insert_into
from app.invitations.models import OPEN, Invitation

IS_OPEN = Invitation.accepted_at.is_(None) & Invitation.withdrawn_at.is_(None)


async def add_invitation(db: AsyncSession, values: dict[str, Any]) -> Invitation | None:
    """A new one, or None if another is open for the address; the index decides, so a race makes one."""
    added = insert_into(db, Invitation).values(values)
    added = added.on_conflict_do_nothing(index_elements=[Invitation.email_key], index_where=OPEN).returning(Invitation.id)
    invitation_id = await db.scalar(added)
    return await find_invitation(db, invitation_id) if invitation_id else None


async def find_invitation(db: AsyncSession, invitation_id: uuid.UUID) -> Invitation | None:
    """The row as it is now."""
    return await db.get(Invitation, invitation_id, populate_existing=True)


async def lock_invitation(db: AsyncSession, invitation_id: uuid.UUID) -> Invitation | None:
    """The row, held until the transaction ends."""
    found: Invitation | None = await db.scalar(
        select(Invitation).where(Invitation.id == invitation_id).with_for_update().execution_options(populate_existing=True)
    )
    return found


async def lock_open_for(db: AsyncSession, email_key: str) -> list[Invitation]:
    """What is open for an address, held until the transaction ends."""
    query = select(Invitation).where(Invitation.email_key == email_key, IS_OPEN).with_for_update()
    return list((await db.scalars(query)).all())


async def accept_invitation(db: AsyncSession, invitation_id: uuid.UUID, now: datetime) -> bool:
    """True for the one who accepts it."""
    accepted = (
        update(Invitation)
        .where(Invitation.id == invitation_id, IS_OPEN, Invitation.expires_at > now)
        .values(accepted_at=now)
        .returning(Invitation.id)
    )
    return await db.scalar(accepted) is not None


async def note_account(db: AsyncSession, invitation_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """Remember which account was made by it."""
    await db.execute(update(Invitation).where(Invitation.id == invitation_id).values(accepted_by=user_id))


async def withdraw(db: AsyncSession, invitation_id: uuid.UUID, now: datetime) -> bool:
    """True for the one who withdraws it."""
    return bool(await _withdraw(db, Invitation.id == invitation_id, now))


async def withdraw_of(db: AsyncSession, user_id: uuid.UUID, now: datetime) -> list[uuid.UUID]:
    """Withdraw what an account has open; which those were."""
    return await _withdraw(db, Invitation.invited_by == user_id, now)


async def _withdraw(db: AsyncSession, which: Any, now: datetime) -> list[uuid.UUID]:
    withdrawn = update(Invitation).where(which, IS_OPEN).values(withdrawn_at=now).returning(Invitation.id)
    return list((await db.scalars(withdrawn)).all())


async def list_open(db: AsyncSession, after: tuple[datetime, uuid.UUID] | None, limit: int) -> list[Invitation]:
    """A page of those that are open, newest first, from behind the place `after`."""
    query = select(Invitation).where(IS_OPEN)
    if after is not None:
        moment, invitation_id = after
        place = tuple_(literal(moment, Invitation.created_at.type), literal(invitation_id, Invitation.id.type))
        query = query.where(tuple_(Invitation.created_at, Invitation.id) < place)
    query = query.order_by(Invitation.created_at.desc(), Invitation.id.desc()).limit(limit)
    return list((await db.scalars(query)).all())


async def list_of(db: AsyncSession, user_id: uuid.UUID) -> list[Invitation]:
    """What an account made, oldest first."""
    return await _list(db, Invitation.invited_by == user_id)


async def list_for(db: AsyncSession, user_id: uuid.UUID, email_key: str) -> list[Invitation]:
    """What an address was sent, and what an account was made by, oldest first."""
    return await _list(db, _for(user_id, email_key))


def _for(user_id: uuid.UUID, email_key: str) -> ColumnElement[bool]:
    return (Invitation.email_key == email_key) | (Invitation.accepted_by == user_id)


async def _list(db: AsyncSession, which: Any) -> list[Invitation]:
    return list((await db.scalars(select(Invitation).where(which).order_by(Invitation.created_at, Invitation.id))).all())


async def delete_for(db: AsyncSession, user_id: uuid.UUID, email_key: str) -> list[uuid.UUID]:
    """Forget what an address was sent, and what an account was made by; which those were."""
    gone = delete(Invitation).where(_for(user_id, email_key)).returning(Invitation.id)
    return list((await db.scalars(gone)).all())


async def forget_inviter(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Nobody made them any more."""
    await db.execute(update(Invitation).where(Invitation.invited_by == user_id).values(invited_by=None))


async def delete_old(db: AsyncSession, before: datetime) -> None:
    """Forget what ran out before."""
    await db.execute(delete(Invitation).where(Invitation.expires_at < before))
