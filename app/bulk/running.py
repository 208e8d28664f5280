"""The jobs of bulk actions: one chain of short turns each, one account a transaction.

Killed at any moment, what was answered for is committed and what was not is undone: an account is settled by the statement that
takes its item, in the transaction of the act. A turn is short, so that other jobs of the worker wait no longer than that, and
rests as long as it works, so that requests find the database free.
"""

import asyncio
import uuid
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.bulk import repository, service
from app.bulk.acts import Action, Acts
from app.bulk.models import BulkAction
from app.core.caller import Caller, deputy
from app.core.client import Client
from app.core.edge import frames
from app.core.errors import AppError, TokenInvalid
from app.core.permissions import Role, covers
from app.database import Database
from app.jobs import service as jobs
from app.jobs.sockets import Work
from app.users import service as users
from app.users.errors import LastAdmin, UserNotFound
from app.users.holding import OUTRANKED, hold_with_admins, note_denied
from app.users.models import User
from app.users.selection import Filters, list_ids

log = structlog.get_logger()
TURN_SECONDS = 1.0
REST = 1.0  # how long it rests after an account, in times of what that took
TRIES = 3
BATCH = 100
COLLECTED_AT_ONCE = 1_000
TIDIED_AT_ONCE = 1_000
GONE, OWN_ACCOUNT, ABOVE, ERROR = "gone", "own_account", "above", "error"
NO_STARTER, NOT_PERMITTED, CHANGED = "starter_gone", "starter_not_permitted", "starter_changed"


class Halted(Exception):
    """Nobody may go on with it: whoever it acts for is gone, or may not do this any more."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Superseded(Exception):
    """It was stopped, or goes on elsewhere: this transaction must not be."""


class Taken(Exception):
    """Another worker has settled the account: this transaction must not be."""


class Unwilling(Exception):
    """The service refused. Not itself an AppError, of which some keep the transaction they are raised in."""

    def __init__(self, error: AppError) -> None:
        super().__init__(error.code)
        self.error = error


class Runner:
    """Does one turn of a bulk action; may be called again for a turn that was done."""

    def __init__(self, database: Database, acts: Acts) -> None:
        self._database = database
        self._acts = acts

    async def run(self, work: Work) -> None:
        """The handler of jobs of kind "bulk"."""
        async with self._database.read() as db:
            action = await repository.find_action(db, uuid.UUID(work.payload["bulk"]))
        if action is None or action.turn != work.payload["turn"]:
            return
        steps = {repository.COLLECTING: self._collect, repository.RUNNING: self._do_some}
        if action.state not in steps:
            return
        try:
            if await steps[action.state](action, work.now, asyncio.get_running_loop().time() + TURN_SECONDS):
                await self._pass_on(action, work.now)
        except Superseded:
            return
        except Halted as halted:
            await self._halt(action, halted.reason, work.now)

    async def _pass_on(self, action: BulkAction, now: datetime) -> None:
        async with self._database.write() as db:
            if await repository.take_turn(db, action, now):
                await service.enqueue(db, action.id, action.turn + 1, now)

    async def _collect(self, action: BulkAction, now: datetime, ends: float) -> bool:
        """Write down who matches, a thousand a transaction; whoever came after the start is not among them."""
        stored = action.filter
        if stored is None:  # no filter would be everybody
            raise Superseded
        filters = Filters(**(stored | {"role": Role(stored["role"]) if stored.get("role") else None}))
        after, is_last = action.collected_to, False
        while not is_last and asyncio.get_running_loop().time() < ends:
            async with self._database.read() as db:
                ids = await list_ids(db, filters, action.created_at, after, COLLECTED_AT_ONCE)
            is_last = len(ids) < COLLECTED_AT_ONCE
            async with self._database.write() as db:
                if not await repository.note_collected(db, action, after, ids, now, is_last=is_last):
                    raise Superseded
                await repository.add_items(db, action.id, ids)
            after = ids[-1] if ids else after
        if is_last:
            action.state = repository.RUNNING
        return True

    async def _do_some(self, action: BulkAction, now: datetime, ends: float) -> bool:
        """Settle accounts until the turn is over; False if nothing is left."""
        clock, after = asyncio.get_running_loop().time, None
        while True:
            async with self._database.read() as db:
                ids = await repository.list_waiting(db, action.id, after, BATCH)
            if not ids:
                return not await self._finish(action, now)
            for user_id in ids:
                began = clock()
                if began >= ends:
                    return True
                await self._settle(action, user_id, now)
                await asyncio.sleep((clock() - began) * REST)
            after = ids[-1]

    async def _settle(self, action: BulkAction, user_id: uuid.UUID, now: datetime) -> None:
        for attempt in range(TRIES):
            try:
                await self._act(action, user_id, now)
            except Taken:
                pass
            except Unwilling as unwilling:
                await self._leave(action, user_id, repository.REFUSED, unwilling.error.code, now)
            except (Superseded, Halted):
                raise
            except Exception as error:  # a lock not given, or what nobody thought of: no account may hold up all others
                log.warning(
                    "bulk.item_failed", bulk=str(action.id), attempt=attempt, error=type(error).__name__, at=frames(error)
                )
                continue
            return
        await self._leave(action, user_id, repository.FAILED, ERROR, now)

    async def _act(self, action: BulkAction, user_id: uuid.UUID, now: datetime) -> None:
        """One account, one transaction: rows held, who acts looked at, the item taken, the act, its record, the count."""
        async with self._database.write() as db:
            try:
                caller, starter, user = await self._hold(db, action, user_id, now)
                if not await repository.take_item(db, action.id, user_id, now):
                    raise Taken
                state, reason = await self._do(db, action, caller, starter, user, now)
            except AppError as error:
                if error.status >= 500:
                    raise
                raise Unwilling(error) from error
            if reason:
                await repository.note_skipped(db, action.id, user_id, state, reason)
            if not await repository.count_item(db, action, state, now):
                raise Superseded

    async def _hold(
        self, db: AsyncSession, action: BulkAction, user_id: uuid.UUID, now: datetime
    ) -> tuple[Caller, User, User | None]:
        """Who it acts for, as their row says now, and whom it is about: both rows are held."""
        before = await users.find_user(db, action.acting_id) if action.acting_id else None
        if before is None:
            raise Halted(NO_STARTER)
        caller = deputy(before.account(), action.id)
        try:
            user: User | None = (await hold_with_admins(db, caller, user_id, now, None)).user
        except UserNotFound:
            user = None
        except TokenInvalid:
            raise Halted(NO_STARTER) from None
        starter = await users.find_user(db, before.id)
        if starter is None:
            raise Halted(NO_STARTER)
        is_there = starter.usable(now) and starter.leaving_at is None
        role = Role(action.role) if action.role else None
        if not is_there or not service.may(Role(starter.role), Action(action.action), role):
            raise Halted(NOT_PERMITTED)
        if starter.epoch != action.acting_epoch:
            raise Halted(CHANGED)
        return replace(caller, account=starter.account()), starter, user

    async def _do(
        self, db: AsyncSession, action: BulkAction, caller: Caller, starter: User, user: User | None, now: datetime
    ) -> tuple[str, str]:
        """What becomes of the item, and why if it is not done."""
        if user is None:
            return repository.SKIPPED, GONE
        if user.id == starter.id:
            return repository.SKIPPED, OWN_ACCOUNT
        if not covers(Role(starter.role), Role(user.role)):
            await note_denied(db, caller, OUTRANKED, now, subject=user.id)
            return repository.REFUSED, ABOVE
        role = Role(action.role) if action.role else None
        try:
            reason = await self._acts.do(db, caller, user, Action(action.action), role, now)
        except LastAdmin as refused:  # before any change, and recorded: this transaction goes on
            return repository.SKIPPED, refused.code
        return (repository.SKIPPED, reason) if reason else (repository.DONE, "")

    async def _leave(self, action: BulkAction, user_id: uuid.UUID, state: str, reason: str, now: datetime) -> None:
        async with self._database.write() as db:
            if not await repository.take_item(db, action.id, user_id, now, state=state, reason=reason):
                return
            if not await repository.count_item(db, action, state, now):
                raise Superseded

    async def _finish(self, action: BulkAction, now: datetime) -> bool:
        async with self._database.write() as db:
            if not await repository.finish(db, action, now):
                return False
            ended = await service.get(db, action.id)
            counts = {name: getattr(ended, name) for name in ("total", "done", "skipped", "refused", "failed")}
            client = Client(address="", user_agent="", request_id=action.id.hex)
            await audit.record(db, Fact.BULK_ENDED, client, now, actor=action.acting_id, bulk=str(action.id), **counts)
            return True

    async def _halt(self, action: BulkAction, reason: str, now: datetime) -> None:
        async with self._database.write() as db:
            if await repository.halt(db, action, reason, now):
                client = Client(address="", user_agent="", request_id=action.id.hex)
                await audit.record(db, Fact.BULK_STOPPED, client, now, bulk=str(action.id), reason=reason)


class Tidier:
    """Removes what is over and old, a thousand items a transaction. Done twice, it finds nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, work: Work) -> None:
        """The handler of jobs of kind "bulk-tidy"."""
        bulk_id = uuid.UUID(work.payload["bulk"])
        ends = asyncio.get_running_loop().time() + TURN_SECONDS
        while asyncio.get_running_loop().time() < ends:
            async with self._database.write() as db:
                if await repository.delete_some_items(db, bulk_id, TIDIED_AT_ONCE):
                    continue
                await repository.delete_action(db, bulk_id)
                return
        async with self._database.write() as db:
            await jobs.enqueue(db, service.TIDY_KIND, work.payload, work.now)
