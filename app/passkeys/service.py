"""A person's own passkeys: adding, listing, renaming, removing."""

import asyncio
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import sessions, steps
from app.auth.deps import AuthKit
from app.auth.proofs import raise_proof
from app.auth.sessions import Pair
from app.auth.sockets import Proved
from app.auth.steps import ENROLMENT_REQUIRED, Onto
from app.core.assurance import AAL2_PHR
from app.core.caller import Caller, confirm
from app.core.crypto import new_id, random_256
from app.core.errors import TokenInvalid
from app.database import Database
from app.passkeys import challenges, passwordless, repository
from app.passkeys.ceremony import NewKey, Untrue, creation_options, transports_of, verify_creation
from app.passkeys.challenges import ADD, binding
from app.passkeys.credentials import CreatedCredential
from app.passkeys.deps import PasskeyKit
from app.passkeys.errors import PasskeyNotAdded, PasskeyNotFound, TooManyPasskeys
from app.passkeys.fakes import is_fake
from app.passkeys.models import Passkey
from app.passkeys.passwordless import check_ways_in
from app.users import service as users
from app.users.models import User

KIND = "passkey"
MOST = 20  # of an account


async def start_adding(db: AsyncSession, kit: PasskeyKit, caller: Caller, now: datetime) -> dict[str, Any]:
    """What to ask the caller's browser for; only their session may answer.

    Raises:
        TooManyPasskeys: there is no room for another.
    """
    return await _start_adding(db, kit, await hold_own(db, caller, now), session_of(caller), now)


async def start_adding_by_attempt(db: AsyncSession, kit: PasskeyKit, attempt: str, now: datetime) -> dict[str, Any]:
    """The same for a login that can't go on without a factor.

    Raises:
        AttemptInvalid: see there.
    """
    begun = await steps.find(db, attempt, ENROLMENT_REQUIRED, now)
    return await _start_adding(db, kit, await steps.hold(db, begun, now), begun.id, now)


async def _start_adding(db: AsyncSession, kit: PasskeyKit, user: User, bound_to: uuid.UUID, now: datetime) -> dict[str, Any]:
    known = await repository.list_of(db, user.id)
    if len(known) >= MOST:
        raise TooManyPasskeys
    handle = known[0].user_handle if known else random_256() + random_256()
    challenge = await challenges.make(db, ADD, binding(ADD, bound_to), now, handle)
    names = (user.username, user.display_name or user.username)
    return creation_options(kit, challenge, handle, *names, [(each.credential_id, each.transports) for each in known])


async def add(
    db: AsyncSession, auth: AuthKit, kit: PasskeyKit, caller: Caller, credential: CreatedCredential, name: str, now: datetime
) -> tuple[Passkey, Pair]:
    """The caller's new passkey, and their session, which was proved by it from now on, too.

    Raises:
        PasskeyNotAdded: it is not what was asked for, or somebody has it; the challenge is spent.
        TooManyPasskeys: others were added meanwhile.
    """
    user = await hold_own(db, caller, now)
    before = await steps.find_enrolled(db, user.id)
    passkey = await _add(db, kit, user, session_of(caller), credential, name, now)
    await steps.note_added(db, user, KIND, before, caller.client, now, acting=caller.session_id)
    return passkey, await raise_proof(
        db, auth, user.account(), caller, proof_by(passkey.id, verified=passkey.uv_initialized), now
    )


async def add_by_attempt(
    database: Database,
    auth: AuthKit,
    kit: PasskeyKit,
    attempt: str,
    credential: CreatedCredential,
    name: str,
    onto: Onto,
    now: datetime,
) -> tuple[Passkey, Pair]:
    """The same for a login that could not go on without a factor: it is finished.

    Raises:
        AttemptInvalid, TooManyTries, PasskeyNotAdded: see there.
    """
    begun = await steps.charge(database, auth, attempt, ENROLMENT_REQUIRED, now)
    async with database.write() as db:
        user = await steps.hold(db, begun, now)
        before = await steps.find_enrolled(db, user.id)
        passkey = await _add(db, kit, user, begun.id, credential, name, now)
        await steps.refund(db, auth, user.id)
        proved = proof_by(passkey.id, verified=passkey.uv_initialized)
        pair = await steps.finish(db, auth, begun, user, proved, onto, now)
        await steps.note_added(db, user, KIND, before, onto.client, now, acting=pair.session_id)
        return passkey, pair


def proof_by(passkey_id: uuid.UUID, *, verified: bool) -> Proved:
    """What a passkey proves beside something else. Beside a mailed link, which is no factor, only one that verified its user."""
    return Proved(KIND, KIND, passkey_id, AAL2_PHR, alone=verified)


async def _add(
    db: AsyncSession,
    kit: PasskeyKit,
    user: User,
    bound_to: uuid.UUID,
    credential: CreatedCredential,
    name: str,
    now: datetime,
) -> Passkey:
    taken = await challenges.take(db, credential.response.clientDataJSON, ADD, (binding(ADD, bound_to),), now)
    if taken is None or taken.user_handle is None:
        raise PasskeyNotAdded
    try:
        key = await asyncio.to_thread(verify_creation, kit, credential, taken.challenge)
    except Untrue as error:
        raise PasskeyNotAdded from error
    if len(await repository.list_of(db, user.id)) >= MOST:
        raise TooManyPasskeys
    if is_fake(kit.fake_key, key.credential_id):
        raise PasskeyNotAdded
    passkey = await repository.add_passkey(db, _row(user, key, taken.user_handle, credential, name, now))
    if passkey is None:
        raise PasskeyNotAdded
    return passkey


def _row(user: User, key: NewKey, user_handle: bytes, credential: CreatedCredential, name: str, now: datetime) -> dict[str, Any]:
    properties = credential.clientExtensionResults.credProps
    return {
        "id": new_id(now),
        "user_id": user.id,
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
    user = await hold_own(db, caller, now)
    before = {each.id: each.name for each in await repository.list_of(db, user.id)}.get(passkey_id)
    passkey = await repository.rename(db, passkey_id, user.id, name)
    if passkey is None:
        raise PasskeyNotFound
    if before != name:
        who: dict[str, Any] = {"actor": user.id, "subject": user.id, "session": caller.session_id}
        told = {"passkey": str(passkey_id), "name_before": before, "name_after": name}
        await audit.record(db, Fact.PASSKEY_RENAMED, caller.client, now, **{**who, **told})
    return passkey


async def remove(db: AsyncSession, caller: Caller, passkey_id: uuid.UUID, now: datetime) -> None:
    """Take one of the caller's passkeys away; the sessions it had part in end, save the one acting.

    Raises:
        PasskeyNotFound: it is none of theirs.
        PasskeysNeeded, LastFactor: see there.
    """
    user = await hold_own(db, caller, now)
    if not await repository.delete_passkey(db, passkey_id, user.id):
        raise PasskeyNotFound
    if user.password_hash is None:
        await check_ways_in(db, user)
    await sessions.end_opened_with(db, user.id, KIND, passkey_id, now, but=caller.session_id)
    await steps.note_removed(db, user, KIND, caller, now)


async def remove_password(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """From here on the caller signs in by passkey alone.

    Raises:
        PasswordNotFound, PasskeysNeeded: see there.
    """
    await passwordless.remove_password(db, caller, await hold_own(db, caller, now), now)


async def remove_all(db: AsyncSession, user_id: uuid.UUID) -> None:
    """See `Factor.remove`."""
    await repository.delete_all_of(db, user_id)


async def hold_own(db: AsyncSession, caller: Caller, now: datetime) -> User:
    """The caller's account, held, with their session looked at again.

    Raises:
        TokenInvalid: it ended since the request began.
    """
    user = await users.lock_user(db, caller.me.id)
    await confirm(db, caller, now)
    if user is None:
        raise TokenInvalid
    return user


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Daily: forget challenges that nobody answered."""
    await repository.delete_expired(db, now)


async def void_everything(db: AsyncSession) -> None:
    """After a restore: a challenge that was answered since the backup must not be answered again."""
    await repository.delete_challenges(db)
