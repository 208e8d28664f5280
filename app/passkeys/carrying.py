"""Passkeys that are brought in from elsewhere, or taken along. They are good for the RP ID alone that they were made for."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import b64decode, b64encode, random_id
from app.core.moments import Moment, is_to_come
from app.database import add_many
from app.passkeys import repository
from app.passkeys.ceremony import TRANSPORTS, check_key
from app.passkeys.credentials import Bytes
from app.passkeys.deps import PasskeyKit
from app.passkeys.fakes import is_fake
from app.passkeys.models import HANDLE_BYTES, MOST_ID_BYTES, Passkey
from app.passkeys.plain_cbor import check_plain
from app.passkeys.service import MOST

MOST_COUNT = 2**32 - 1  # a counter has four bytes (WebAuthn Level 3 section 6.1)
LEAST_ID_BYTES = 16
list_taken = repository.list_taken


class NoPasskey(ValueError):
    """Not a passkey that can be used here."""


class CarriedPasskey(BaseModel):
    """A credential record (WebAuthn Level 3 section 4) as it is carried; bytes are base64url."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    rp_id: Annotated[str, Field(max_length=253)]
    credential_id: Bytes
    public_key: Bytes
    user_handle: Bytes
    sign_count: Annotated[int, Field(ge=0, le=MOST_COUNT)] = 0
    name: Annotated[str, Field(min_length=1, max_length=64)] = "Passkey"
    aaguid: uuid.UUID = uuid.UUID(int=0)
    transports: Annotated[list[str], Field(max_length=16)] = []
    discoverable: bool | None = None
    backup_eligible: bool = False
    backed_up: bool = False
    uv_initialized: bool = False
    created_at: Moment | None = None
    last_used_at: Moment | None = None


def read_passkeys(kit: PasskeyKit, carried: Sequence[CarriedPasskey], now: datetime) -> list[dict[str, Any]]:
    """Rows of the passkeys of one new account, but for the account.

    Raises:
        NoPasskey: one can't be used, or there are too many.
    """
    if len(carried) > MOST:
        raise NoPasskey(f"more than {MOST} passkeys")
    rows = [_row(kit, each, now) for each in carried]
    if len({row["user_handle"] for row in rows}) > 1:
        raise NoPasskey("passkeys of several user handles")
    return rows


def _row(kit: PasskeyKit, carried: CarriedPasskey, now: datetime) -> dict[str, Any]:
    if carried.rp_id != kit.rp_id:
        raise NoPasskey("a passkey of another RP ID, which no browser would use here")
    if is_to_come(carried.created_at, now) or is_to_come(carried.last_used_at, now):
        raise NoPasskey("a passkey of a moment that is yet to come")
    credential_id, key, handle = (_raw(each) for each in (carried.credential_id, carried.public_key, carried.user_handle))
    if not LEAST_ID_BYTES <= len(credential_id) <= MOST_ID_BYTES or len(handle) > HANDLE_BYTES:
        raise NoPasskey("a passkey's credential id or user handle is too short or too long")
    try:
        check_plain(key)
        check_key(key)
    except Exception as error:  # whatever an odd key makes the library stumble over
        raise NoPasskey("a passkey's public key can't be used") from error
    if is_fake(kit.fake_key, credential_id) or not carried.name.isprintable():
        raise NoPasskey("a passkey's credential id or name can't be used")
    values = carried.model_dump(exclude={"rp_id", "transports", "created_at"})
    return values | {
        "credential_id": credential_id,
        "public_key": key,
        "user_handle": handle,
        "transports": " ".join(sorted(TRANSPORTS.intersection(carried.transports))),
        "created_at": carried.created_at or now,
    }


async def add_passkeys(db: AsyncSession, passkeys: Mapping[uuid.UUID, list[dict[str, Any]]]) -> None:
    """The rows of new accounts.

    Raises:
        Clash: somebody has a credential of the same id.
    """
    rows = [{**row, "id": random_id(), "user_id": user_id} for user_id, rows in passkeys.items() for row in rows]
    await add_many(db, Passkey, rows)


async def list_carried(db: AsyncSession, kit: PasskeyKit, user_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[dict[str, Any]]]:
    """The passkeys of these accounts as JSON values that `CarriedPasskey` takes."""
    found: dict[uuid.UUID, list[dict[str, Any]]] = {}
    plain = ("sign_count", "name", "aaguid", "discoverable", "backup_eligible", "backed_up", "uv_initialized")
    for row in await repository.list_of_many(db, user_ids):
        carried = CarriedPasskey(
            rp_id=kit.rp_id,
            credential_id=b64encode(row.credential_id),
            public_key=b64encode(row.public_key),
            user_handle=b64encode(row.user_handle),
            transports=row.transports.split(),
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            **{name: getattr(row, name) for name in plain},
        )
        found.setdefault(row.user_id, []).append(carried.model_dump(mode="json"))
    return found


def _raw(text: str) -> bytes:
    return b64decode(text) or b""
