"""Who a bearer token stands for: signature, then the row and Redis side by side, at every request."""

import asyncio
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import repository
from app.auth.blocklist import Blocklist
from app.auth.sessions import USED_TO
from app.auth.utils import Tokens
from app.core.caller import Caller
from app.core.client import Client
from app.core.errors import TokenInvalid, Unauthenticated
from app.core.ports import LiveSession, SessionChecks
from app.database import Database

log = structlog.get_logger()


class BearerCredentials:
    """Part of core.CREDENTIALS."""

    def __init__(self, tokens: Tokens, checks: SessionChecks, blocklist: Blocklist, database: Database) -> None:
        self._tokens = tokens
        self._checks = checks
        self._blocklist = blocklist
        self._database = database
        self._touching: dict[object, asyncio.Task[None]] = {}

    async def find(self, token: str | None, client: Client, now: datetime) -> Caller:
        """See `Credentials.find`."""
        if token is None:
            raise Unauthenticated
        claims = self._tokens.read_access(token, now)
        blocked = self._blocklist.refuses(claims.token_id, claims.session_id)
        live = await self._checks.find_live(claims.session_id, now)
        if live is None or (blocked is not None and await blocked) or live.account.id != claims.user_id:
            raise TokenInvalid
        self._touch(live, now)
        return Caller(live.account, live.id, claims.token_id, claims.expires_at, client)

    async def confirm(self, db: AsyncSession, caller: Caller, now: datetime) -> None:
        """See `Credentials.confirm`."""
        if caller.session_id is None or not await repository.is_alive(db, caller.session_id, now):
            raise TokenInvalid

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._touching.values(), return_exceptions=True)

    def _touch(self, live: LiveSession, now: datetime) -> None:
        # "Last used" is written at most every five minutes, beside the request and never in its way.
        if now - live.used_at > USED_TO and live.id not in self._touching:
            task = asyncio.create_task(self._write_use(live, now))
            self._touching[live.id] = task
            task.add_done_callback(lambda _: self._touching.pop(live.id, None))

    async def _write_use(self, live: LiveSession, now: datetime) -> None:
        try:
            async with self._database.write() as db:
                await repository.touch_session(db, live.id, now, now - USED_TO)
        except Exception as error:  # the next request will try again
            log.info("sessions.use_not_written", error=type(error).__name__)
