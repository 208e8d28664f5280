"""A person's own passkeys: adding, listing, renaming, removing."""

import asyncio
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import sessions
from app.core.caller import Caller, confirm
from app.core.client import Client
from app.core.crypto import new_id, random_256
from app.core.errors import TokenInvalid
from app.core.ports import Account
from app.mail import service as mail
from app.passkeys import challenges, repository
from app.passkeys.ceremony import NewKey, Untrue, creation_options, transports_of, verify_creation
from app.passkeys.challenges import ADD, binding
from app.passkeys.deps import PasskeyKit
from app.passkeys.errors import PasskeyNotAdded, PasskeyNotFound, TooManyPasskeys
from app.passkeys.models import Passkey
from app.passkeys.schemas import CreatedCredential
from app.users import service as users

KIND = "passkey"
MOST = 20  # of an account


async def start_adding(db: AsyncSession, kit: PasskeyKit, me: Account, bound_to: uuid.UUID, now: datetime) -> dict[str, Any]:
    """What to ask the browser for; only the session or attempt `bound_to` may answer.

    Raises:
        TooManyPasskeys: there is no room for another.
    """
    known = await repository.list_of(db, me.id)
    if len(known) >= MOST:
        raise TooManyPasskeys
    handle = known[0].user_handle if known else random_256() + random_256()
    challenge = await challenges.make(db, ADD, binding(ADD, bound_to), now, handle)
    names = (me.username, me.display_name or me.username)
    return creation_options(kit, challenge, handle, *names, [(each.credential_id, each.transports) for each in known])


async def finish_adding(
    db: AsyncSession,
    kit: PasskeyKit,
    me: Account,
    bound_to: uuid.UUID,
    credential: CreatedCredential,
    name: str,
    client: Client,
    now: datetime,
) -> Passkey:
    """The passkey that the browser made, added; the account's row is held, and whoever `bound_to` stands for confirmed.

    Raises:
        PasskeyNotAdded: it is not what was asked for, or somebody has it; the challenge is spent.
        TooManyPasskeys: others were added meanwhile.
    """
    taken = await challenges.take(db, credential.response.clientDataJSON, ADD, (binding(ADD, bound_to),), now)
    if taken is None or taken.user_handle is None:
        raise PasskeyNotAdded
    try:
        key = await asyncio.to_thread(verify_creation, kit, credential, taken.challenge)
    except Untrue as error:
        raise PasskeyNotAdded from error
    if len(await repository.list_of(db, me.id)) >= MOST:
        raise TooManyPasskeys
    passkey = await repository.add_passkey(db, _row(me, key, taken.user_handle, credential, name, now))
    if passkey is None:
        raise PasskeyNotAdded
    await _tell(db, Fact.PASSKEY_ADDED, "passkey-added", me, passkey.id, client, now)
    return passkey


def _row(me: Account, key: NewKey, user_handle: bytes, credential: CreatedCredential, name: str, now: datetime) -> dict[str, Any]:
    properties = credential.clientExtensionResults.credProps
    return {
        "id": new_id(now),
        "user_id": me.id,
        "credential_id": key.credential_id,
        "public_key": key.public_key,
        "user_handle": user_handle,
        "sign_count": key.sign_count,
        "name": name,
        "aaguid": key.aaguid,
        "transports": transports_of(credential),
        "discoverable": properties.rk if properties else None,
        "backup_eligible": key.backup_eligible,
        "backed_up": key.backed_up,
        "uv_initialized": key.user_verified,
        "created_at": now,
    }


async def start_own(db: AsyncSession, kit: PasskeyKit, caller: Caller, now: datetime) -> dict[str, Any]:
    """What the caller is to ask the browser for.

    Raises:
        TooManyPasskeys: see `start_adding`.
    """
    me = await _hold(db, caller, now)
    return await start_adding(db, kit, me, session_of(caller), now)


async def add_own(
    db: AsyncSession, kit: PasskeyKit, caller: Caller, credential: CreatedCredential, name: str, now: datetime
) -> Passkey:
    """The caller's new passkey.

    Raises:
        PasskeyNotAdded, TooManyPasskeys: see `finish_adding`.
    """
    me = await _hold(db, caller, now)
    return await finish_adding(db, kit, me, session_of(caller), credential, name, caller.client, now)


def session_of(caller: Caller) -> uuid.UUID:
    """The session that the caller came by.

    Raises:
        TokenInvalid: by none.
    """
    if caller.session_id is None:
        raise TokenInvalid
    return caller.session_id


async def list_own(db: AsyncSession, caller: Caller) -> list[Passkey]:
    """The caller's passkeys, oldest first."""
    return await repository.list_of(db, caller.me.id)


async def rename(db: AsyncSession, caller: Caller, passkey_id: uuid.UUID, name: str, now: datetime) -> Passkey:
    """Call one of the caller's passkeys something else.

    Raises:
        PasskeyNotFound: it is none of theirs.
    """
    await _hold(db, caller, now)
    passkey = await repository.rename(db, passkey_id, caller.me.id, name)
    if passkey is None:
        raise PasskeyNotFound
    return passkey


async def remove(db: AsyncSession, caller: Caller, passkey_id: uuid.UUID, now: datetime) -> None:
    """Take one of the caller's passkeys away; it opens nothing any more.

    Raises:
        PasskeyNotFound: it is none of theirs.
    """
    me = await _hold(db, caller, now)
    if not await repository.delete_passkey(db, passkey_id, me.id):
        raise PasskeyNotFound
    await sessions.end_opened_with(db, me.id, KIND, passkey_id, now, but=caller.session_id)
    await _tell(db, Fact.PASSKEY_REMOVED, "passkey-removed", me, passkey_id, caller.client, now)


async def remove_all(db: AsyncSession, user_id: uuid.UUID) -> None:
    """See `Factor.remove`."""
    await repository.delete_all_of(db, user_id)


async def _hold(db: AsyncSession, caller: Caller, now: datetime) -> Account:
    user = await users.lock_user(db, caller.me.id)
    await confirm(db, caller, now)
    if user is None:
        raise TokenInvalid
    return user.account()


async def _tell(
    db: AsyncSession, fact: Fact, template: str, me: Account, passkey_id: uuid.UUID, client: Client, now: datetime
) -> None:
    await audit.record(db, fact, client, now, actor=me.id, subject=me.id, passkey=str(passkey_id))
    at = f"{now:%Y-%m-%d %H:%M} UTC"
    await mail.enqueue(db, template, me.email, now, locale=me.locale, username=me.username, at=at)


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Daily: forget challenges that nobody answered."""
    await repository.delete_expired(db, now)
