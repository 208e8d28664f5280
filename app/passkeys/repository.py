"""SQL of passkeys. A challenge is taken, and a counter raised, by one statement each."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import b64encode, digest
from app.database import insert_into
from app.passkeys.models import Passkey, PasskeyChallenge
from app.statements import run


async def add_challenge(
    db: AsyncSession, challenge: bytes, purpose: str, binding: bytes, expires_at: datetime, user_handle: bytes | None
) -> None:
    """A challenge that may be answered once; its digest is stored."""
    values = {"purpose": purpose, "binding": binding, "expires_at": expires_at, "user_handle": user_handle}
    await db.execute(insert(PasskeyChallenge).values(digest=digest_of(challenge), **values))


def digest_of(challenge: bytes) -> bytes:
    """What a challenge is looked up by."""
    return digest(b64encode(challenge))


@dataclass(frozen=True, slots=True)
class Taken:
    """A challenge that was taken, and what was kept with it."""

    challenge: bytes
    binding: bytes
    user_handle: bytes | None


async def take_challenge(
    db: AsyncSession, challenge: bytes, purpose: str, bindings: tuple[bytes, ...], now: datetime
) -> Taken | None:
    """For the one who takes a challenge that was made for one of these; None for everybody else."""
    taken = (
        delete(PasskeyChallenge)
        .where(
            PasskeyChallenge.digest == digest_of(challenge),
            PasskeyChallenge.purpose == purpose,
            PasskeyChallenge.binding.in_(bindings),
            PasskeyChallenge.expires_at > now,
        )
        .returning(PasskeyChallenge.binding, PasskeyChallenge.user_handle)
    )
    row = (await db.execute(taken)).one_or_none()
    return None if row is None else Taken(challenge, bytes(row[0]), row[1])


async def delete_expired(db: AsyncSession, now: datetime) -> None:
    """Forget challenges that nobody answered in time."""
    await db.execute(delete(PasskeyChallenge).where(PasskeyChallenge.expires_at <= now))


async def delete_challenges(db: AsyncSession) -> None:
    """Nothing that was asked is answered any more."""
    await db.execute(delete(PasskeyChallenge))


async def add_passkey(db: AsyncSession, values: dict[str, Any]) -> Passkey | None:
    """A new one, or None if somebody has a credential of this id; the constraint decides, so a race makes one."""
    added = insert_into(db, Passkey).values(values).on_conflict_do_nothing(index_elements=[Passkey.credential_id])
    passkey_id = await db.scalar(added.returning(Passkey.id))
    return await db.get(Passkey, passkey_id, populate_existing=True) if passkey_id else None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What a signature is checked against. Nobody's, if `id` and `user_id` are None: then by a key of no use."""

    id: uuid.UUID | None
    user_id: uuid.UUID | None
    public_key: bytes
    user_handle: bytes
    sign_count: int
    backup_eligible: bool
    uv_initialized: bool


def _key_by_credential() -> Any:
    one = select(literal(1).label("one")).subquery()
    whose = (Passkey.id, Passkey.user_id, Passkey.public_key, Passkey.user_handle)
    columns = (*whose, Passkey.sign_count, Passkey.backup_eligible, Passkey.uv_initialized)
    wanted = Passkey.credential_id == bindparam("credential_id")
    return select(*columns).select_from(one).outerjoin(Passkey, wanted)


IDS_OF: Any = select(Passkey.id).where(Passkey.user_id == bindparam("user_id"))
KEY_BY_CREDENTIAL = _key_by_credential()
# The curve's own base point (SEC 2 section 2.4.2), as a COSE key of ES256.
NOBODYS_KEY = bytes.fromhex(
    "a5010203262001"
    "2158206b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "2258204fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


async def find_key(db: AsyncSession, credential_id: bytes) -> KnownKey:
    """The key with this credential id, whoever has it, by a query that has one row in either case."""
    (row,) = await run(db, KEY_BY_CREDENTIAL, {"credential_id": credential_id})
    passkey_id, user_id, public_key, user_handle, sign_count, backup_eligible, uv_initialized = row
    key, handle = bytes(public_key or NOBODYS_KEY), bytes(user_handle or b"")
    return KnownKey(passkey_id, user_id, key, handle, sign_count or 0, bool(backup_eligible), bool(uv_initialized))


async def list_of(db: AsyncSession, user_id: uuid.UUID) -> list[Passkey]:
    """An account's passkeys, oldest first."""
    mine = select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.created_at, Passkey.id)
    return list((await db.scalars(mine.execution_options(populate_existing=True))).all())


async def list_of_many(db: AsyncSession, user_ids: Sequence[uuid.UUID]) -> list[Passkey]:
    """The passkeys of these accounts, oldest first."""
    theirs = select(Passkey).where(Passkey.user_id.in_(user_ids)).order_by(Passkey.created_at, Passkey.credential_id)
    return list((await db.scalars(theirs)).all())


async def list_taken(db: AsyncSession, credential_ids: Sequence[bytes]) -> set[bytes]:
    """Those of these ids that somebody's credential has."""
    taken = select(Passkey.credential_id).where(Passkey.credential_id.in_(credential_ids))
    return {bytes(each) for each in await db.scalars(taken)}


async def list_credential_ids(db: AsyncSession, user_id: uuid.UUID) -> list[bytes]:
    """The credential ids of an account that can be the whole login, oldest first; plain columns, since whether there are any must
    not be measured.
    """
    mine = select(Passkey.credential_id).where(Passkey.user_id == user_id, Passkey.uv_initialized)
    return [bytes(credential_id) for (credential_id,) in await db.execute(mine.order_by(Passkey.created_at, Passkey.id))]


async def count_verifying(db: AsyncSession, user_id: uuid.UUID) -> int:
    """How many of an account's passkeys can be the whole login."""
    verifying = select(func.count()).where(Passkey.user_id == user_id, Passkey.uv_initialized)
    return await db.scalar(verifying) or 0


async def rename(db: AsyncSession, passkey_id: uuid.UUID, user_id: uuid.UUID, name: str) -> Passkey | None:
    """The passkey by its new name, if it is this account's."""
    renamed = update(Passkey).where(Passkey.id == passkey_id, Passkey.user_id == user_id).values(name=name).returning(Passkey)
    found: Passkey | None = await db.scalar(renamed.execution_options(synchronize_session=False, populate_existing=True))
    return found


async def note_use(db: AsyncSession, passkey_id: uuid.UUID, sign_count: int, now: datetime, *, backed_up: bool) -> bool:
    """Write a use down, unless the counter stands still or goes back: then False (WebAuthn Level 3 section 7.2 step 22)."""
    counted = Passkey.sign_count < sign_count
    uncounted = (Passkey.sign_count == 0) & (sign_count == 0)
    values: dict[str, Any] = {"sign_count": sign_count, "last_used_at": now, "backed_up": backed_up}
    used = update(Passkey).where(Passkey.id == passkey_id, or_(counted, uncounted)).values(values).returning(Passkey.id)
    return await db.scalar(used.execution_options(synchronize_session=False)) is not None


async def delete_passkey(db: AsyncSession, passkey_id: uuid.UUID, user_id: uuid.UUID) -> bool:
    """False if this account has no such one."""
    gone = delete(Passkey).where(Passkey.id == passkey_id, Passkey.user_id == user_id).returning(Passkey.id)
    return await db.scalar(gone) is not None


async def delete_all_of(db: AsyncSession, user_id: uuid.UUID) -> list[uuid.UUID]:
    """Forget an account's passkeys; which those were."""
    gone = delete(Passkey).where(Passkey.user_id == user_id).returning(Passkey.id)
    return list((await db.scalars(gone)).all())
