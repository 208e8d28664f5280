"""Who a bearer token or a session's cookie stands for: the secret, then the row and Redis side by side, at every request."""

import asyncio
import contextlib
import uuid
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import repository, steps
from app.auth.blocklist import Blocklist, session_key
from app.auth.sessions import USED_TO
from app.auth.utils import AccessClaims, Tokens
from app.core.acting import Acting
from app.core.assurance import AAL1
from app.core.caller import Caller
from app.core.client import Client
from app.core.cookies import session_id_in
from app.core.crypto import digest, equal
from app.core.errors import TokenInvalid, Unauthenticated
from app.core.ports import LiveSession, SessionChecks
from app.database import Database
from app.users import service as users

log = structlog.get_logger()
GATHER_SECONDS = 1.0
MOST_AT_ONCE = 500


class SessionCredentials:
    """Part of core.CREDENTIALS."""

    def __init__(self, tokens: Tokens, checks: SessionChecks, blocklist: Blocklist, database: Database) -> None:
        self._tokens = tokens
        self._checks = checks
        self._blocklist = blocklist
        self._database = database
        self._used: dict[uuid.UUID, datetime] = {}
        self._writing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def find(self, token: str | None, client: Client, now: datetime) -> Caller:
        """See `Credentials.find`."""
        if token is None:
            raise Unauthenticated
        claims = self._tokens.read_access(token, now)
        live = await self._live(claims, now)
        if live.impersonator_id is not None:
            return _acting(live, claims.token_id, claims.expires_at, client)
        return Caller(live.account, live.id, claims.token_id, claims.expires_at, client, claims.authenticated_at, claims.acr)

    async def find_session(self, token: str | None, now: datetime) -> LiveSession:
        """See `Credentials.find_session`."""
        if token is None:
            raise Unauthenticated
        return await self._live(self._tokens.read_access(token, now), now)

    async def find_by_cookie(self, cookie: str, client: Client, now: datetime) -> Caller:
        """See `Credentials.find_by_cookie`."""
        session_id = session_id_in(cookie)
        if session_id is None:
            raise TokenInvalid
        blocked = self._blocklist.refuses((session_key(session_id),))
        live = await self._checks.find_live(session_id, now)
        if live is None or (blocked is not None and await blocked):
            raise TokenInvalid
        if live.cookie_digest is None or not equal(live.cookie_digest, digest(cookie)):
            raise TokenInvalid
        if now - live.used_at > USED_TO:
            self._touch(live, now)
        if live.impersonator_id is not None:
            return _acting(live, "", None, client, cookie)
        return Caller(live.account, live.id, "", None, client, live.authenticated_at, live.acr, cookie)

    async def look_at_acting(self, caller: Caller) -> Acting:
        """See `Credentials.look_at_acting`."""
        async with self._database.read() as db:
            session = await repository.find_session(db, caller.session_id) if caller.session_id else None
            staff = await users.find_user(db, caller.impersonator) if caller.impersonator else None
        if session is None or staff is None:
            raise TokenInvalid
        return Acting(staff.username, caller.me.username, session.expires_at)

    async def confirm(self, db: AsyncSession, caller: Caller, now: datetime) -> None:
        """See `Credentials.confirm`."""
        if caller.session_id is None or not await repository.is_alive(db, caller.session_id, now):
            raise TokenInvalid

    async def has_second_factor(self, caller: Caller) -> bool:
        """See `Credentials.has_second_factor`."""
        async with self._database.read() as db:
            return bool((await steps.find_enrolled(db, caller.me.id)).owing)

    async def falls_short(self, caller: Caller, now: datetime) -> bool:
        """See `Credentials.falls_short`."""
        async with self._database.read() as db:
            if not await steps.is_required(db, caller.me, now):
                return False
        async with self._database.write() as db:  # to ask what is owed may begin a grace
            return await steps.falls_short(db, caller.me, caller.acr, now)

    async def close(self) -> None:
        """Write what is noted."""
        self._hurry.set()
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _live(self, claims: AccessClaims, now: datetime) -> LiveSession:
        blocked = self._blocklist.refuses(claims.blocked_under)
        live = await self._checks.find_live(claims.session_id, now)
        if live is None or (blocked is not None and await blocked) or live.account.id.int != claims.user_id.int:
            raise TokenInvalid
        if now - live.used_at > USED_TO:
            self._touch(live, now)
        return live

    def _touch(self, live: LiveSession, now: datetime) -> None:
        # "Last used" is written at most every five minutes, beside the requests and never in their way: what is due within
        # a moment in one statement.
        if live.id not in self._used:
            self._used[live.id] = now
            if self._writing is None:
                self._writing = asyncio.create_task(self._write_uses())

    async def _write_uses(self) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._hurry.wait()
            while self._used:
                used = dict(list(self._used.items())[:MOST_AT_ONCE])
                try:
                    async with self._database.write() as db:
                        now = max(used.values())
                        await repository.touch_sessions(db, list(used), now, now - USED_TO)
                except Exception as error:  # the next request of each will try again
                    log.info("sessions.use_not_written", error=type(error).__name__)
                for session_id in used:
                    del self._used[session_id]
        finally:
            self._writing = None


def _acting(live: LiveSession, token_id: str, expires_at: datetime | None, client: Client, cookie: str | None = None) -> Caller:
    """Somebody who acts as another: the row says so, whatever the token says, and nothing was ever proved."""
    marked = client._replace(impersonator=live.impersonator_id)
    return Caller(live.account, live.id, token_id, expires_at, marked, None, AAL1, cookie)
