"""Logging in, proving it again.

No connection is held while hashing: a flow reads in a short transaction, hashes, and opens the writing one, whose first
statement locks the account's row and refuses if password, role or status changed since (docs/adr/0003).
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import repository, steps
from app.auth.deps import AuthKit
from app.auth.errors import LoginFailed, TooManyTries
from app.auth.repository import Charged
from app.auth.sessions import Pair
from app.auth.steps import Before, How, Onto, Owed
from app.auth.utils import Verdict
from app.core.client import Client
from app.core.crypto import digest, keyed_digest, random_id
from app.core.errors import Overloaded, TokenInvalid
from app.core.ports import Account
from app.database import Database
from app.mail import service as mail
from app.users import service as users
from app.users.models import Candidate, User
from app.users.names import name_key

STOP_AT = 50  # failures in a row of an account, over all its identifiers; NIST SP 800-63B 3.2.2 allows 100
LANE_KEPT, STOP_KEPT = timedelta(days=1), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of a login once its try was charged, before the password is looked at."""

    candidate: Candidate
    lane: bytes
    account_lane: bytes
    failures: int
    told: bool  # whether the owner knows of them
    device: str | None  # the secret of a known device, else None

    @property
    def may_succeed(self) -> bool:
        """Whether the right password would open a session."""
        return self.candidate.active and not self.stopped

    @property
    def stopped(self) -> bool:
        """Whether strangers get nowhere with this account, right password or not."""
        return self.device is None and self.failures > STOP_AT


async def log_in(
    database: Database,
    kit: AuthKit,
    identifier: str,
    password: str,
    device: str | None,
    client: Client,
    now: datetime,
    *,
    browser: bool = False,
    remembered: str | None = None,
) -> Pair | Owed:
    """A session for whoever proves to be the account's owner by password; with `browser`, one that is held by cookie.

    Or what they still owe, unless the cookie `remembered` says that they gave it here not long ago.

    Raises:
        LoginFailed: unknown, wrong, disabled or stopped, after the same work in each case.
        TooManyTries, Overloaded: before any of it.
    """
    key = name_key(identifier)
    with _counted(kit), kit.pool.place() as run:
        async with database.write() as db:
            attempt = await _charge(db, kit, key, device, now)
        stored = attempt.candidate.password_hash
        check = partial(kit.passwords.check, password, stored, attempt.candidate.schemes, may_upgrade=attempt.may_succeed)
        verdict: Verdict = await run(check)
    async with database.write() as db:
        # A wrong password takes no lock: there would be none to take for an unknown account, and that can be measured.
        user = await _touch_unchanged(db, attempt.candidate, now) if verdict.right and attempt.may_succeed else None
        if user is None:
            await _note_failure(db, attempt, client, now)
            raise LoginFailed
        await _note_success(db, kit, attempt, user, verdict)
        before = Before(attempt.candidate.last_login_at, attempt.candidate.leaving_at)
        onto = Onto(client, attempt.device, browser=browser, remembered=remembered)
        return await steps.enter(db, kit, user, attempt.candidate.epoch or 0, before, How("pwd"), onto, now)


@contextmanager
def _counted(kit: AuthKit) -> Iterator[None]:
    """Count what is refused before it is tried: nothing is recorded of it."""
    try:
        yield
    except (TooManyTries, Overloaded) as error:
        kit.refused[error.code] += 1
        raise


async def _charge(db: AsyncSession, kit: AuthKit, key: str, device: str | None, now: datetime) -> Attempt:
    """Look the account up and count the try, with the same statements whether it exists or not."""
    candidate = await users.find_candidate(db, key, now)
    known = None
    if device is not None:
        known = await repository.find_device(db, candidate.id or random_id(), digest(device), now)
    lane = _lane(kit, "device", known.bytes) if known else _lane(kit, "identifier", key)
    account_lane = account_lane_of(kit, candidate.id) if candidate.id else _lane(kit, "account", key)
    charged = await charge(db, lane, now, account=None if known else account_lane)
    return Attempt(candidate, lane, account_lane, charged.of_account, charged.told, device if known else None)


async def charge(db: AsyncSession, lane: bytes, now: datetime, *, account: bytes | None = None) -> Charged:
    """Count a try of a lane before it is made, and of the account's.

    Raises:
        TooManyTries: its time has not come; nothing is counted.
    """
    charged = await repository.charge_try(db, lane, now, LANE_KEPT, account=account, keep_account_for=STOP_KEPT)
    if charged is None:
        next_at = await repository.find_next_at(db, lane)
        raise TooManyTries(int((next_at - now).total_seconds()) + 1 if next_at else 1)
    return charged


def _lane(kit: AuthKit, kind: str, of: str | bytes) -> bytes:
    return keyed_digest(kit.lane_key, kind, of)


def account_lane_of(kit: AuthKit, user_id: uuid.UUID) -> bytes:
    """Where an account's failures over all its identifiers are counted."""
    return _lane(kit, "account", user_id.bytes)


def proof_lane_of(kit: AuthKit, user_id: uuid.UUID) -> bytes:
    """Where tries to prove the current password from within a session are counted."""
    return _lane(kit, "proof", user_id.bytes)


async def _touch_unchanged(db: AsyncSession, before: Candidate, now: datetime) -> Account | None:
    """The account, held, if it is still as it was when the password was checked against it."""
    if before.id is None or before.epoch is None:
        return None
    return await users.touch_unchanged(db, before.id, before.epoch, now)


async def _note_failure(db: AsyncSession, attempt: Attempt, client: Client, now: datetime) -> None:
    user_id = attempt.candidate.id
    await audit.record(db, Fact.LOGIN_FAILED, client, now, subject=user_id, stopped=attempt.stopped)
    if attempt.told or attempt.failures < STOP_AT:
        return
    # By a flag and not by the number: the request that made the fiftieth failure may have died before it came here.
    if await repository.take_telling(db, attempt.account_lane, now):
        await audit.record(db, Fact.LOGIN_STOPPED, client, now, subject=user_id)
        to, name = attempt.candidate.email or mail.NOBODY, attempt.candidate.username or ""
        await mail.enqueue(db, "login-stopped", to, now, locale=attempt.candidate.locale, username=name)


async def _note_success(db: AsyncSession, kit: AuthKit, attempt: Attempt, user: Account, verdict: Verdict) -> None:
    await repository.clear_failures(db, attempt.lane, *(() if attempt.device else (attempt.account_lane,)))
    if verdict.upgraded and attempt.candidate.password_hash:
        await users.upgrade_hash(db, user.id, attempt.candidate.password_hash, verdict.upgraded, kit.passwords.label)


async def is_known(db: AsyncSession, user_id: uuid.UUID, device: str | None, now: datetime) -> bool:
    """Whether this is the secret of a device on which the account was signed in to before."""
    return device is not None and await repository.find_device(db, user_id, digest(device), now) is not None


async def let_in(
    db: AsyncSession,
    kit: AuthKit,
    user: User,
    device: str | None,
    client: Client,
    now: datetime,
    *,
    how: How,
    browser: bool = False,
    remembered: str | None = None,
) -> Pair | Owed:
    """A session for who has proved in another way than by password to be the account's owner; the row is held and usable.

    Or what they still owe, as at `log_in`.

    Raises:
        TokenInvalid: the account was disabled since it was looked at.
    """
    known = await is_known(db, user.id, device, now)
    before = Before(user.last_login_at, user.leaving_at)
    account = await users.touch_unchanged(db, user.id, user.epoch, now)
    if account is None:
        raise TokenInvalid
    onto = Onto(client, device if known else None, browser=browser, remembered=remembered)
    return await steps.enter(db, kit, account, user.epoch, before, how, onto, now)


def failure_lanes_of(kit: AuthKit, user_id: uuid.UUID, username_key: str, email_key: str) -> tuple[bytes, ...]:
    """Where an account's failures are counted but for its devices', in the order in which rows are taken."""
    typed = (_lane(kit, "identifier", username_key), _lane(kit, "identifier", email_key))
    return (*typed, account_lane_of(kit, user_id), proof_lane_of(kit, user_id))


async def lift_stop(db: AsyncSession, kit: AuthKit, user: User) -> None:
    """Forget an account's failed logins: somebody proved to be its owner in another way."""
    await repository.clear_failures(db, *failure_lanes_of(kit, user.id, user.username_key, user.email_key))
