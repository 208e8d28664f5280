"""SQL of sessions, known devices and failed logins."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import KnownDevice, LoginFailure, Session
from app.database import insert_into
from app.users.models import User

FREE_FAILURES = 4  # the fifth failure in a row is the first to be followed by a wait
MOST_WAIT_SECONDS = 900
WAITS = {FREE_FAILURES + 1 + n: min(2**n, MOST_WAIT_SECONDS) for n in range(11)}


async def add_session(db: AsyncSession, session: Session) -> None:
    """A new session."""
    db.add(session)
    await db.flush()


async def find_session(db: AsyncSession, session_id: uuid.UUID) -> Session | None:
    """The row as it is now."""
    return await db.get(Session, session_id, populate_existing=True)


async def is_alive(db: AsyncSession, session_id: uuid.UUID, now: datetime) -> bool:
    """Whether the session, and its user, may act at this moment."""
    alive = (
        select(Session.id)
        .join(User, User.id == Session.user_id)
        .where(Session.id == session_id, Session.ended_at.is_(None), Session.expires_at > now, User.disabled_at.is_(None))
    )
    return await db.scalar(alive) is not None


async def rotate_session(
    db: AsyncSession, session_id: uuid.UUID, user_id: uuid.UUID, generation: int, client: bytes, now: datetime
) -> Session | None:
    """The session with its next generation, for the one who spends this generation; None for everybody else."""
    active = exists().where(User.id == user_id, User.disabled_at.is_(None))
    rotated = (
        update(Session)
        .where(
            Session.id == session_id,
            Session.user_id == user_id,
            Session.generation == generation,
            Session.ended_at.is_(None),
            Session.expires_at > now,
            active,
        )
        .values(generation=Session.generation + 1, rotated_at=now, rotated_by=client, used_at=now)
        .returning(Session)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    found: Session | None = await db.scalar(rotated)
    return found


async def end_session(db: AsyncSession, session_id: uuid.UUID, user_id: uuid.UUID, reason: str, now: datetime) -> bool:
    """True for the one who ends it."""
    ended = (
        update(Session)
        .where(Session.id == session_id, Session.user_id == user_id, Session.ended_at.is_(None))
        .values(ended_at=now, end_reason=reason)
        .returning(Session.id)
    )
    return await db.scalar(ended) is not None


async def end_sessions_of(db: AsyncSession, user_id: uuid.UUID, reason: str, now: datetime) -> list[uuid.UUID]:
    """End every session of an account; which those were."""
    ended = (
        update(Session)
        .where(Session.user_id == user_id, Session.ended_at.is_(None))
        .values(ended_at=now, end_reason=reason)
        .returning(Session.id)
    )
    return list((await db.scalars(ended)).all())


async def end_every_session(db: AsyncSession, reason: str, now: datetime) -> list[uuid.UUID]:
    """End every session there is; which those were."""
    ended = update(Session).where(Session.ended_at.is_(None)).values(ended_at=now, end_reason=reason).returning(Session.id)
    return list((await db.scalars(ended)).all())


async def list_alive(db: AsyncSession, user_id: uuid.UUID, now: datetime) -> list[Session]:
    """An account's sessions that are alive, newest first."""
    alive = select(Session).where(Session.user_id == user_id, Session.ended_at.is_(None), Session.expires_at > now)
    return list((await db.scalars(alive.order_by(Session.created_at.desc(), Session.id))).all())


async def touch_session(db: AsyncSession, session_id: uuid.UUID, now: datetime, older_than: datetime) -> None:
    """Remember that the session was used, to five minutes."""
    await db.execute(update(Session).where(Session.id == session_id, Session.used_at < older_than).values(used_at=now))


async def add_device(db: AsyncSession, device: KnownDevice) -> None:
    """A device its owner signed in on."""
    db.add(device)
    await db.flush()


async def find_device(db: AsyncSession, user_id: uuid.UUID, digest: bytes, now: datetime) -> KnownDevice | None:
    """The device with this secret, if it is this account's and not too old."""
    found: KnownDevice | None = await db.scalar(
        select(KnownDevice).where(KnownDevice.digest == digest, KnownDevice.user_id == user_id, KnownDevice.expires_at > now)
    )
    return found


async def delete_devices(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Forget an account's devices."""
    await db.execute(delete(KnownDevice).where(KnownDevice.user_id == user_id))


async def delete_all_devices(db: AsyncSession) -> None:
    """Forget every device there is."""
    await db.execute(delete(KnownDevice))


async def charge_try(db: AsyncSession, key: bytes, now: datetime, keep_for: timedelta) -> int | None:
    """Count one try before it is made; how many failures in a row that would make, or None if its time has not come.

    One statement: twenty tries at once are counted one after the other, and the fifth makes the rest wait.
    """
    # Well in the past: a request that began a little earlier, or by another replica's clock, need not wait either.
    free = now - timedelta(minutes=1)
    before = LoginFailure.failures
    counted: Any = case((LoginFailure.forget_at <= now, 1), else_=before + 1)
    waits = {count: now + timedelta(seconds=seconds) for count, seconds in WAITS.items()}
    late = now + timedelta(seconds=MOST_WAIT_SECONDS)
    next_at = case(
        (LoginFailure.forget_at <= now, free),
        (before < FREE_FAILURES, free),
        *((before == count - 1, moment) for count, moment in waits.items()),
        else_=late,
    )
    first = {"key": key, "failures": 1, "next_at": free, "forget_at": now + keep_for}
    charge = (
        insert_into(db, LoginFailure)
        .values(first)
        .on_conflict_do_update(
            index_elements=[LoginFailure.key],
            set_={"failures": counted, "next_at": next_at, "forget_at": now + keep_for},
            where=LoginFailure.next_at <= now,
        )
        .returning(LoginFailure.failures)
    )
    failures: int | None = await db.scalar(charge)
    return failures


async def count_try(db: AsyncSession, key: bytes, now: datetime, keep_for: timedelta) -> tuple[int, bool]:
    """Count one try that never has to wait; how many failures in a row that would make, and whether anybody was told of them."""
    counted = case((LoginFailure.forget_at <= now, 1), else_=LoginFailure.failures + 1)
    told = case((LoginFailure.forget_at <= now, None), else_=LoginFailure.told_at)
    charge = (
        insert_into(db, LoginFailure)
        .values({"key": key, "failures": 1, "next_at": now, "forget_at": now + keep_for})
        .on_conflict_do_update(
            index_elements=[LoginFailure.key], set_={"failures": counted, "forget_at": now + keep_for, "told_at": told}
        )
        .returning(LoginFailure.failures, LoginFailure.told_at)
    )
    failures, told_at = (await db.execute(charge)).one()
    return failures, told_at is not None


async def take_telling(db: AsyncSession, key: bytes, now: datetime) -> bool:
    """True for the one who is to tell that a lane was stopped."""
    told = (
        update(LoginFailure)
        .where(LoginFailure.key == key, LoginFailure.told_at.is_(None))
        .values(told_at=now)
        .returning(LoginFailure.key)
    )
    return await db.scalar(told) is not None


async def find_next_at(db: AsyncSession, key: bytes) -> datetime | None:
    """When the next try of a lane may be made."""
    return await db.scalar(select(LoginFailure.next_at).where(LoginFailure.key == key))


async def clear_failures(db: AsyncSession, *keys: bytes) -> None:
    """Forget the failures of these lanes, one after the other: identifiers before their account, as tries are charged.

    One statement would lock the rows in any order, and two logins at once could wait for each other.
    """
    for key in keys:
        await db.execute(delete(LoginFailure).where(LoginFailure.key == key))


async def delete_old(db: AsyncSession, now: datetime, sessions_before: datetime) -> None:
    """Forget what can't matter any more."""
    await db.execute(delete(LoginFailure).where(LoginFailure.forget_at < now))
    await db.execute(delete(KnownDevice).where(KnownDevice.expires_at < now))
    await db.execute(delete(Session).where(Session.expires_at < sessions_before))
