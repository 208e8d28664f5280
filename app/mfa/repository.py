"""SQL of authenticator apps, recovery codes, and who must have a factor."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Uuid, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import insert_into
from app.mfa.models import MfaRequirement, RecoveryCode, TotpFactor
from app.statements import run

USER = bindparam("user_id", type_=Uuid)
TOTP_IDS = select(TotpFactor.id).where(TotpFactor.user_id == USER, TotpFactor.confirmed_at.is_not(None))
CODE_IDS = select(RecoveryCode.id).where(RecoveryCode.user_id == USER, RecoveryCode.spent_at.is_(None))
REQUIREMENT = select(MfaRequirement.required_at, MfaRequirement.grace_ends_at).where(MfaRequirement.user_id == USER)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What is kept of an account that must have a factor: since when an admin says so, and until when it may do without."""

    required_at: datetime | None
    grace_ends_at: datetime | None


async def replace_pending(db: AsyncSession, factor: TotpFactor) -> None:
    """An app that is to be confirmed, instead of one that was."""
    await db.execute(delete(TotpFactor).where(TotpFactor.user_id == factor.user_id, TotpFactor.confirmed_at.is_(None)))
    db.add(factor)
    await db.flush()


async def list_confirmed(db: AsyncSession, user_ids: Sequence[uuid.UUID]) -> list[TotpFactor]:
    """The apps that count of these accounts."""
    confirmed = select(TotpFactor).where(TotpFactor.user_id.in_(user_ids), TotpFactor.confirmed_at.is_not(None))
    return list((await db.scalars(confirmed)).all())


async def find_pending(db: AsyncSession, user_id: uuid.UUID, made_after: datetime) -> TotpFactor | None:
    """The app that is to be confirmed, if that was begun after then."""
    pending = select(TotpFactor).where(TotpFactor.user_id == user_id, TotpFactor.confirmed_at.is_(None))
    found: TotpFactor | None = await db.scalar(pending.where(TotpFactor.created_at > made_after))
    return found


async def find_totp(db: AsyncSession, user_id: uuid.UUID) -> TotpFactor | None:
    """The app that counts."""
    confirmed = select(TotpFactor).where(TotpFactor.user_id == user_id, TotpFactor.confirmed_at.is_not(None))
    found: TotpFactor | None = await db.scalar(confirmed)
    return found


async def list_totp(db: AsyncSession, user_id: uuid.UUID) -> list[TotpFactor]:
    """The account's apps, to be confirmed or not, oldest first."""
    of_account = select(TotpFactor).where(TotpFactor.user_id == user_id)
    return list((await db.scalars(of_account.order_by(TotpFactor.created_at, TotpFactor.id))).all())


async def confirm_totp(db: AsyncSession, factor_id: uuid.UUID, step: int, now: datetime) -> bool:
    """True for the one who makes it count; the step of the code that did is spent."""
    confirmed = (
        update(TotpFactor)
        .where(TotpFactor.id == factor_id, TotpFactor.confirmed_at.is_(None))
        .values(confirmed_at=now, last_step=step)
        .returning(TotpFactor.id)
    )
    return await db.scalar(confirmed.execution_options(synchronize_session=False)) is not None


async def spend_step(db: AsyncSession, factor_id: uuid.UUID, step: int) -> bool:
    """True for the one who spends this step; neither it nor an older one can be spent afterwards."""
    spent = (
        update(TotpFactor)
        .where(TotpFactor.id == factor_id, TotpFactor.confirmed_at.is_not(None), TotpFactor.last_step < step)
        .values(last_step=step)
        .returning(TotpFactor.id)
    )
    return await db.scalar(spent.execution_options(synchronize_session=False)) is not None


async def delete_confirmed(db: AsyncSession, user_id: uuid.UUID) -> uuid.UUID | None:
    """Take the app that counts away; which it was."""
    gone = delete(TotpFactor).where(TotpFactor.user_id == user_id, TotpFactor.confirmed_at.is_not(None))
    return await db.scalar(gone.returning(TotpFactor.id))


async def delete_totp(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Take the app away, and one that was to be confirmed."""
    await db.execute(delete(TotpFactor).where(TotpFactor.user_id == user_id))


async def replace_codes(db: AsyncSession, user_id: uuid.UUID, rows: list[dict[str, Any]]) -> None:
    """These recovery codes, instead of all before."""
    await delete_codes(db, user_id)
    await db.execute(insert_into(db, RecoveryCode), rows)


async def spend_code(db: AsyncSession, user_id: uuid.UUID, digest: bytes, now: datetime) -> bool:
    """True for the one who spends this recovery code."""
    spent = (
        update(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.digest == digest, RecoveryCode.spent_at.is_(None))
        .values(spent_at=now)
        .returning(RecoveryCode.id)
    )
    return await db.scalar(spent) is not None


async def count_codes(db: AsyncSession, user_id: uuid.UUID) -> int:
    """How many recovery codes are left."""
    left = select(func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.spent_at.is_(None))
    return await db.scalar(left) or 0


async def list_codes(db: AsyncSession, user_id: uuid.UUID) -> list[RecoveryCode]:
    """The account's recovery codes, spent or not."""
    of_account = select(RecoveryCode).where(RecoveryCode.user_id == user_id)
    return list((await db.scalars(of_account.order_by(RecoveryCode.created_at, RecoveryCode.id))).all())


async def delete_codes(db: AsyncSession, user_id: uuid.UUID) -> None:
    """No recovery code of the account is good any more."""
    await db.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


async def void_everything(db: AsyncSession, step: int) -> None:
    """No recovery code there is, and no code of an app up to this step, is good any more."""
    await db.execute(delete(RecoveryCode))
    await db.execute(update(TotpFactor).where(TotpFactor.last_step < step).values(last_step=step))


async def find_requirement(db: AsyncSession, user_id: uuid.UUID) -> Requirement | None:
    """Why and from when on the account must have a factor, as far as that is kept of it."""
    rows = await run(db, REQUIREMENT, {"user_id": user_id})
    return Requirement(*rows[0]) if rows else None


async def begin_grace(db: AsyncSession, user_id: uuid.UUID, ends_at: datetime) -> None:
    """The time within which a factor can be added begins to run, once."""
    begun = insert_into(db, MfaRequirement).values(user_id=user_id, grace_ends_at=ends_at)
    ends = {"grace_ends_at": func.coalesce(MfaRequirement.grace_ends_at, begun.excluded.grace_ends_at)}
    await db.execute(begun.on_conflict_do_update(index_elements=[MfaRequirement.user_id], set_=ends))


async def set_required(db: AsyncSession, user_id: uuid.UUID, moment: datetime | None) -> None:
    """An admin says that the account must have a factor, or takes that back."""
    required = insert_into(db, MfaRequirement).values(user_id=user_id, required_at=moment)
    await db.execute(
        required.on_conflict_do_update(
            index_elements=[MfaRequirement.user_id], set_={"required_at": required.excluded.required_at}
        )
    )


async def delete_requirement(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Nothing is kept of it."""
    await db.execute(delete(MfaRequirement).where(MfaRequirement.user_id == user_id))
