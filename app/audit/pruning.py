"""Forgetting rows that are old enough: the oldest of the chain, behind a signed cut, so that what is left can be verified."""

from datetime import datetime, timedelta

from app.audit import repository
from app.audit.chain import AuditKeys
from app.audit.facts import Fact
from app.audit.heads import Sinks
from app.audit.sealing import hold_chain
from app.audit.service import record
from app.core.caller import operator
from app.database import Database

AT_ONCE = 10_000
EVERY = timedelta(minutes=10)


class Pruning:
    """Part of jobs.STEADY. Each transaction removes some thousands of rows, signs where the chain begins now, and records it."""

    name = "audit.pruning"

    def __init__(self, database: Database, keys: AuditKeys, sinks: Sinks, kept: timedelta) -> None:
        self._database = database
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
            head = self._keys.sign("cut", last.position, last.seal, now)
            await repository.delete_up_to(db, last.position)
            await repository.replace_cut(db, last.position, head.line())
            rows = last.position - oldest.position + 1
            await record(db, Fact.AUDIT_PRUNED, operator(now).client, now, position=last.position, rows=rows)
        await self._sinks.tell(head)
        return True
