"""SQL of sessions, login attempts, devices and failed logins."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, delete, exists, insert, literal, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import KnownDevice, LoginAttempt, LoginFailure, RememberedDevice, Session, is_held_up
from app.auth.sockets import Factor
from app.core.assurance import Proof
from app.core.crypto import random_id
from app.database import Digest, UtcDateTime, upserts_of
from app.statements import run
from app.users.models import User

FREE_FAILURES = 4  # the fifth failure in a row is the first to be followed by a wait
MOST_WAIT_SECONDS = 900
SESSIONS: Any = Session.__table__
SESSION_COLUMNS = tuple(column.name for column in SESSIONS.columns)
ADD_SESSION = SESSIONS.insert()
ADD_DEVICE = insert(KnownDevice.__table__)  # type: ignore[arg-type]  # declared as FromClause, it is a Table
OWN_DEVICE = (KnownDevice.digest == bindparam("digest")) & (KnownDevice.user_id == bindparam("user_id"))
FIND_DEVICE = select(KnownDevice.id).where(OWN_DEVICE, KnownDevice.expires_at > bindparam("now"))
CLEAR_FAILURES: Any = delete(LoginFailure.__table__).where(LoginFailure.key == bindparam("lane"))  # type: ignore[arg-type]  # as above
WAITS = {FREE_FAILURES + 1 + n: min(2**n, MOST_WAIT_SECONDS) for n in range(11)}


async def add_session(db: AsyncSession, session: Session) -> None:
    """A new session."""
    await run(db, ADD_SESSION, {name: getattr(session, name) for name in SESSION_COLUMNS})


async def find_session(db: AsyncSession, session_id: uuid.UUID) -> Session | None:
    """The row as it is now."""
    return await db.get(Session, session_id, populate_existing=True)


async def is_alive(db: AsyncSession, session_id: uuid.UUID, now: datetime) -> bool:
    """Whether the session, and its user, may act at this moment."""
    alive = (
        select(Session.id)
        .join(User, User.id == Session.user_id)
        .where(Session.id == session_id, is_held_up(now), User.disabled_at.is_(None))
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


async def renew_proof(
    db: AsyncSession, session_id: uuid.UUID, before: bytes | None, after: bytes | None, proof: Proof, now: datetime
) -> Session | None:
    """The session with this proof and its next cookie, for the one who holds this one; None for everybody else."""
    renewed = update(Session).where(Session.id == session_id, Session.ended_at.is_(None), Session.expires_at > now)
    if before is not None:
        renewed = renewed.where(Session.cookie_digest == before)
    proved = {"authenticated_at": proof.at, "amr": proof.amr, "acr": proof.acr, "proved_with": proof.factor}
    renewed = renewed.values(cookie_digest=after, used_at=now, **proved)
    options = {"synchronize_session": False, "populate_existing": True}
    found: Session | None = await db.scalar(renewed.returning(Session).execution_options(**options))
    return found


async def end_session(db: AsyncSession, session_id: uuid.UUID, user_id: uuid.UUID, reason: str, now: datetime) -> Any:
    """Its id, and who acted as another in it, for the one who ends it; None for everybody else."""
    ended = (
        update(Session)
        .where(Session.id == session_id, Session.user_id == user_id, Session.ended_at.is_(None))
        .values(ended_at=now, end_reason=reason)
        .returning(Session.id, Session.impersonator_id)
    )
    return (await db.execute(ended)).one_or_none()


async def end_sessions_of(
    db: AsyncSession,
    user_id: uuid.UUID,
    reason: str,
    now: datetime,
    *,
    but: uuid.UUID | None = None,
    factor: str | None = None,
) -> list[uuid.UUID]:
    """End the sessions of an account, but for one; with `factor` those that it had part in. Which those were."""
    mine = (Session.user_id == user_id) & Session.ended_at.is_(None)
    if but is not None:
        mine &= Session.id != but
    if factor is not None:
        mine &= (Session.opened_with == factor) | (Session.proved_with == factor)
    ended = update(Session).where(mine).values(ended_at=now, end_reason=reason).returning(Session.id)
    return list((await db.scalars(ended)).all())


async def end_every_session(db: AsyncSession, reason: str, now: datetime) -> list[uuid.UUID]:
    """End every session there is; which those were."""
    ended = update(Session).where(Session.ended_at.is_(None)).values(ended_at=now, end_reason=reason).returning(Session.id)
    return list((await db.scalars(ended)).all())


async def list_alive(db: AsyncSession, user_id: uuid.UUID, now: datetime) -> list[Session]:
    """An account's sessions that are alive, newest first."""
    alive = select(Session).where(Session.user_id == user_id, is_held_up(now))
    return list((await db.scalars(alive.order_by(Session.created_at.desc(), Session.id))).all())


async def list_sessions(db: AsyncSession, user_id: uuid.UUID) -> list[Session]:
    """An account's sessions that there are rows of, oldest first."""
    found: list[Session] = []
    for which in (Session.ended_at.is_(None), Session.ended_at.is_not(None)):  # an index each
        found += (await db.scalars(select(Session).where(Session.user_id == user_id, which))).all()
    return sorted(found, key=lambda session: session.id)


async def blank_sessions(db: AsyncSession, user_id: uuid.UUID) -> list[uuid.UUID]:
    """Empty where an account's sessions came from; all have ended. Which those were."""
    none = dict.fromkeys(("rotated_by", "cookie_digest", "opened_with", "proved_with"))
    ended = (
        update(Session).where(Session.user_id == user_id, Session.ended_at.is_not(None)).values(address="", user_agent="", **none)
    )
    return list((await db.scalars(ended.returning(Session.id))).all())


async def touch_sessions(db: AsyncSession, session_ids: list[uuid.UUID], now: datetime, older_than: datetime) -> None:
    """Remember that these sessions were used, to five minutes; of those that somebody holds, some other time."""
    due = select(Session.id).where(Session.id.in_(session_ids), Session.used_at < older_than).with_for_update(skip_locked=True)
    await db.execute(update(Session).where(Session.id.in_(due)).values(used_at=now).execution_options(synchronize_session=False))


async def add_device(db: AsyncSession, user_id: uuid.UUID, digest: bytes, now: datetime, expires_at: datetime) -> None:
    """A device its owner signed in on."""
    values = {"id": random_id(), "user_id": user_id, "digest": digest, "created_at": now, "expires_at": expires_at}
    await run(db, ADD_DEVICE, values)


async def find_device(db: AsyncSession, user_id: uuid.UUID, digest: bytes, now: datetime) -> uuid.UUID | None:
    """The id of the device with this secret, if it is this account's and not too old."""
    rows = await run(db, FIND_DEVICE, {"digest": digest, "user_id": user_id, "now": now})
    return rows[0][0] if rows else None


async def list_devices(db: AsyncSession, user_id: uuid.UUID) -> list[KnownDevice]:
    """An account's known devices, oldest first."""
    of_account = select(KnownDevice).where(KnownDevice.user_id == user_id)
    return list((await db.scalars(of_account.order_by(KnownDevice.created_at, KnownDevice.id))).all())


async def delete_devices(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Forget an account's devices, remembered ones too."""
    await db.execute(delete(KnownDevice).where(KnownDevice.user_id == user_id))
    await delete_remembered(db, user_id)


async def delete_all_devices(db: AsyncSession) -> None:
    """Forget every device there is."""
    await db.execute(delete(KnownDevice))
    await db.execute(delete(RememberedDevice))


async def add_remembered(db: AsyncSession, device: RememberedDevice) -> None:
    """A browser that need not give the second factor for a while."""
    db.add(device)
    await db.flush()


async def find_remembered(db: AsyncSession, device_id: uuid.UUID, user_id: uuid.UUID, now: datetime) -> RememberedDevice | None:
    """The remembered browser, if it is this account's and its time is not over."""
    of_account = (RememberedDevice.id == device_id) & (RememberedDevice.user_id == user_id)
    found: RememberedDevice | None = await db.scalar(
        select(RememberedDevice).where(of_account, RememberedDevice.expires_at > now)
    )
    return found


async def list_remembered(db: AsyncSession, user_id: uuid.UUID) -> list[RememberedDevice]:
    """An account's remembered browsers, oldest first."""
    of_account = select(RememberedDevice).where(RememberedDevice.user_id == user_id)
    return list((await db.scalars(of_account.order_by(RememberedDevice.created_at, RememberedDevice.id))).all())


async def delete_remembered(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Every browser of the account has to give the second factor again."""
    await db.execute(delete(RememberedDevice).where(RememberedDevice.user_id == user_id))


@cache
def _finding(factors: tuple[Factor, ...]) -> Any:
    kinds = ((factor.name, factor.ids.subquery()) for factor in factors)
    return union_all(*(select(literal(name), ids.c[0]) for name, ids in kinds))


async def list_factors(db: AsyncSession, factors: tuple[Factor, ...], user_id: uuid.UUID) -> list[tuple[str, uuid.UUID]]:
    """Name and id of each factor that an account has of these kinds, by one statement."""
    if not factors:
        return []
    return [(name, factor_id) for name, factor_id in await run(db, _finding(factors), {"user_id": user_id})]


async def add_attempt(db: AsyncSession, attempt: LoginAttempt) -> None:
    """A login that still owes a step."""
    db.add(attempt)
    await db.flush()


def _open_attempt(attempt_id: uuid.UUID, digest: bytes, owed: str, now: datetime) -> ColumnElement[bool]:
    same_epoch = exists().where(User.id == LoginAttempt.user_id, User.epoch == LoginAttempt.epoch, User.disabled_at.is_(None))
    named = (LoginAttempt.id == attempt_id) & (LoginAttempt.digest == digest) & (LoginAttempt.owed == owed)
    return named & LoginAttempt.spent_at.is_(None) & (LoginAttempt.expires_at > now) & same_epoch


async def find_attempt(
    db: AsyncSession, attempt_id: uuid.UUID, digest: bytes, owed: str, most: int, now: datetime
) -> LoginAttempt | None:
    """The attempt with this secret, if it is open and may still be tried."""
    found: LoginAttempt | None = await db.scalar(
        select(LoginAttempt).where(_open_attempt(attempt_id, digest, owed, now), LoginAttempt.tries < most)
    )
    return found


async def charge_attempt(
    db: AsyncSession, attempt_id: uuid.UUID, digest: bytes, owed: str, most: int, now: datetime
) -> LoginAttempt | None:
    """The attempt with this secret, with one more try counted; None if it is not open, or had `most` tries."""
    charged = (
        update(LoginAttempt)
        .where(_open_attempt(attempt_id, digest, owed, now), LoginAttempt.tries < most)
        .values(tries=LoginAttempt.tries + 1)
        .returning(LoginAttempt)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    found: LoginAttempt | None = await db.scalar(charged)
    return found


async def spend_attempt(db: AsyncSession, attempt_id: uuid.UUID, now: datetime) -> bool:
    """True for the one who finishes the login."""
    spent = (
        update(LoginAttempt)
        .where(LoginAttempt.id == attempt_id, LoginAttempt.spent_at.is_(None), LoginAttempt.expires_at > now)
        .values(spent_at=now)
        .returning(LoginAttempt.id)
    )
    return await db.scalar(spent) is not None


async def list_attempts(db: AsyncSession, user_id: uuid.UUID) -> list[LoginAttempt]:
    """An account's attempts, oldest first."""
    of_account = select(LoginAttempt).where(LoginAttempt.user_id == user_id)
    return list((await db.scalars(of_account.order_by(LoginAttempt.created_at, LoginAttempt.id))).all())


async def delete_attempts(db: AsyncSession, user_id: uuid.UUID) -> None:
    """No login of the account that was begun can be finished."""
    await db.execute(delete(LoginAttempt).where(LoginAttempt.user_id == user_id))


async def delete_all_attempts(db: AsyncSession) -> None:
    """No login that was begun can be finished."""
    await db.execute(delete(LoginAttempt))


@cache
def _charging(insert: Callable[[Any], Any], *, account: bool) -> Any:
    """Count a try of a lane, if its time has come; and one of an account's lane, which never has to wait.

    One statement: twenty tries at once are counted one after the other, and the fifth makes the rest wait. The rows are taken
    in the order of the values, the identifier's before the account's, as they are everywhere.
    """
    lane = {"key": bindparam("lane"), "failures": 1, "next_at": bindparam("free"), "forget_at": bindparam("forget_at")}
    whole = {
        "key": bindparam("account"),
        "failures": 1,
        "next_at": bindparam("free"),
        "forget_at": bindparam("forget_account_at"),
    }
    charge = insert(LoginFailure).values([lane, whole] if account else [lane])
    before, over = LoginFailure.failures, LoginFailure.forget_at <= bindparam("now", type_=UtcDateTime)
    next_at = case(
        (over, charge.excluded.next_at),
        (before < FREE_FAILURES, charge.excluded.next_at),
        *((before == count - 1, bindparam(f"after_{count}", type_=UtcDateTime)) for count in WAITS),
        else_=bindparam("late", type_=UtcDateTime),
    )
    its_turn = LoginFailure.next_at <= bindparam("now", type_=UtcDateTime)
    if account:
        of_account = LoginFailure.key == bindparam("account", type_=Digest)
        next_at, its_turn = case((of_account, charge.excluded.next_at), else_=next_at), or_(of_account, its_turn)
    return charge.on_conflict_do_update(
        index_elements=[LoginFailure.key],
        set_={
            "failures": case((over, 1), else_=before + 1),
            "next_at": next_at,
            "forget_at": charge.excluded.forget_at,
            "told_at": case((over, None), else_=LoginFailure.told_at),
        },
        where=its_turn,
    ).returning(LoginFailure.key, LoginFailure.failures, LoginFailure.told_at)


@dataclass(frozen=True, slots=True)
class Charged:
    """How many failures in a row the try would make of its lane, and of the account's; and whether anybody was told."""

    failures: int
    of_account: int
    told: bool


async def charge_try(
    db: AsyncSession,
    lane: bytes,
    now: datetime,
    keep_for: timedelta,
    *,
    account: bytes | None = None,
    keep_account_for: timedelta = timedelta(0),
) -> Charged | None:
    """Count one try before it is made; None if its time has not come. Then the caller rolls back what the account was charged."""
    values = {
        "lane": lane,
        "now": now,
        # Well in the past: a request that began a little earlier, or by another replica's clock, need not wait either.
        "free": now - timedelta(minutes=1),
        "forget_at": now + keep_for,
        "late": now + timedelta(seconds=MOST_WAIT_SECONDS),
        **{f"after_{count}": now + timedelta(seconds=seconds) for count, seconds in WAITS.items()},
    }
    if account is not None:
        values |= {"account": account, "forget_account_at": now + keep_account_for}
    rows = await run(db, _charging(upserts_of(db), account=account is not None), values)
    counted = {bytes(key): (failures, told_at is not None) for key, failures, told_at in rows}
    if lane not in counted:
        return None
    failures, _ = counted[lane]
    return Charged(failures, *(counted[account] if account is not None else (0, True)))


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


async def list_failures(db: AsyncSession, keys: tuple[bytes, ...]) -> list[LoginFailure]:
    """What is counted in these lanes."""
    return list((await db.scalars(select(LoginFailure).where(LoginFailure.key.in_(keys)))).all())


async def clear_failures(db: AsyncSession, *keys: bytes) -> None:
    """Forget the failures of these lanes, one after the other: identifiers before their account, as tries are charged.

    One statement would lock the rows in any order, and two logins at once could wait for each other.
    """
    for key in keys:
        await run(db, CLEAR_FAILURES, {"lane": key})


async def delete_old(db: AsyncSession, now: datetime, sessions_before: datetime) -> None:
    """Forget what can't matter any more."""
    await db.execute(delete(LoginFailure).where(LoginFailure.forget_at < now))
    await db.execute(delete(KnownDevice).where(KnownDevice.expires_at < now))
    await db.execute(delete(RememberedDevice).where(RememberedDevice.expires_at < now))
    await db.execute(delete(LoginAttempt).where(LoginAttempt.expires_at < now))
    await db.execute(delete(Session).where(Session.expires_at < sessions_before))
