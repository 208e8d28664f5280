"""Adding, removing and looking at second factors; requiring and resetting them."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import sessions, steps
from app.auth.deps import AuthKit
from app.auth.errors import ProofWrong
from app.auth.proofs import raise_proof
from app.auth.sessions import Pair
from app.auth.sockets import Proved
from app.auth.steps import ENROLMENT_REQUIRED, Onto
from app.core.caller import Caller, confirm
from app.core.crypto import new_id, random_160, random_id
from app.core.errors import TokenInvalid
from app.core.permissions import Permission
from app.database import Database
from app.mail import service as mail
from app.mfa import repository
from app.mfa.codes import digest_of, new_codes
from app.mfa.deps import MfaKit
from app.mfa.errors import FactorNotFound, NoFactor, OwnFactors
from app.mfa.models import TotpFactor
from app.mfa.policy import applies, is_required
from app.mfa.proofs import RECOVERY, TOTP, place_of
from app.mfa.totp import Setup, find_step, setup_of, step_at
from app.users import service as users
from app.users.models import User

ENROLMENT_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Overview:
    """The factors of an account, and whether it must have one."""

    methods: tuple[str, ...]
    totp_added_at: datetime | None
    recovery_codes_left: int
    required: bool
    enrol_by: datetime | None


async def look(db: AsyncSession, kit: MfaKit, user: User) -> Overview:
    """What is enrolled; `enrol_by` is when a grace ends that runs."""
    enrolled, totp = await steps.find_enrolled(db, user.id), await repository.find_totp(db, user.id)
    asked = await repository.find_requirement(db, user.id)
    ends_at = asked.grace_ends_at if asked and applies(kit, user.account()) and not enrolled.owing else None
    return Overview(
        tuple(sorted(enrolled.names)),
        totp.confirmed_at if totp else None,
        await repository.count_codes(db, user.id),
        await is_required(db, kit, user.account()),
        ends_at,
    )


async def look_at_own(db: AsyncSession, kit: MfaKit, caller: Caller) -> Overview:
    """The caller's."""
    return await look(db, kit, await users.get_user(db, caller.me.id))


async def start_totp(db: AsyncSession, kit: MfaKit, caller: Caller, now: datetime) -> Setup:
    """A new secret for an authenticator app, which counts once one of its codes is given; then it replaces one there was."""
    return await _start_totp(db, kit, await _hold_own(db, caller, now), now)


async def start_totp_by_attempt(db: AsyncSession, kit: MfaKit, attempt: str, now: datetime) -> Setup:
    """The same for a login that can't go on without a factor.

    Raises:
        AttemptInvalid: see there.
    """
    begun = await steps.find(db, attempt, ENROLMENT_REQUIRED, now)
    return await _start_totp(db, kit, await steps.hold(db, begun, now), now)


async def _start_totp(db: AsyncSession, kit: MfaKit, user: User, now: datetime) -> Setup:
    secret = random_160()
    factor = TotpFactor(id=random_id(), user_id=user.id, created_at=now, last_step=0)
    factor.secret_sealed = kit.sealer.seal(secret, place_of(factor))
    await repository.replace_pending(db, factor)
    return setup_of(secret, user.username, kit.issuer)


async def confirm_totp(db: AsyncSession, auth: AuthKit, kit: MfaKit, caller: Caller, code: str, now: datetime) -> Pair:
    """The app counts from now on; the caller's session goes on as one that was proved by it, too.

    Raises:
        FactorNotFound: there is none to be confirmed, or it took too long.
        ProofWrong: it is not a code of it.
    """
    user = await _hold_own(db, caller, now)
    before, replaced = await steps.find_enrolled(db, user.id), await repository.find_totp(db, user.id)
    factor_id = await _confirm_totp(db, kit, user, code, now)
    if replaced is not None:
        await sessions.end_opened_with(db, user.id, TOTP, replaced.id, now, but=caller.session_id)
    await steps.note_added(db, user, TOTP, before, caller.client, now, acting=caller.session_id)
    return await raise_proof(db, auth, user.account(), caller, Proved("otp", TOTP, factor_id), now)


async def confirm_totp_by_attempt(
    database: Database, auth: AuthKit, kit: MfaKit, attempt: str, code: str, onto: Onto, now: datetime
) -> Pair:
    """The same for a login that could not go on without a factor: it is finished.

    Raises:
        AttemptInvalid, TooManyTries, FactorNotFound, ProofWrong: see there.
    """
    begun = await steps.charge(database, auth, attempt, ENROLMENT_REQUIRED, now)
    async with database.write() as db:
        user = await steps.hold(db, begun, now)
        before = await steps.find_enrolled(db, user.id)
        try:
            factor_id = await _confirm_totp(db, kit, user, code, now)
        except ProofWrong:
            await steps.note_failure(db, auth, user, TOTP, onto.client, now)
            raise
        await steps.refund(db, auth, user.id)
        pair = await steps.finish(db, auth, begun, user, Proved("otp", TOTP, factor_id), onto, now)
        await steps.note_added(db, user, TOTP, before, onto.client, now, acting=pair.session_id)
        return pair


async def _confirm_totp(db: AsyncSession, kit: MfaKit, user: User, code: str, now: datetime) -> uuid.UUID:
    factor = await repository.find_pending(db, user.id, now - ENROLMENT_LIFE)
    secret = kit.sealer.unseal(factor.secret_sealed, place_of(factor)) if factor else None
    if factor is None or secret is None:
        raise FactorNotFound
    step = find_step(secret, code, now)
    if step is None:
        raise ProofWrong
    await repository.delete_confirmed(db, user.id)
    if not await repository.confirm_totp(db, factor.id, step, now):
        raise FactorNotFound
    return factor.id


async def remove_totp(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """Take the authenticator app away; the sessions it had part in end, save the one acting.

    Raises:
        FactorNotFound: there is none.
        LastFactor: see there.
    """
    user = await _hold_own(db, caller, now)
    factor_id = await repository.delete_confirmed(db, user.id)
    if factor_id is None:
        raise FactorNotFound
    await sessions.end_opened_with(db, user.id, TOTP, factor_id, now, but=caller.session_id)
    await steps.note_removed(db, user, TOTP, caller, now)


async def make_codes(db: AsyncSession, kit: MfaKit, caller: Caller, now: datetime) -> list[str]:
    """Ten new recovery codes, shown this once; none from before is good any more, nor what it opened or had remembered.

    Raises:
        NoFactor: there is no factor that they could stand in for.
    """
    user = await _hold_own(db, caller, now)
    if not (await steps.find_enrolled(db, user.id)).owing:
        raise NoFactor
    codes = new_codes()
    rows = [
        {"id": new_id(now), "user_id": user.id, "digest": digest_of(kit.code_key, user.id, code), "created_at": now}
        for code in codes
    ]
    await repository.replace_codes(db, user.id, rows)
    await sessions.end_opened_with(db, user.id, RECOVERY, user.id, now, but=caller.session_id)
    await steps.forget_remembered(db, user.id)
    await _record(db, Fact.RECOVERY_CODES_MADE, caller, user, now)
    await _tell(db, "recovery-codes", user, now)
    return codes


async def forget_remembered(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """Every browser of the caller has to give the second factor again."""
    user = await _hold_own(db, caller, now)
    await steps.forget_remembered(db, user.id)


async def _hold_own(db: AsyncSession, caller: Caller, now: datetime) -> User:
    user = await users.lock_user(db, caller.me.id)
    await confirm(db, caller, now)
    if user is None:
        raise TokenInvalid
    return user


async def set_for(
    db: AsyncSession,
    auth: AuthKit,
    kit: MfaKit,
    caller: Caller,
    user_id: uuid.UUID,
    now: datetime,
    *,
    required: bool | None,
    reset: bool,
) -> Overview:
    """Require a factor of somebody, or take their factors away because they lost them: by another admin, or the operator.

    Raises:
        OwnFactors: they are the caller's.
        UserNotFound, OutOfReach: see there.
    """
    if user_id == caller.user_id:
        raise OwnFactors
    user = await users.hold(db, caller, user_id, now, Permission.USERS_FACTORS)
    if reset:
        await steps.clear_tries(db, auth, user.id)
        await steps.remove_factors(db, user.id)
        await sessions.end_sessions_of(db, user.id, "factors_reset", now)
        await _record(db, Fact.FACTORS_RESET, caller, user, now)
        await _tell(db, "factors-reset", user, now)
    if required is not None:
        await _require(db, caller, user, now, required=required)
    return await look(db, kit, user)


async def _require(db: AsyncSession, caller: Caller, user: User, now: datetime, *, required: bool) -> None:
    await repository.set_required(db, user.id, now if required else None)
    await _record(db, Fact.FACTORS_REQUIRED, caller, user, now, required=required)
    if required and not (await steps.find_enrolled(db, user.id)).owing:
        await sessions.end_sessions_of(db, user.id, "factor_required", now)
    await _tell(db, "factor-required" if required else "factor-not-required", user, now)


async def void_everything(db: AsyncSession, now: datetime) -> None:
    """After a restore: what was spent since the backup must not be good again, so no code of before is."""
    await repository.void_everything(db, step_at(now) + 1)


async def _record(db: AsyncSession, fact: Fact, caller: Caller, user: User, now: datetime, **data: bool) -> None:
    await audit.record(db, fact, caller.client, now, actor=caller.user_id, subject=user.id, session=caller.session_id, **data)


async def _tell(db: AsyncSession, template: str, user: User, now: datetime) -> None:
    at = f"{now:%Y-%m-%d %H:%M} UTC"
    await mail.enqueue(db, template, user.email, now, locale=user.locale, username=user.username, at=at)
