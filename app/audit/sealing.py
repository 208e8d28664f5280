"""The sealer: gives committed rows their places in the chain, about once a second, by one worker at a time; signs heads.

No request waits for it. Its transaction holds the chain's one row, reads rows without a place, and writes places and seals:
all of it or nothing, so a sealer that dies leaves nothing half done, and two never fork the chain. A row that commits late, with
a lower id, gets the next place.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import repository
from app.audit.chain import BEGINNING, TAKEN_IN, WRITTEN, AuditKeys, Broken, Head, digest_of, read_head, seal_of
from app.audit.heads import Sinks
from app.audit.models import AuditChain
from app.core.crypto import random_id
from app.database import Database

log = structlog.get_logger()
LEASE = timedelta(seconds=10)
BATCH = 1_000
UNREADABLE = (ValueError, TypeError, OverflowError)
HEADS_KEPT = 10_000  # of the plain ones in the table; sinks keep all


@dataclass(slots=True)
class _Place:
    position: int
    seal: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """Since when the oldest row waits for its place in the chain, and whether there are rows that we did not write."""

    since: datetime | None
    foreign: bool


async def look(db: AsyncSession) -> Waiting:
    """How far the sealer is behind; two looks at an index."""
    return Waiting(await repository.find_oldest_unsealed(db), await repository.has_refused(db))


class Sealer:
    """Part of jobs.STEADY."""

    name = "audit.sealer"

    def __init__(self, database: Database, keys: AuditKeys, sinks: Sinks, head_every: timedelta) -> None:
        self._database = database
        self._keys = keys
        self._sinks = sinks
        self._head_every = head_every
        self._lease = random_id()
        self._reminded = False

    async def tick(self, now: datetime) -> None:
        """See `Steady.tick`."""
        if not self._reminded:
            async with self._database.read() as db:
                lines = await repository.list_kept_for_good(db)
            await self._sinks.remind(lines)
            self._reminded = True
        while await self._seal_some(now) == BATCH:
            pass
        await self._sign(now, now - self._head_every)

    async def finish(self, now: datetime) -> None:
        """See `Steady.finish`: what is committed is sealed and signed, and the lease let go."""
        while await self._seal_some(now) == BATCH:
            pass
        await self._sign(now, now)
        await self._let_go()

    async def _is_mine_to_seal(self, now: datetime) -> bool:
        # Only read: most of the time there is nothing to seal, or another has the lease.
        async with self._database.read() as db:
            chain = await repository.find_chain(db)
            return chain is not None and _is_free(chain, self._lease, now) and await repository.has_unsealed(db)

    async def _seal_some(self, now: datetime) -> int:
        if not await self._is_mine_to_seal(now):
            return 0
        async with self._database.write() as db:
            chain = await repository.take_chain(db, self._lease, now, now + LEASE)
            if chain is None:
                return 0
            if not await _is_at_its_end(db, self._keys):
                # Sealed over what is wrong, an honest row would be what is accused.
                log.error("audit.chain_not_ours", position=chain.position)
                return 0
            before, place = chain.position, _Place(chain.position, chain.seal)
            rows, odd = await _list_unsealed(db)
            twice = await _written_before(db, rows)
            seals, taken_in_to = [_refused(row_id) for row_id in odd], chain.taken_in_to
            for row_id in odd:
                log.warning("audit.row_not_ours", row=row_id)
            for row in rows:
                how = None if row.id in twice else self._how(row, taken_in_to)
                if how is None:
                    log.warning("audit.row_not_ours", row=row.id)
                    seals.append(_refused(row.id))
                    continue
                if how is WRITTEN and taken_in_to is None:
                    taken_in_to = place.position
                seals.append(self._seal(place, row, how))
            await repository.seal_events(db, seals)
            moved = {"position": place.position, "seal": place.seal, "taken_in_to": taken_in_to}
            if not await repository.move_chain(db, before, **moved):
                raise LookupError("the chain moved while it was held")
        return len(rows) + len(odd)

    def _how(self, row: Any, taken_in_to: int | None) -> bytes | None:
        """Whether we wrote the row, or it is from before there was a chain; None for neither."""
        try:
            digest = digest_of(row._mapping)
        except Broken:
            return None
        if row.mark is None:
            return TAKEN_IN if taken_in_to is None else None
        return WRITTEN if self._keys.wrote(digest, row.mark) else None

    def _seal(self, place: _Place, row: Any, how: bytes) -> dict[str, Any]:
        place.position += 1
        place.seal = seal_of(place.seal, place.position, row.id, digest_of(row._mapping), how)
        mark = self._keys.mark_seal(place.seal)
        return {"event_id": row.id, "place": place.position, "its_seal": place.seal, "its_mark": mark}

    async def _sign(self, now: datetime, due_before: datetime) -> None:
        head = None
        async with self._database.read() as db:
            chain = await repository.find_chain(db)
        if chain is not None and _is_due(chain, due_before, now) and _is_free(chain, self._lease, now):
            async with self._database.write() as db:
                chain = await repository.take_chain(db, self._lease, now, now + LEASE)
                if chain is not None and _is_due(chain, due_before, now) and await _is_at_its_end(db, self._keys):
                    head = await sign_head(db, self._keys, "head", chain, now)
                    await repository.thin_heads(db, HEADS_KEPT)
        await self._sinks.tell(head)

    async def _let_go(self) -> None:
        async with self._database.write() as db:
            chain = await repository.find_chain(db)
            if chain is not None and chain.lease == self._lease:
                await repository.move_chain(db, chain.position, lease=None, lease_until=None)


async def sign_head(db: AsyncSession, keys: AuditKeys, kind: str, chain: AuditChain, now: datetime) -> Head:
    """A head of the chain as it is, which the caller holds. Once this is committed, the sinks are to be told."""
    head = keys.sign(kind, chain.position, chain.seal, now)
    await repository.add_head(db, kind, head.position, head.line())
    await repository.move_chain(db, chain.position, head_position=chain.position, head_at=now)
    return head


async def hold_chain(db: AsyncSession) -> AuditChain:
    """The chain, held until the transaction ends, whoever has the lease; for what is done to it beside sealing."""
    chain = await repository.lock_chain(db)
    if chain is None:
        raise LookupError("there is no chain: the database is not migrated")
    return chain


async def _is_at_its_end(db: AsyncSession, keys: AuditKeys) -> bool:
    """Whether the chain's row, which is held, names the last row there is, and its seal is ours as far as can be told."""
    end = await repository.find_end(db)
    if end.last is not None:
        return end.fits and keys.sealed(end.seal, end.its_mark) is not False
    cut = read_head(await repository.find_cut(db) or "")
    return (cut is not None and (cut.position, cut.seal) == (end.position, end.seal)) or (
        end.position == 0 and end.seal == BEGINNING
    )


async def sign_now(db: AsyncSession, keys: AuditKeys, now: datetime) -> tuple[Head | None, int | None]:
    """A head for the chain as it is, if there is none, and up to where it is vouched for; neither if it is not as we left it.

    So whoever takes the log along can have all of it verified.
    """
    chain = await hold_chain(db)
    if not await _is_at_its_end(db, keys):  # a signature on what somebody made up would vouch for it
        log.error("audit.chain_not_ours", position=chain.position)
        return None, None
    head = await sign_head(db, keys, "head", chain, now) if chain.position != chain.head_position else None
    return head, chain.position


def _is_free(chain: AuditChain, lease: uuid.UUID, now: datetime) -> bool:
    return chain.lease in {None, lease} or chain.lease_until is None or chain.lease_until < now


def _is_due(chain: AuditChain, before: datetime, now: datetime) -> bool:
    # A head of a place, or a time, that is yet to come must not keep others from being signed.
    return chain.position != chain.head_position and (chain.head_at is None or not before < chain.head_at <= now)


def _refused(row_id: int) -> dict[str, Any]:
    """Out of the way of the others, and to be found by whoever verifies."""
    return {"event_id": row_id, "place": -row_id, "its_seal": None, "its_mark": None}


async def _list_unsealed(db: AsyncSession) -> tuple[Sequence[Any], list[int]]:
    """Rows without a place, and the ids of those that can't be read: SQLite holds any value in any column."""
    try:
        return await repository.list_unsealed(db, BATCH), []
    except UNREADABLE:
        rows: list[Any] = []
        odd: list[int] = []
        for row_id in await repository.list_unsealed_ids(db, BATCH):
            try:
                rows.append(await repository.get_row(db, row_id))
            except UNREADABLE:
                odd.append(row_id)
        return rows, odd


async def _written_before(db: AsyncSession, rows: Sequence[Any]) -> set[int]:
    """Rows that are copies of one in the chain, or of each other: a mark is good once."""
    marked = [row for row in rows if row.mark is not None]
    seen: dict[tuple[Any, ...], list[bytes | None]] = {}
    for row in await repository.list_of_moments(db, sorted({row.at for row in marked})):
        seen.setdefault(_kind(row), []).append(row.client_salt)
    twice: set[int] = set()
    for row in marked:
        salts = seen.setdefault(_kind(row), [])
        if row.client_salt is not None and row.client_salt in salts:
            twice.add(row.id)
        salts.append(row.client_salt)
    return twice


def _kind(row: Any) -> tuple[Any, ...]:
    return row.at, row.request_id, row.fact, row.subject_id
