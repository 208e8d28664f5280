"""Verifying the chain, in the database or in an export: streams rows in order, and names the first that is not as it was.

What it can tell: a row changed, removed, put in or moved; an end cut off, as far as the newest signed head reaches; seals that
somebody else computed; rows that wait too long for a seal. It holds no more than a page of rows, and the ids of people
whose erasure it has yet to find.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.audit import repository
from app.audit.chain import (
    BEGINNING,
    TAKEN_IN,
    WRITTEN,
    AuditKeys,
    Broken,
    Head,
    digest_of,
    seal_of,
)
from app.audit.facts import Fact
from app.audit.signed import Heads, NotVerified, Trust
from app.database import Database

__all__ = ["PAGE", "YOUNG", "Heads", "NotVerified", "Report", "Trust", "Walk", "verify_database", "verify_rows"]
PAGE = 2_000
YOUNG = timedelta(seconds=30)  # within which a row may wait for its seal: a worker that restarts, a clock beside another
ERASED = frozenset({Fact.USER_DELETED.value, Fact.USER_ERASED.value})
PUT_IN = "the row with id {} was put in: it was not written by this server"
Row = Any  # with the attributes of chain.COLUMNS, and `_mapping`


@dataclass(slots=True)
class Report:
    """What was found to be right."""

    rows: int = 0
    first: int = 0
    last: int = 0
    heads: int = 0
    newest: Head | None = None
    not_ours: int = 0  # sealed under another key, so that only the chain and the heads speak for them
    taken_in: int = 0
    waiting: int = 0
    of_export: bool = False
    oldest: datetime | None = None  # of the rows that are there
    lost: list[Head] = field(default_factory=list)  # restores, behind which rows are lost for a reason that we signed


class Walk:
    """Goes along the chain, row by row."""

    def __init__(self, trust: Trust, heads: Heads, report: Report) -> None:
        self._keys = trust.keys
        self._has_other_keys = trust.keys is not None and trust.public > {trust.keys.public}
        self._heads = heads
        self._report = report
        self._seal: bytes | None = None
        self._position = 0
        self._erased: set[uuid.UUID] = set()
        self._blank: dict[frozenset[uuid.UUID], tuple[int, int]] = {}  # one of whom must be erased for it: place and id
        self._blank_with: dict[uuid.UUID, list[frozenset[uuid.UUID]]] = {}

    @property
    def position(self) -> int:
        """How far it is."""
        return self._position

    def begin(self, row: Row) -> None:
        """At the first row there is: of the chain, behind a signed cut, or of an export that begins later.

        Raises:
            NotVerified: rows before it are gone, and no signed cut says so.
        """
        before = row.position - 1
        cut = self._heads.cuts.get(before)
        if before == 0:
            self._seal = BEGINNING
        elif cut is not None:
            self._seal = cut.seal
            self._heads.check(before, cut.seal)
        else:
            part = ". Of an export only the whole can be verified, not what was chosen from it" if self._report.of_export else ""
            left = f"the first one left is at position {row.position} (id {row.id})"
            raise NotVerified(f"position 1: the row was removed; {left}{part}")
        self._position = before
        self._report.first = row.position

    def step(self, row: Row) -> None:
        """One row on.

        Raises:
            NotVerified: it, or one before it, is not as it was.
        """
        if self._seal is None:
            self.begin(row)
        expected = self._position + 1
        cut = self._heads.cuts.get(row.position - 1)
        if row.position > expected and cut is not None:  # retention went on meanwhile
            self._seal = cut.seal
        elif row.position != expected:
            raise NotVerified(f"position {expected}: the row was removed; behind it comes position {row.position} (id {row.id})")
        self._check_seal(row)
        self._check_erasure(row)
        self._heads.check(row.position, row.seal)
        self._position, self._seal = row.position, row.seal
        self._report.oldest = self._report.oldest or row.at
        self._report.rows += 1
        self._report.last = row.position

    def _check_seal(self, row: Row) -> None:
        try:
            digest = digest_of(row._mapping)
        except Broken:
            raise NotVerified(f"position {row.position}: the row (id {row.id}) was changed: it can't be read") from None
        before = self._seal or b""
        how = next(
            (each for each in (WRITTEN, TAKEN_IN) if seal_of(before, row.position, row.id, digest, each) == row.seal), None
        )
        if how is None:
            raise NotVerified(
                f"position {row.position}: the row (id {row.id}) was changed, put in, or moved here, or the one before it was"
            )
        if how is TAKEN_IN:
            if self._report.taken_in != self._report.rows:
                raise NotVerified(f"position {row.position}: the row (id {row.id}) was put in: nobody marked it as written by us")
            self._report.taken_in += 1
        if self._keys is None:
            return
        ours = self._keys.sealed(row.seal, row.mark)
        # Anybody can name a key that we can't check: it counts only where the operator says that there was another.
        if ours is False or (ours is None and not self._has_other_keys):
            raise NotVerified(
                f"position {row.position}: the seal of the row (id {row.id}) is not ours: it was computed anew, or under a key"
                " that is not trusted (AUDIT_TRUSTED_KEYS, --key)"
            )
        self._report.not_ours += ours is None

    def _check_erasure(self, row: Row) -> None:
        if row.fact in ERASED and row.subject_id is not None:
            self._erased.add(row.subject_id)
            for who in self._blank_with.pop(row.subject_id, ()):
                self._blank.pop(who, None)
        people = {who for who in (row.actor_id, row.subject_id) if who is not None}
        for salt, fields, concerned in (
            (row.client_salt, (row.address, row.user_agent), {row.actor_id or row.subject_id}),
            (row.personal_salt, (row.personal,), people),
        ):
            if salt is not None:
                continue
            if any(fields):
                raise NotVerified(f"position {row.position}: the row (id {row.id}) was changed: what was erased is filled again")
            who = frozenset(each for each in concerned if each is not None)
            if not who & self._erased and who not in self._blank:
                self._blank[who] = (row.position, row.id)
                for each in who:
                    self._blank_with.setdefault(each, []).append(who)

    def end(self, later: Iterable[uuid.UUID] = ()) -> None:
        """There is no row behind it; `later` are people whose erasure is written and not sealed yet.

        Raises:
            NotVerified: rows are missing at the end, or were blanked without an erasure.
        """
        newest = self._heads.newest
        if newest is not None and newest.position > self._position:
            raise NotVerified(
                f"position {self._position + 1}: the end was cut off; the chain reached position {newest.position}"
                f" on {newest.at:%Y-%m-%d %H:%M:%S} UTC"
            )
        known = {*later}
        if unexplained := [place for who, place in self._blank.items() if not who & known]:
            position, row_id = min(unexplained)
            raise NotVerified(f"position {position}: the row (id {row_id}) was changed: it is blank, and nobody in it was erased")


async def verify_database(
    database: Database,
    trust: Trust,
    files: Sequence[tuple[str, Iterable[str]]],
    now: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Report:
    """Verify the database at hand, while it is written to.

    Raises:
        NotVerified: see there.
    """
    report = Report()
    heads = Heads(trust)
    # Heads before rows: of a place that is signed the rows are there.
    for source, lines in files:
        heads.add(lines, source)
    heads.add(await _head_lines(database), "audit_heads")
    heads.settle()
    async with database.read() as db:
        with _readable("a row that the sealer refused was changed: it can't be read"):
            refused = await repository.find_refused(db)
        with _readable("the row of audit_chain was changed: it can't be read"):
            chain = await repository.find_chain(db)
    if refused is not None:
        raise NotVerified(PUT_IN.format(refused))
    if chain is None:
        raise NotVerified("the row of audit_chain was removed: nothing is sealed or signed any more")
    if type(chain.position) is not int or not isinstance(chain.seal, bytes):
        raise NotVerified("the row of audit_chain was changed: it can't be read")
    walk = Walk(trust, heads, report)
    async for page in _pages(database):
        if page[0].position > walk.position + 1:
            heads.add(await _head_lines(database, "cut"), "audit_heads")
        for row in page:
            with _readable(f"position {walk.position + 1}: the row (id {row.id}) was changed: it can't be read"):
                walk.step(row)
        progress(walk.position, chain.position)
    if chain.position > walk.position:
        raise NotVerified(f"position {walk.position + 1}: the end was cut off; the chain is {chain.position} long")
    async with database.read() as db:
        end = await repository.find_end(db)
        with _readable("a row without a place was changed, or put in: it can't be read"):
            waiting = await repository.list_unsealed(db, PAGE)
    cut = heads.cuts.get(end.position)
    if not end.fits and not (end.last is None and (end.position == 0 or (cut is not None and cut.seal == end.seal))):
        raise NotVerified("the row of audit_chain was changed: it does not name the last row's place and seal")
    with _readable("a row without a place was changed, or put in: it can't be read"):
        _check_waiting(waiting, trust.keys, now(), being_taken_in=chain.taken_in_to is None)
    walk.end(row.subject_id for row in waiting if row.fact in ERASED)
    report.waiting = len(waiting)
    report.heads, report.newest, report.lost = heads.count, heads.newest, heads.restores
    return report


def _check_waiting(rows: Sequence[Row], keys: AuditKeys | None, now: datetime, *, being_taken_in: bool) -> None:
    for row in rows:
        if being_taken_in and row.mark is None:
            continue
        if keys is not None and not _is_ours(row, keys):
            raise NotVerified(PUT_IN.format(row.id))
        if row.at < now - YOUNG:
            raise NotVerified(
                f"the row with id {row.id} has no seal, {int((now - row.at).total_seconds())} seconds after it was written:"
                " it was put in, or no worker runs"
            )


def _is_ours(row: Row, keys: AuditKeys) -> bool:
    try:
        return keys.wrote(digest_of(row._mapping), row.mark)
    except Broken:
        return False


@contextmanager
def _readable(finding: str) -> Iterator[None]:
    """What no column of its kind can hold was not written by us."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise NotVerified(finding) from error


async def _pages(database: Database) -> AsyncIterator[Sequence[Row]]:
    last = 0
    while True:
        try:
            async with database.read() as db:
                page = await repository.list_sealed(db, last, PAGE)
        except (ValueError, TypeError, OverflowError):
            page = await _up_to_the_odd_one(database, last)
        if not page:
            return
        yield page
        last = page[-1].position


async def _up_to_the_odd_one(database: Database, last: int) -> Sequence[Row]:
    """The rows of a page before the first that can't be read; none before it, and it is named."""
    async with database.read() as db:
        places = await repository.list_places(db, last, PAGE)
    found: list[Row] = []
    for row_id, position in places:
        try:
            async with database.read() as db:
                found += await repository.list_sealed(db, position - 1, 1)
        except (ValueError, TypeError, OverflowError):
            if found:
                return found
            raise NotVerified(f"position {position}: the row (id {row_id}) was changed: it can't be read") from None
    return found


async def _head_lines(database: Database, kind: str | None = None) -> list[str]:
    async with database.read() as db:
        return await repository.list_head_lines(db, kind)


def verify_rows(rows: Iterable[Row], trust: Trust, files: Sequence[tuple[str, Iterable[str]]]) -> Report:
    """Verify an export, without the database.

    Raises:
        NotVerified: see there.
    """
    report = Report(of_export=True)
    heads = Heads(trust)
    for source, lines in files:
        heads.add(lines, source)
    heads.settle()
    walk = Walk(trust, heads, report)
    for row in rows:
        walk.step(row)
    walk.end()
    # Whoever has the file can compute every seal anew: only what was signed speaks for it.
    newest = heads.newest
    proved = newest.position if newest is not None else 0
    if newest is None or not report.rows:
        raise NotVerified("no row is vouched for: give the signed heads of that time (--heads), and an export that is not empty")
    if proved < report.last:
        raise NotVerified(
            f"position {proved + 1}: the rows up to position {report.last} are vouched for by no signed head;"
            f" up to position {proved} all is as it was signed"
        )
    report.heads, report.newest, report.lost = heads.count, newest, heads.restores
    return report
