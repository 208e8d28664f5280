"""SQL of pending registrations and of changes of address."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import among, insert_into
from app.users.models import User
from app.verification.models import EmailChange, PendingRegistration


async def add_pending(db: AsyncSession, values: dict[str, Any], now: datetime) -> bool:
    """Keep a registration under its username; False if the name is kept for another. One that ran out is replaced."""
    added = insert_into(db, PendingRegistration).values(values)
    kept = added.on_conflict_do_update(
        index_elements=[PendingRegistration.username_key],
        set_={name: added.excluded[name] for name in values if name != "username_key"},
        where=PendingRegistration.reserved_until <= now,
    ).returning(PendingRegistration.id)
    return await db.scalar(kept) is not None


async def find_pending(db: AsyncSession, pending_id: uuid.UUID, now: datetime) -> PendingRegistration | None:
    """The registration, if it still waits."""
    found: PendingRegistration | None = await db.scalar(_alive(now).where(PendingRegistration.id == pending_id))
    return found


async def lock_pending(db: AsyncSession, pending_id: uuid.UUID, now: datetime) -> PendingRegistration | None:
    """The registration, if it still waits, held until the transaction ends."""
    found: PendingRegistration | None = await db.scalar(_alive(now).where(PendingRegistration.id == pending_id).with_for_update())
    return found


async def list_pending(db: AsyncSession, email_key: str, now: datetime, most: int) -> list[PendingRegistration]:
    """The newest that wait for an address to be proved."""
    waiting = _alive(now).where(PendingRegistration.email_key == email_key)
    return list((await db.scalars(waiting.order_by(PendingRegistration.created_at.desc()).limit(most))).all())


async def holds_username(db: AsyncSession, username_key: str, now: datetime) -> bool:
    """Whether a registration that waits has the name."""
    found = exists().where(PendingRegistration.username_key == username_key, PendingRegistration.reserved_until > now)
    return bool(await db.scalar(select(found)))


async def take_pending(db: AsyncSession, pending_id: uuid.UUID, now: datetime) -> PendingRegistration | None:
    """Remove a registration that still waits; what it was, for the one who removes it."""
    taken = (
        delete(PendingRegistration)
        .where(PendingRegistration.id == pending_id, PendingRegistration.reserved_until > now)
        .returning(PendingRegistration)
        .execution_options(synchronize_session=False)
    )
    return await db.scalar(taken)


def _alive(now: datetime) -> Select[PendingRegistration]:
    return select(PendingRegistration).where(PendingRegistration.reserved_until > now)


async def add_change(db: AsyncSession, values: dict[str, Any]) -> None:
    """A change that was asked for."""
    await db.execute(insert_into(db, EmailChange).values(values))


async def find_change(db: AsyncSession, change_id: uuid.UUID) -> EmailChange | None:
    """The row as it is now."""
    return await db.get(EmailChange, change_id, populate_existing=True)


async def confirm_change(db: AsyncSession, change_id: uuid.UUID, now: datetime, forget_at: datetime) -> None:
    """It happened; until `forget_at` it may be undone."""
    await db.execute(update(EmailChange).where(EmailChange.id == change_id).values(confirmed_at=now, forget_at=forget_at))


async def undo_changes(db: AsyncSession, user_id: uuid.UUID, since: datetime, now: datetime) -> list[uuid.UUID]:
    """Mark every change of an account that was confirmed since then as undone; which those were."""
    undone = (
        update(EmailChange)
        .where(EmailChange.user_id == user_id, EmailChange.confirmed_at >= since, EmailChange.undone_at.is_(None))
        .values(undone_at=now)
        .returning(EmailChange.id)
    )
    return list((await db.scalars(undone)).all())


async def find_holder(db: AsyncSession, email_key: str, now: datetime) -> uuid.UUID | None:
    """The account that gave the address up, and may still take it back."""
    held = (
        select(EmailChange.user_id)
        .join(User, User.id == EmailChange.user_id)
        .where(
            EmailChange.old_email_key == email_key,
            EmailChange.confirmed_at.is_not(None),
            EmailChange.undone_at.is_(None),
            EmailChange.forget_at > now,
        )
        .order_by(EmailChange.confirmed_at.desc())
        .limit(1)
    )
    found: uuid.UUID | None = await db.scalar(held)
    return found


async def list_held(db: AsyncSession, username_keys: Sequence[str], email_keys: Sequence[str], now: datetime) -> set[str]:
    """Names of registrations that wait, and addresses that may still be taken back, among these."""
    waiting = select(PendingRegistration.username_key).where(
        among(db, PendingRegistration.username_key, username_keys), PendingRegistration.reserved_until > now
    )
    given_up = (
        select(EmailChange.old_email_key)
        .join(User, User.id == EmailChange.user_id)
        .where(
            among(db, EmailChange.old_email_key, email_keys),
            EmailChange.confirmed_at.is_not(None),
            EmailChange.undone_at.is_(None),
            EmailChange.forget_at > now,
        )
    )
    return {*(await db.scalars(waiting)), *(await db.scalars(given_up))}


async def list_changes(db: AsyncSession, user_id: uuid.UUID) -> list[EmailChange]:
    """An account's changes of address, oldest first."""
    changes = select(EmailChange).where(EmailChange.user_id == user_id)
    return list((await db.scalars(changes.order_by(EmailChange.requested_at, EmailChange.id))).all())


async def delete_changes(db: AsyncSession, user_id: uuid.UUID) -> list[uuid.UUID]:
    """Forget an account's changes; which those were."""
    gone = delete(EmailChange).where(EmailChange.user_id == user_id).returning(EmailChange.id)
    return list((await db.scalars(gone)).all())


async def list_pending_for(db: AsyncSession, email_key: str) -> list[PendingRegistration]:
    """What was asked for with an address, oldest first."""
    asked = select(PendingRegistration).where(PendingRegistration.email_key == email_key)
    return list((await db.scalars(asked.order_by(PendingRegistration.created_at, PendingRegistration.id))).all())


async def delete_pending_for(db: AsyncSession, email_key: str) -> None:
    """Forget what was asked for with an address."""
    await db.execute(delete(PendingRegistration).where(PendingRegistration.email_key == email_key))


async def delete_old(db: AsyncSession, now: datetime) -> None:
    """Forget what has run out."""
    await db.execute(delete(PendingRegistration).where(PendingRegistration.reserved_until <= now))
    await db.execute(delete(EmailChange).where(EmailChange.forget_at <= now))
