"""Proving once more who one is, from within a session: by the password, and by a second factor where there is one."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import repository, steps
from app.auth.deps import AuthKit
from app.auth.errors import PasswordWrong, ProofWrong
from app.auth.models import Session
from app.auth.service import charge, proof_lane_of
from app.auth.sessions import BY_MAIL, Pair, facts_of, open_session, pair_of
from app.auth.sockets import Proved
from app.auth.utils import Verdict
from app.core.assurance import AAL2, Proof, factor_key, reaches
from app.core.caller import FRESH, Caller, confirm
from app.core.cookies import new_session_cookie
from app.core.crypto import digest
from app.core.errors import ProofTooWeak, TokenInvalid
from app.core.ports import Account
from app.database import Database
from app.users import service as users
from app.users.models import User


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody gives to prove it once more: the password, or a second proof by one of the methods, or both."""

    password: str | None = None
    method: str | None = None
    value: Any = None


async def reauthenticate(database: Database, kit: AuthKit, caller: Caller, given: Given, now: datetime) -> Pair:
    """The caller's session with a fresh proof. Tries are counted with those of a change of password.

    Those of a second proof are counted with those of logins, but only of who knows the password: a stolen session must not
    use up its owner's.

    Raises:
        ProofTooWeak: there is a second factor, and the password alone was given; nothing is counted.
        PasswordWrong, ProofWrong, TooManyTries, Overloaded: see there.
        TokenInvalid: the caller's session ended meanwhile.
    """
    epoch, right = await _check_password(database, kit, caller, given, now)
    if right and given.password is not None and given.method is not None:
        async with database.write() as db:
            await steps.charge_account(db, kit, caller.me.id, now)
    async with database.write() as db:
        user = await users.lock_user(db, caller.me.id)
        await confirm(db, caller, now)
        if user is None or user.epoch != epoch:
            raise TokenInvalid
        if not right:
            await _record(db, Fact.REAUTHENTICATION_FAILED, caller, now)
            raise PasswordWrong
        proof = await _prove(db, kit, user, caller, given, now)
        await _record(db, Fact.REAUTHENTICATED, caller, now, by=proof.amr)
        await repository.clear_failures(db, proof_lane_of(kit, user.id))
        return await renew_proof(db, kit, user.account(), caller, proof, now)


async def _check_password(database: Database, kit: AuthKit, caller: Caller, given: Given, now: datetime) -> tuple[int, bool]:
    """Under which epoch, and whether it is right; where none was given, nothing about it is wrong."""
    me, lane = caller.me, proof_lane_of(kit, caller.me.id)
    if given.password is None:
        async with database.write() as db:
            await charge(db, lane, now)
            user = await users.find_user(db, me.id)
        if user is None:
            raise TokenInvalid
        return user.epoch, True
    with kit.pool.place() as run:
        async with database.write() as db:
            if given.method is None and (await steps.find_enrolled(db, me.id)).owing:
                raise ProofTooWeak(AAL2, int(FRESH.total_seconds()))
            await charge(db, lane, now)
            before = await users.find_user(db, me.id)
            schemes = await users.get_schemes(db)
        if before is None:
            raise TokenInvalid
        check = partial(kit.passwords.check, given.password, before.password_hash, schemes, may_upgrade=False)
        verdict: Verdict = await run(check)
    return before.epoch, verdict.right


async def _prove(db: AsyncSession, kit: AuthKit, user: User, caller: Caller, given: Given, now: datetime) -> Proof:
    """What the given amounts to, the password being right or not given. What is spent stays spent, right or wrong."""
    if given.method is None or caller.session_id is None:
        return Proof(now, "pwd")
    bound_to, method = caller.session_id, given.method
    if given.password is not None:
        proved = await steps.check_proof(db, kit, user, bound_to, method, given.value, caller.client, now)
        return Proof(now, f"pwd {proved.amr}", proved.acr, factor_of(proved))
    alone = await steps.proof_by(db, method).check(db, user.id, bound_to, given.value, now)
    if alone is None or not alone.alone:
        await _record(db, Fact.REAUTHENTICATION_FAILED, caller, now)
        raise ProofWrong
    return Proof(now, alone.amr, alone.acr, factor_of(alone))


def factor_of(proved: Proved) -> str | None:
    """The factor of a second proof as a session remembers it."""
    return factor_key(proved.kind, proved.factor) if proved.factor else None


async def _record(db: AsyncSession, fact: Fact, caller: Caller, now: datetime, **data: str) -> None:
    who, session = caller.user_id, caller.session_id
    await audit.record(db, fact, caller.client, now, actor=who, subject=who, session=session, **data)


async def renew_proof(db: AsyncSession, kit: AuthKit, account: Account, caller: Caller, proof: Proof, now: datetime) -> Pair:
    """The caller's session with this proof instead of the last one; the account's row is held. Its cookie is a new one.

    A cookie that the request did not come by is dead afterwards: what it may do has grown, and its holder proved nothing.

    Raises:
        TokenInvalid: the session ended, or its cookie was replaced, since the request began.
    """
    if caller.session_id is None:
        raise TokenInvalid
    cookie = new_session_cookie(caller.session_id) if caller.cookie else None
    before, after = (digest(each) if each else None for each in (caller.cookie, cookie))
    session = await repository.renew_proof(db, caller.session_id, before, after, proof, now)
    if session is None:
        raise TokenInvalid
    return pair_of(kit, account, facts_of(session), now, cookie=cookie)


async def raise_proof(db: AsyncSession, kit: AuthKit, account: Account, caller: Caller, proved: Proved, now: datetime) -> Pair:
    """The caller's session after a factor was enrolled from it, by a fresh caller whose row is held; its cookie is a new one.

    The new factor is one more beside that by which the session was proved, and no newer proof: `auth_time` stays. A
    session that rests on two factors stays what it is; so does one that a mailed link opened, since mail is no factor
    (ASVS V6.3.6).

    Raises:
        TokenInvalid: as `renew_proof`.
    """
    session = await _session_of(db, caller)
    proof = Proof(session.authenticated_at, session.amr, session.acr, session.proved_with)
    if BY_MAIL not in proof.amr.split() and not reaches(proof.acr, AAL2):
        proof = Proof(proof.at, f"{proof.amr} {proved.amr}", proved.acr, factor_of(proved))
    return await renew_proof(db, kit, account, caller, proof, now)


async def reopen(db: AsyncSession, kit: AuthKit, account: Account, caller: Caller, now: datetime) -> Pair:
    """A session in place of the caller's, who gave the password just now; the account's row is held.

    It rests on two factors only if the one before did, and then since when that did: the other one was not given anew. One that
    rests on the password alone, where a second factor is a must, ends when the one before would have.
    """
    before = await _session_of(db, caller)
    factor, until = before.proved_with or before.opened_with, None
    proof = Proof(before.authenticated_at, before.amr, before.acr, factor)
    if not reaches(before.acr, AAL2):
        proof = Proof(now, "pwd")
        until = before.expires_at if await steps.is_required(db, account, now) else None
    return await open_session(
        db,
        kit,
        account,
        caller.client,
        now,
        amr=proof.amr,
        acr=proof.acr,
        factor=proof.factor,
        at=proof.at,
        device=None,
        browser=caller.cookie is not None,
        until=until,
    )


async def _session_of(db: AsyncSession, caller: Caller) -> Session:
    session = await repository.find_session(db, caller.session_id) if caller.session_id else None
    if session is None:
        raise TokenInvalid
    return session
