"""Signing in by passkey: as the whole login, and as the second proof of a login or a session.

The whole login is one factor more than a password: the key, and the PIN or finger that it asks for. It needs no step beside it.
"""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import service as auth
from app.auth import steps
from app.auth.deps import AuthKit
from app.auth.sessions import Pair
from app.auth.sockets import Proved
from app.auth.steps import MFA_REQUIRED, How, Owed
from app.core.assurance import AAL2_PHR
from app.core.caller import Caller
from app.core.client import Client
from app.core.crypto import b64decode, equal, random_id
from app.database import Database
from app.passkeys import challenges, repository
from app.passkeys.ceremony import Assertion, Untrue, request_options, verify_assertion
from app.passkeys.challenges import LOGIN, NOBODY, PROVE, binding
from app.passkeys.credentials import AssertedCredential
from app.passkeys.deps import PasskeyKit
from app.passkeys.errors import PasskeyNotFound, PasskeyRefused
from app.passkeys.fakes import fake_ids
from app.passkeys.repository import KnownKey, Taken
from app.passkeys.service import KIND, hold_own, proof_by, session_of
from app.users import service as users
from app.users.names import name_key

NOWHERE = Client("", "", "")


async def start_login(db: AsyncSession, kit: PasskeyKit, username: str | None, secret: str, now: datetime) -> dict[str, Any]:
    """What to ask the browser with this secret for, so that somebody signs in by passkey alone.

    Without a username the person chooses among the passkeys of their device. With one, it lists the account's; and ones that
    nobody has, always the same, for who has none or is unknown: it takes the same statements, and looks the same. A mail
    address lists none: else it would tell whose username goes with it.
    """
    allowed: list[bytes] = []
    bound_to = binding(LOGIN, secret)
    if username is not None and "@" not in username:
        key = name_key(username)
        candidate = await users.find_candidate(db, key, now)
        found = await repository.list_credential_ids(db, candidate.id or random_id())
        fakes = fake_ids(kit.fake_key, key)
        allowed = found or fakes
        bound_to = binding(LOGIN, secret, (candidate.id if found else None) or NOBODY)
    challenge = await challenges.make(db, LOGIN, bound_to, now)
    return request_options(kit, challenge, [(each, "") for each in allowed], verified=True)


async def start_step(db: AsyncSession, kit: PasskeyKit, attempt: str, now: datetime) -> dict[str, Any]:
    """What to ask the browser for, so that a login that was begun goes on by passkey.

    Raises:
        AttemptInvalid: it can't go on.
        PasskeyNotFound: its account has none.
    """
    begun = await steps.find(db, attempt, MFA_REQUIRED, now)
    return await _start_proof(db, kit, begun.user_id, begun.id, now)


async def start_proof(db: AsyncSession, kit: PasskeyKit, caller: Caller, now: datetime) -> dict[str, Any]:
    """What to ask the browser for, so that the caller proves anew by passkey who they are.

    Raises:
        PasskeyNotFound: they have none.
    """
    user = await hold_own(db, caller, now)
    return await _start_proof(db, kit, user.id, session_of(caller), now)


async def _start_proof(
    db: AsyncSession, kit: PasskeyKit, user_id: uuid.UUID, bound_to: uuid.UUID, now: datetime
) -> dict[str, Any]:
    mine = await repository.list_of(db, user_id)
    if not mine:
        raise PasskeyNotFound
    challenge = await challenges.make(db, PROVE, binding(PROVE, bound_to), now)
    return request_options(kit, challenge, [(each.credential_id, each.transports) for each in mine], verified=False)


async def sign_in(
    database: Database,
    auth_kit: AuthKit,
    kit: PasskeyKit,
    credential: AssertedCredential,
    secrets: tuple[str | None, ...],
    device: str | None,
    client: Client,
    now: datetime,
    *,
    browser: bool = False,
) -> Pair | Owed:
    """A session for whoever holds a passkey, and is known to it, in the browser with one of these secrets.

    Raises:
        PasskeyRefused: they don't; after the same work whether there is such a passkey or not. Recorded, and kept.
    """
    async with database.write() as db:
        key = await repository.find_key(db, b64decode(credential.rawId) or b"")
        named = tuple(binding(LOGIN, each, key.user_id or NOBODY) for each in secrets if each)
        unnamed = tuple(binding(LOGIN, each) for each in secrets if each)
        taken = await challenges.take(db, credential.response.clientDataJSON, LOGIN, named + unnamed, now)
        assertion = await _verify(kit, credential, taken, key, verified=True)
        known = taken is not None and taken.binding in named  # the account was named, so its handle may be left out
        user = None
        # Whoever finds a key without PIN can give it one. So a key must have verified its user when it was added.
        if assertion is not None and key.user_id is not None and key.uv_initialized and _is_of(credential, key, known=known):
            user = await users.lock_user(db, key.user_id)
        if user is None or not user.usable(now) or not await _use(db, key, assertion, client, now):
            await audit.record(db, Fact.LOGIN_FAILED, client, now, subject=key.user_id, by=KIND)
            raise PasskeyRefused
        how = How(KIND, AAL2_PHR, KIND, key.id)
        return await auth.let_in(db, auth_kit, user, device, client, now, how=how, browser=browser)


@dataclass(frozen=True, slots=True)
class PasskeyProof:
    """Part of auth.SECOND_PROOFS."""

    kit: PasskeyKit
    name: str = KIND

    async def check(self, db: AsyncSession, user_id: uuid.UUID, bound_to: uuid.UUID, value: Any, now: datetime) -> Proved | None:
        """See `SecondProof.check`; the value is an `AssertedCredential`, or what may be one."""
        try:
            credential = AssertedCredential.model_validate(value)
        except ValidationError:
            return None
        key = await repository.find_key(db, b64decode(credential.rawId) or b"")
        bindings = (binding(PROVE, bound_to),)
        taken = await challenges.take(db, credential.response.clientDataJSON, PROVE, bindings, now)
        assertion = await _verify(self.kit, credential, taken, key, verified=False)
        if assertion is None or key.id is None or key.user_id != user_id or not _is_of(credential, key, known=True):
            return None
        if not await _use(db, key, assertion, NOWHERE, now):  # where from is in the record of the failure, beside it
            return None
        return proof_by(key.id, verified=assertion.user_verified and key.uv_initialized)


async def _verify(
    kit: PasskeyKit, credential: AssertedCredential, taken: Taken | None, key: KnownKey, *, verified: bool
) -> Assertion | None:
    challenge = taken.challenge if taken else b""
    try:
        found = await asyncio.to_thread(verify_assertion, kit, credential, challenge, key.public_key, verified=verified)
    except Untrue:
        return None
    return found if taken is not None and found.backup_eligible == key.backup_eligible else None


def _is_of(credential: AssertedCredential, key: KnownKey, *, known: bool) -> bool:
    """Whether the authenticator names the account that the key belongs to."""
    handle = credential.response.userHandle
    if handle is None:
        return known
    return equal(b64decode(handle) or b"", key.user_handle)


async def _use(db: AsyncSession, key: KnownKey, assertion: Assertion | None, client: Client, now: datetime) -> bool:
    """Write the use down; False for a counter that did not rise, which is what a copied key looks like: recorded."""
    if assertion is None or key.id is None:
        return False
    counted = assertion.sign_count
    used = await repository.note_use(db, key.id, counted, now, backed_up=assertion.backed_up)
    if not used:
        data: dict[str, Any] = {"passkey": str(key.id), "before": key.sign_count, "after": counted}
        await audit.record(db, Fact.PASSKEY_CLONED, client, now, subject=key.user_id, **data)
    return used
