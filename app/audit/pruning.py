"""Forgetting rows that are old enough: the oldest of the chain, behind a signed cut, so that what is left can be verified."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import repository
from app.audit.chain import AuditKeys
from app.audit.facts import Fact
from app.audit.heads import Sinks
from app.audit.sealing import hold_chain
from app.audit.service import record
from app.audit.verifying import PAGE, Heads, NotVerified, Report, Trust, Walk
from app.core.caller import operator
from app.database import Database

log = structlog.get_logger()
AT_ONCE = 10_000
EVERY = timedelta(minutes=10)


class Pruning:
    """Part of jobs.STEADY. Each transaction verifies some thousands of rows and removes them, signs where the chain begins now,
    and records it."""

    name = "audit.pruning"

    def __init__(self, database: Database, trust: Trust, keys: AuditKeys, sinks: Sinks, kept: timedelta) -> None:
        self._database = database
        self._trust = trust
        self._keys = keys
        self._sinks = sinks
        self._kept = kept
        self._looked_at: datetime | None = None

    async def tick(self, now: datetime) -> None:
        """See `Steady.tick`."""
        if self._looked_at is not None and now - self._looked_at < EVERY:
            return
        self._looked_at = now
        while await self._prune_some(now):
            pass

    async def finish(self, _now: datetime) -> None:
        """See `Steady.finish`: nothing is urgent."""

    async def _prune_some(self, now: datetime) -> bool:
        before = now - self._kept
        async with self._database.read() as db:
            oldest = await repository.find_oldest_sealed(db)
        if oldest is None or oldest.at >= before:
            return False
        async with self._database.write() as db:
            await hold_chain(db)
            oldest = await repository.find_oldest_sealed(db)
            last = await repository.find_last_before(db, before, oldest.position, oldest.position + AT_ONCE - 1)
            if last is None:
                return False
            try:
                rows = await self._verify(db, oldest.position, last.position)
            except NotVerified as problem:
                # A cut would be signed over what was changed, and nobody could tell any more.
                log.error("audit.not_pruned", why=str(problem))  # noqa: TRY400 -- a finding, and not a crash
                return False
            head = self._keys.sign("cut", last.position, last.seal, now)
            await repository.delete_up_to(db, last.position)
            await repository.replace_cut(db, last.position, head.line())
            await record(db, Fact.AUDIT_PRUNED, operator(now).client, now, position=last.position, rows=rows)
        await self._sinks.tell(head)
        return True

    async def _verify(self, db: AsyncSession, first: int, last: int) -> int:
        """How many rows there are from `first` to `last`, which begins the chain, and each of which is as it was written.

        Raises:
            NotVerified: one is not.
        """
        heads, report = Heads(self._trust), Report()
        heads.add(await repository.list_head_lines(db, None), "audit_heads")
        heads.settle()
        walk = Walk(self._trust, heads, report)
        place = first - 1
        while place < last:
            try:
                page = await repository.list_sealed(db, place, min(PAGE, last - place))
                for row in page:
                    walk.step(row)
            except (ValueError, TypeError, OverflowError) as error:
                raise NotVerified(f"a row behind position {walk.position} can't be read") from error
            place = page[-1].position
        return report.rows
