"""Logging in step by step (docs/adr/0016): after the first proof a session, or an attempt that waits for what is still owed.

An attempt is a row and a secret of 256 bits. It opens nothing but the step it waits for, and that once.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import remembered, repository, sessions
from app.auth.deps import AuthKit
from app.auth.devices import tell_of_new_device
from app.auth.errors import AttemptInvalid, LastFactor, ProofWrong, TooManyTries
from app.auth.models import LoginAttempt
from app.auth.sessions import Pair
from app.auth.sockets import FACTORS, LOGIN_STEPS, SECOND_PROOFS, Debt, Enrolled, Entry, Proved, SecondProof
from app.core.assurance import AAL1, factor_key
from app.core.caller import Caller
from app.core.client import Client
from app.core.crypto import b64decode, b64encode, digest, keyed_digest, random_256, random_id
from app.core.ports import Account
from app.database import Database
from app.mail import service as mail
from app.tickets import service as tickets
from app.users import service as users
from app.users.models import User

MFA_REQUIRED, ENROLMENT_REQUIRED = "mfa_required", "mfa_enrolment_required"
ATTEMPT_LIFE = timedelta(minutes=10)
TRIES_OF_ATTEMPT, TRIES_OF_ACCOUNT, TRIES_KEPT = 5, 20, timedelta(days=1)
TELL_AT = 5  # failures of an account in a day: whoever makes them knows its password
ID_BYTES, SECRET_BYTES = 16, 32


@dataclass(frozen=True, slots=True)
class Owed:
    """What a login answers with instead of tokens while a step is owed."""

    status: str
    attempt: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Before:
    """How an account was before a login."""

    last_login_at: datetime | None
    leaving_at: datetime | None


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that was found good: whose it is, and what was proved first."""

    id: uuid.UUID
    user_id: uuid.UUID
    owed: str
    amr: str
    epoch: int


@dataclass(frozen=True, slots=True)
class How:
    """How somebody proved who they are: methods (`amr`), level, and the factor that had part in it."""

    amr: str
    acr: str = AAL1
    kind: str = ""
    factor: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Onto:
    """Where a session goes that a login opens, and what is wanted beside it."""

    client: Client
    device: str | None = None  # the secret of a known device
    browser: bool = False  # holds its session by cookie
    remember: bool = False  # wants not to be asked for the second factor for a while
    remembered: str | None = None  # the cookie of an earlier time that this was wanted


async def find_enrolled(db: AsyncSession, user_id: uuid.UUID) -> Enrolled:
    """The factors of an account."""
    kinds = tuple(FACTORS.within(db))
    owing = {kind.name for kind in kinds if kind.owes}
    found = await repository.list_factors(db, kinds, user_id)
    marks = sorted(name.encode() + factor_id.bytes for name, factor_id in found if name in owing)
    names = frozenset(name for name, _ in found)
    return Enrolled(names, names & owing, digest(b"".join(marks).hex()))


async def find_factors(db: AsyncSession, user_id: uuid.UUID) -> frozenset[str]:
    """The names of the factors that an account has."""
    return (await find_enrolled(db, user_id)).names


async def enter(
    db: AsyncSession, kit: AuthKit, account: Account, epoch: int, before: Before, how: How, onto: Onto, now: datetime
) -> Pair | Owed:
    """A session for who gave a first proof; or, where a step is owed, the attempt that waits for it. The row is held."""
    entry = Entry(account, how.amr, how.acr, await find_enrolled(db, account.id), onto.remembered)
    until: datetime | None = None
    for step in LOGIN_STEPS.within(db):
        owed = await step.owes(db, entry, now)
        if isinstance(owed, Debt):
            await users.set_last_login(db, account.id, before.last_login_at)  # it is none yet
            return await _begin(db, account, epoch, owed, how, onto.client, now)
        if owed is not None:
            until = min(until, owed.until) if until else owed.until
    return await _open(db, kit, account, before, how, onto, now, until)


async def is_required(db: AsyncSession, account: Account, now: datetime) -> bool:
    """Whether the account must have a second factor, at once or when its grace is over."""
    return any([await step.requires(db, account, now) for step in LOGIN_STEPS.within(db)])


async def falls_short(db: AsyncSession, account: Account, acr: str, now: datetime) -> bool:
    """Whether a login of this level, by password and from no remembered browser, would owe a step now."""
    entry = Entry(account, "pwd", acr, await find_enrolled(db, account.id), None)
    return any([isinstance(await step.owes(db, entry, now), Debt) for step in LOGIN_STEPS.within(db)])


async def _begin(db: AsyncSession, account: Account, epoch: int, debt: Debt, how: How, client: Client, now: datetime) -> Owed:
    attempt_id, secret = random_id(), random_256()
    attempt = LoginAttempt(
        id=attempt_id,
        user_id=account.id,
        digest=_digest_of(secret),
        owed=debt.status,
        amr=how.amr,
        epoch=epoch,
        tries=0,
        created_at=now,
        expires_at=now + ATTEMPT_LIFE,
    )
    await repository.add_attempt(db, attempt)
    await audit.record(db, Fact.LOGIN_STEP_OWED, client, now, subject=account.id, by=how.amr, owed=debt.status)
    return Owed(debt.status, b64encode(attempt_id.bytes + secret), debt.methods)


async def _open(
    db: AsyncSession,
    kit: AuthKit,
    account: Account,
    before: Before,
    how: How,
    onto: Onto,
    now: datetime,
    until: datetime | None = None,
) -> Pair:
    """What every login ends with."""
    pair = await sessions.open_session(
        db,
        kit,
        account,
        onto.client,
        now,
        amr=how.amr,
        device=onto.device,
        acr=how.acr,
        factor=factor_key(how.kind, how.factor) if how.factor else None,
        browser=onto.browser,
        until=until,
    )
    who = account.id
    await audit.record(db, Fact.LOGIN_SUCCEEDED, onto.client, now, actor=who, subject=who, session=pair.session_id, by=how.amr)
    if onto.device is None and before.last_login_at is not None:
        await tell_of_new_device(db, account, pair.session_id, now)
    if before.leaving_at is not None:
        await users.come_back(db, account, onto.client, now)
    return pair


async def find(db: AsyncSession, attempt: str, owed: str, now: datetime) -> Begun:
    """The open attempt that somebody holds. Spends and counts nothing.

    Raises:
        AttemptInvalid: it is not good (any more), or waits for something else.
    """
    attempt_id, secret_digest = _read(attempt)
    return _begun(await repository.find_attempt(db, attempt_id, secret_digest, owed, TRIES_OF_ATTEMPT, now))


async def charge(database: Database, kit: AuthKit, attempt: str, owed: str, now: datetime) -> Begun:
    """Count a try before it is made, in a transaction of its own: five of an attempt, twenty of an account in a day.

    Who has no open attempt, which takes the first proof, spends nothing of anybody's.

    Raises:
        AttemptInvalid: it is not good (any more), waits for something else, or had its tries.
        TooManyTries: the account had its tries, over all attempts and factors.
    """
    attempt_id, secret_digest = _read(attempt)
    async with database.write() as db:
        begun = _begun(await repository.find_attempt(db, attempt_id, secret_digest, owed, TRIES_OF_ATTEMPT, now))
        # The account's count first, as where a try is given back and the attempt spent: in another order they could deadlock.
        await charge_account(db, kit, begun.user_id, now)
        return _begun(await repository.charge_attempt(db, attempt_id, secret_digest, owed, TRIES_OF_ATTEMPT, now))


async def charge_account(db: AsyncSession, kit: AuthKit, user_id: uuid.UUID, now: datetime) -> None:
    """Count a try of a second proof against the account; the transaction is committed before it is made.

    Raises:
        TooManyTries: there were twenty that failed since the first of them, at most a day ago.
    """
    key = _tries_of(kit, user_id)
    if await tickets.charge_guess(db, key, TRIES_OF_ACCOUNT, now, now + TRIES_KEPT) is None:
        free_at = await tickets.find_guesses_end(db, key)
        raise TooManyTries(int((free_at - now).total_seconds()) + 1 if free_at else 1)


async def count_tries(db: AsyncSession, kit: AuthKit, user_id: uuid.UUID) -> tuple[int, datetime | None]:
    """How many second proofs of an account failed, and when the count begins anew."""
    key = _tries_of(kit, user_id)
    return await tickets.count_guesses(db, key), await tickets.find_guesses_end(db, key)


async def refund(db: AsyncSession, kit: AuthKit, user_id: uuid.UUID) -> None:
    """The try that was charged last was right: only those that fail count."""
    await tickets.refund_guess(db, _tries_of(kit, user_id))


def _tries_of(kit: AuthKit, user_id: uuid.UUID) -> bytes:
    return keyed_digest(kit.lane_key, "second-proof", user_id.bytes)


def _telling_of(kit: AuthKit, user_id: uuid.UUID) -> bytes:
    return keyed_digest(kit.lane_key, "second-proof-told", user_id.bytes)


async def check_proof(
    db: AsyncSession, kit: AuthKit, user: User, bound_to: uuid.UUID, method: str, value: Any, client: Client, now: datetime
) -> Proved:
    """See whether a second proof is right, and spend it. The account's row is held, the try was charged.

    Raises:
        ProofWrong: it is not; recorded, and kept.
    """
    proved = await proof_by(db, method).check(db, user.id, bound_to, value, now)
    if proved is None:
        await note_failure(db, kit, user, method, client, now)
        raise ProofWrong
    await refund(db, kit, user.id)
    return proved


def proof_by(db: AsyncSession, method: str) -> SecondProof:
    """Who checks a method.

    Raises:
        ProofWrong: nobody; this server has no such factors.
    """
    found = next((proof for proof in SECOND_PROOFS.within(db) if proof.name == method), None)
    if found is None:
        raise ProofWrong
    return found


async def note_failure(db: AsyncSession, kit: AuthKit, user: User, method: str, client: Client, now: datetime) -> None:
    """Record a try that was charged and failed; the owner is told once a day that there are several."""
    await audit.record(db, Fact.SECOND_FACTOR_FAILED, client, now, subject=user.id, by=method)
    # By a flag and not by the number: tries made at once are all charged before the first of them fails.
    if await tickets.count_guesses(db, _tries_of(kit, user.id)) < TELL_AT:
        return
    if await tickets.charge_guess(db, _telling_of(kit, user.id), 1, now, now + TRIES_KEPT) is not None:
        await _tell(db, "second-factor-failed", user, now)


async def prove(database: Database, kit: AuthKit, method: str, attempt: str, value: Any, onto: Onto, now: datetime) -> Pair:
    """Finish a login that owes a second proof.

    Raises:
        AttemptInvalid, TooManyTries: see `charge`.
        ProofWrong: the proof is not right, or was spent; the try is kept.
    """
    begun = await charge(database, kit, attempt, MFA_REQUIRED, now)
    async with database.write() as db:
        user = await hold(db, begun, now)
        proved = await check_proof(db, kit, user, begun.id, method, value, onto.client, now)
        return await finish(db, kit, begun, user, proved, onto, now)


async def hold(db: AsyncSession, begun: Begun, now: datetime) -> User:
    """The account of an attempt, held.

    Raises:
        AttemptInvalid: it changed since the first proof, or may not be used any more; or has a factor by now, where the
            attempt was to enrol the first.
    """
    user = await users.lock_user(db, begun.user_id)
    if user is None or user.epoch != begun.epoch or not user.usable(now):
        raise AttemptInvalid
    if begun.owed == ENROLMENT_REQUIRED and (await find_enrolled(db, user.id)).owing:
        raise AttemptInvalid
    return user


async def finish(db: AsyncSession, kit: AuthKit, begun: Begun, user: User, proved: Proved, onto: Onto, now: datetime) -> Pair:
    """The session that an attempt was begun for, once; the account's row is held, what was owed is proved.

    Raises:
        AttemptInvalid: somebody was faster. Whatever was spent for it in this transaction is rolled back.
    """
    if not await repository.spend_attempt(db, begun.id, now):
        raise AttemptInvalid
    before = Before(user.last_login_at, user.leaving_at)
    account = await users.touch_unchanged(db, user.id, begun.epoch, now)
    if account is None:
        raise AttemptInvalid
    known = await repository.find_device(db, user.id, digest(onto.device), now) if onto.device else None
    # A mailed link is no factor (ASVS V6.3.6): beside it a code is the only one.
    acr = proved.acr if proved.alone or "pwd" in begun.amr.split() else AAL1
    how = How(f"{begun.amr} {proved.amr}", acr, proved.kind, proved.factor)
    pair = await _open(db, kit, account, before, how, onto if known else replace(onto, device=None), now)
    if not onto.remember or begun.owed != MFA_REQUIRED:
        return pair
    mark = (await find_enrolled(db, user.id)).mark
    return replace(pair, remembered=await remembered.remember(db, kit, user.id, mark, onto.client, now))


def _read(attempt: str) -> tuple[uuid.UUID, bytes]:
    raw = b64decode(attempt) if attempt.isascii() else None
    if raw is None or len(raw) != ID_BYTES + SECRET_BYTES:
        raise AttemptInvalid
    return uuid.UUID(bytes=raw[:ID_BYTES]), _digest_of(raw[ID_BYTES:])


def _digest_of(secret: bytes) -> bytes:
    return digest(b64encode(secret))


def _begun(attempt: LoginAttempt | None) -> Begun:
    if attempt is None:
        raise AttemptInvalid
    return Begun(attempt.id, attempt.user_id, attempt.owed, attempt.amr, attempt.epoch)


async def note_added(
    db: AsyncSession, user: User, method: str, before: Enrolled, client: Client, now: datetime, *, acting: uuid.UUID | None
) -> None:
    """A factor was added to an account that had `before`; its row is held. Recorded, and mailed.

    The first one ends the sessions that were opened without, save the one acting, and outdates what they began: a change of
    address that was asked for without a factor is not confirmed any more.
    """
    if not before.owing:
        await users.outdate(db, user)
        await sessions.end_sessions_of(db, user.id, "factor_added", now, but=acting)
    await audit.record(db, Fact.FACTOR_ADDED, client, now, actor=user.id, subject=user.id, session=acting, method=method)
    await _tell(db, "factor-added", user, now, method=method)


async def note_removed(db: AsyncSession, user: User, method: str, caller: Caller, now: datetime) -> None:
    """A factor was taken from an account whose row is held. Recorded, and mailed. With the last that counts go all others.

    Raises:
        LastFactor: the account must not be without one.
    """
    if not (await find_enrolled(db, user.id)).owing:
        for step in LOGIN_STEPS.within(db):
            if await step.requires(db, user.account(), now):
                raise LastFactor
        await remove_factors(db, user.id)
    who, session = caller.user_id, caller.session_id
    await audit.record(db, Fact.FACTOR_REMOVED, caller.client, now, actor=who, subject=user.id, session=session, method=method)
    await _tell(db, "factor-removed", user, now, method=method)


async def remove_factors(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Take every factor from an account whose row is held, and what was begun or remembered by them."""
    for kind in FACTORS.within(db):
        await kind.remove(db, user_id)
    await repository.delete_remembered(db, user_id)
    await repository.delete_attempts(db, user_id)


async def forget_remembered(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Every browser of an account whose row is held has to give the second factor again."""
    await repository.delete_remembered(db, user_id)


async def clear_tries(db: AsyncSession, kit: AuthKit, user_id: uuid.UUID) -> None:
    """Forget the tries of second proofs: the factors that they were of are gone."""
    for key in (_tries_of(kit, user_id), _telling_of(kit, user_id)):
        await tickets.clear_guesses(db, key)


async def _tell(db: AsyncSession, template: str, user: User, now: datetime, **values: str) -> None:
    at = f"{now:%Y-%m-%d %H:%M} UTC"
    await mail.enqueue(db, template, user.email, now, locale=user.locale, username=user.username, at=at, **values)
