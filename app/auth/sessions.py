"""Sessions: opening, refreshing, ending. Ending locks the user's row first; so nothing opens or rotates behind it."""

import contextlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import repository
from app.auth.blocklist import note_ended
from app.auth.deps import AuthKit
from app.auth.errors import RefreshRefused, SessionGone, SessionNotFound
from app.auth.models import Session
from app.auth.utils import RefreshClaims
from app.core.assurance import AAL1, factor_key
from app.core.caller import Caller, confirm
from app.core.client import Client
from app.core.cookies import new_session_cookie, session_id_in
from app.core.crypto import digest, equal, keyed_digest, new_id, random_secret
from app.core.errors import TokenInvalid, Unauthenticated
from app.core.ports import Account, Rotation, Rotations, SessionFacts
from app.database import Database
from app.mail import service as mail
from app.users import service as users

GRACE = timedelta(seconds=10)
DEVICE_LIFE = timedelta(days=180)
USED_TO = timedelta(minutes=5)
BY_MAIL = "mail"  # in the amr of a session that a mailed link opened


@dataclass(frozen=True, slots=True)
class Pair:
    """What a login or refresh answers with. `device` is None at a refresh.

    A browser that is to hold the session itself gets `cookie` and no refresh token; one that is not to be asked for the
    second factor for a while gets `remembered`.
    """

    access_token: str
    refresh_token: str | None
    expires_in: int
    session_id: uuid.UUID
    expires_at: datetime
    device: str | None = None
    cookie: str | None = None
    remembered: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What a client shows of sessions. Not all of it need be good, nor of one session."""

    access: str | None = None
    refresh: tuple[str, ...] = ()
    cookie: str | None = None


async def open_session(
    db: AsyncSession,
    kit: AuthKit,
    account: Account,
    client: Client,
    now: datetime,
    *,
    amr: str,
    device: str | None,
    acr: str = AAL1,
    factor: str | None = None,
    browser: bool = False,
    at: datetime | None = None,
    until: datetime | None = None,
) -> Pair:
    """A new session and its first pair; the caller holds the account's row. Without `device`, one is made known.

    `factor` is the second factor or passkey that had part in it (`factor_key`); `at` is when all was proved, if not now. With
    `browser` the browser itself holds the session, by a cookie. It ends at `until` if that comes earlier than usual.
    """
    session_id = new_id(now)
    cookie = new_session_cookie(session_id) if browser else None
    session = Session(
        id=session_id,
        user_id=account.id,
        generation=0,
        rotated_at=now,
        created_at=now,
        used_at=now,
        authenticated_at=at or now,
        expires_at=min(now + timedelta(days=kit.refresh_days), until) if until else now + timedelta(days=kit.refresh_days),
        address=client.address[:64],
        user_agent=client.user_agent,
        amr=amr,
        acr=acr,
        opened_with=factor,
        proved_with=factor,
        cookie_digest=digest(cookie) if cookie else None,
    )
    await repository.add_session(db, session)
    if device is None:
        device = random_secret()
        await repository.add_device(db, account.id, digest(device), now, now + DEVICE_LIFE)
    return pair_of(kit, account, facts_of(session), now, device, cookie)


def facts_of(session: Session) -> SessionFacts:
    """What tokens say of it."""
    return SessionFacts(
        session.id,
        session.generation,
        session.rotated_at,
        session.authenticated_at,
        session.expires_at,
        session.amr,
        session.acr,
        session.impersonator_id,
    )


def pair_of(
    kit: AuthKit,
    account: Account,
    session: SessionFacts,
    now: datetime,
    device: str | None = None,
    cookie: str | None = None,
) -> Pair:
    """The tokens of a session, or its access token and cookie."""
    life = min(kit.tokens.access_life, session.expires_at - now)
    access = kit.tokens.write_access(account, session, now)
    refresh_token = None if cookie else kit.tokens.write_refresh(account, session)
    return Pair(access, refresh_token, int(life.total_seconds()), session.id, session.expires_at, device, cookie)


async def refresh_plainly(rotations: Rotations, kit: AuthKit, token: str, client: Client, now: datetime) -> Pair | None:
    """The next pair for a refresh token that is spent for the first time; None for `refresh` to decide.

    Raises:
        TokenInvalid: it is not good.
        Unavailable: it can't be known.
    """
    claims = kit.tokens.read_refresh(token, now)
    who = _client_digest(kit, client)
    rotated = await rotations.rotate(Rotation(claims.session_id, claims.user_id, claims.generation, who, now))
    return pair_of(kit, rotated.account, rotated.session, now) if rotated else None


def _client_digest(kit: AuthKit, client: Client) -> bytes:
    return keyed_digest(kit.client_key, client.neighbourhood, client.user_agent)


async def refresh(db: AsyncSession, kit: AuthKit, token: str, client: Client, now: datetime) -> Pair:
    """The next pair for a refresh token; each generation has at most one successor, ever (P3).

    The same client gets the same successor again for 10 seconds, so that a lost answer or a second tab costs nobody the
    session. Any other second use is taken for theft: the session ends and its owner is told.

    Raises:
        TokenInvalid: it is not good (any more).
    """
    claims = kit.tokens.read_refresh(token, now)
    who = _client_digest(kit, client)
    session = await repository.rotate_session(db, claims.session_id, claims.user_id, claims.generation, who, now)
    if session is None:
        # The rotation that found nothing may have waited for another, and holds the session's row since then. Let go of it:
        # ending locks the user first.
        await db.rollback()
        session = await repository.find_session(db, claims.session_id)
        if session is None or session.user_id != claims.user_id or session.ended_at or session.expires_at <= now:
            raise TokenInvalid
        user = await users.find_user(db, claims.user_id)
        if user is None or not user.active:
            raise TokenInvalid
        repeated = claims.generation == session.generation - 1 and now - session.rotated_at <= GRACE
        if not (repeated and session.rotated_by == who):
            await _end_stolen(db, claims, session, client, now)
            raise RefreshRefused
    else:
        user = await users.find_user(db, claims.user_id)
    if user is None:
        raise TokenInvalid
    return pair_of(kit, user.account(), facts_of(session), now)


async def _end_stolen(db: AsyncSession, claims: RefreshClaims, session: Session, client: Client, now: datetime) -> None:
    from_future = claims.generation > session.generation
    user = await users.lock_user(db, claims.user_id)
    reason = "newer_than_database" if from_future else "theft"
    if not await repository.end_session(db, session.id, claims.user_id, reason, now):
        return
    note_ended(db, session.id)
    fact = Fact.SESSION_FROM_FUTURE if from_future else Fact.SESSION_THEFT
    await audit.record(db, fact, client, now, subject=claims.user_id, session=session.id)
    if user is not None:
        await mail.enqueue(
            db,
            "signed-out-for-safety",
            user.email,
            now,
            locale=user.locale,
            username=user.username,
            at=f"{now:%Y-%m-%d %H:%M} UTC",
        )


async def log_out(db: AsyncSession, kit: AuthKit, held: Held, client: Client, now: datetime) -> None:
    """End the session of whatever is good of that which is held; an access token that is not does not bar the rest.

    Raises:
        Unauthenticated: nothing was sent.
        TokenInvalid: nothing is good, or its sessions had ended before (then Redis is told once more).
    """
    presented = await _presented(db, kit, held, now)
    if not presented:
        raise Unauthenticated if held == Held() else TokenInvalid
    if not await _end_presented(db, presented, "logout", client, now):
        raise SessionGone


async def end_replaced(database: Database, kit: AuthKit, held: Held, client: Client, now: datetime) -> None:
    """After a login: end what the browser held before. So nobody goes on with a session that was put there by another.

    In a transaction of its own: it may be another account's, and two rows can't be locked in any order.
    """
    if held != Held():
        async with database.write() as db:
            await _end_presented(db, await _presented(db, kit, held, now), "replaced", client, now)


Presented = dict[uuid.UUID, tuple[uuid.UUID, tuple[str, datetime] | None]]


async def _end_presented(db: AsyncSession, presented: Presented, reason: str, client: Client, now: datetime) -> bool:
    ended = False
    for user_id in sorted({user_id for user_id, _ in presented.values()}):
        await users.lock_user(db, user_id)
    for session_id, (user_id, token) in presented.items():
        note_ended(db, session_id, token)
        row = await repository.end_session(db, session_id, user_id, reason, now)
        if row is not None:
            ended, staff = True, row.impersonator_id
            fact, who = (Fact.SESSION_ENDED, user_id) if staff is None else (Fact.IMPERSONATION_ENDED, staff)
            marked = client._replace(impersonator=staff)
            await audit.record(db, fact, marked, now, actor=who, subject=user_id, session=session_id, reason=reason)
    return ended


async def _presented(db: AsyncSession, kit: AuthKit, held: Held, now: datetime) -> Presented:
    found: Presented = {}
    session_id = session_id_in(held.cookie)
    session = await repository.find_session(db, session_id) if session_id else None
    if session and session.cookie_digest and equal(session.cookie_digest, digest(held.cookie or "")):
        found[session.id] = (session.user_id, None)
    for refresh_token in held.refresh:
        with contextlib.suppress(TokenInvalid):
            claims = kit.tokens.read_refresh(refresh_token, now)
            found[claims.session_id] = (claims.user_id, None)
    if held.access is not None:
        with contextlib.suppress(TokenInvalid):
            token = kit.tokens.read_access(held.access, now)
            found[token.session_id] = (token.user_id, (token.token_id, token.expires_at))
    return found


async def log_out_everywhere(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """End every session of the caller."""
    await users.lock_user(db, caller.me.id)
    await confirm(db, caller, now)
    note_token(db, caller)
    await end_sessions_of(db, caller.me.id, "logout_all", now)
    await repository.delete_remembered(db, caller.me.id)
    await _record_ended(db, caller, now, "logout_all", caller.session_id)


async def list_own(db: AsyncSession, caller: Caller, now: datetime) -> list[Session]:
    """The caller's sessions that are alive, newest first."""
    return await repository.list_alive(db, caller.me.id, now)


async def end_own(db: AsyncSession, caller: Caller, session_id: uuid.UUID, now: datetime) -> None:
    """End one of the caller's sessions.

    Raises:
        SessionNotFound: it is none of theirs, or has ended.
    """
    await users.lock_user(db, caller.me.id)
    await confirm(db, caller, now)
    if not await repository.end_session(db, session_id, caller.me.id, "revoked", now):
        raise SessionNotFound
    note_ended(db, session_id)
    await _record_ended(db, caller, now, "revoked", session_id)


async def end_others(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """End every session of the caller but the one that asks."""
    await users.lock_user(db, caller.me.id)
    await confirm(db, caller, now)
    ended = await repository.end_sessions_of(db, caller.me.id, "revoked", now, but=caller.session_id)
    for session_id in ended:
        note_ended(db, session_id)
    if ended:
        await _record_ended(db, caller, now, "revoked_others", caller.session_id)


async def end_sessions_of(
    db: AsyncSession, user_id: uuid.UUID, reason: str, now: datetime, *, but: uuid.UUID | None = None
) -> None:
    """End every session, but for one, of an account whose row the caller holds."""
    for session_id in await repository.end_sessions_of(db, user_id, reason, now, but=but):
        note_ended(db, session_id)


async def end_opened_with(
    db: AsyncSession, user_id: uuid.UUID, kind: str, factor_id: uuid.UUID, now: datetime, *, but: uuid.UUID | None
) -> None:
    """A factor is lost: end the sessions it had part in, save the one that acts. The caller holds the account's row."""
    factor = factor_key(kind, factor_id)
    for session_id in await repository.end_sessions_of(db, user_id, "factor_lost", now, but=but, factor=factor):
        note_ended(db, session_id)


async def forget_devices(db: AsyncSession, user_id: uuid.UUID) -> None:
    """No device of the account is known any more."""
    await repository.delete_devices(db, user_id)


async def end_access(db: AsyncSession, user_id: uuid.UUID, reason: str, now: datetime) -> None:
    """Part of users.ACCESS_ENDED."""
    await end_sessions_of(db, user_id, reason, now)
    if reason == "left":  # of who is erased, the devices are too
        await forget_devices(db, user_id)


def note_token(db: AsyncSession, caller: Caller) -> None:
    """Block the very token presented, too."""
    if caller.session_id is not None and caller.token_expires_at is not None:
        note_ended(db, caller.session_id, (caller.token_id, caller.token_expires_at))


async def _record_ended(db: AsyncSession, caller: Caller, now: datetime, reason: str, session_id: uuid.UUID | None) -> None:
    await audit.record(
        db,
        Fact.SESSION_ENDED,
        caller.client,
        now,
        actor=caller.user_id,
        subject=caller.user_id,
        session=session_id,
        reason=reason,
    )


async def end_everything(db: AsyncSession, now: datetime) -> int:
    """After a restore: end every session, forget every device and what was begun; how many sessions that were."""
    ended = await repository.end_every_session(db, "restored", now)
    for session_id in ended:
        note_ended(db, session_id)
    await repository.delete_all_devices(db)
    await repository.delete_all_attempts(db)
    return len(ended)


async def tidy(db: AsyncSession, now: datetime) -> None:
    """Daily: forget failures, attempts, devices and sessions that can't matter any more."""
    await repository.delete_old(db, now, now - timedelta(days=1))
