"""Bringing people in: a batch at a time, each one transaction with its records. A run that is cut off is run again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.deps import AuthKit
from app.core.caller import operator
from app.core.server import Server
from app.database import Clash
from app.mfa import carrying as apps
from app.mfa.deps import MfaKit
from app.passkeys import carrying as passkeys
from app.passkeys.deps import PasskeyKit
from app.transfer.errors import BadFile, Refused
from app.transfer.forms import CSV, FORMS, Context
from app.transfer.people import Person, read_person
from app.transfer.placing import Books, keys_of
from app.transfer.reading import Record
from app.users import many
from app.users import service as users

BATCH = 1_000
TRIES = 10  # of a batch, where others take its names meanwhile
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row that was not taken."""

    line: int
    what: str
    why: str


@dataclass(slots=True)
class Counts:
    """What became of the rows."""

    added: int = 0
    bare: int = 0  # of those that were added: how many have no password
    there: int = 0
    refused: int = 0

    @property
    def rows(self) -> int:
        """All that were looked at."""
        return self.added + self.there + self.refused


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is brought in: in which form, and of what kind it is, by the ending of its name."""

    form_name: str
    kind: str
    context: Context
    dry_run: bool = False


class Importing:
    """One run over a file. With `dry_run` it says what would be done, and remembers some bytes of each row for that."""

    def __init__(self, server: Server, plan: Plan, tell: Callable[[Conflict], None]) -> None:
        self._database, self._clock = server.database, server.clock
        self._label = server.kit(AuthKit).passwords.label
        self._mfa, self._passkeys = server.kit(MfaKit), server.kit(PasskeyKit)
        self._plan, self._tell = plan, tell
        self._seen: set[int] = set()
        self._kinds: set[str] = set()
        self.counts = Counts()

    async def run(self, records: Iterable[Record], progress: Callable[[], None]) -> Counts:
        """Take all of them; `progress` is called after each batch.

        Raises:
            BadFile: see the readers.
        """
        # What is read of a row is small, whatever else stands in it: so many are held at once, and no rows.
        for batch in _batches(map(self._read, records), BATCH):
            people = [each for each in batch if isinstance(each, Person)]
            conflicts = [each for each in batch if isinstance(each, Conflict)]
            added, there, clashed = await self._take(people)
            # Only now: a batch that was tried again would be told of twice.
            for conflict in sorted([*conflicts, *clashed], key=lambda each: each.line):
                self._tell(conflict)
            self.counts.added += len(added)
            self.counts.bare += sum(person.label is None for person in added)
            self.counts.there += there
            self.counts.refused += len(conflicts) + len(clashed)
            progress()
        return self.counts

    def _read(self, record: Record) -> Person | Conflict:
        plan = self._plan
        try:
            said = FORMS[plan.form_name].said(record, plan.context, in_cells=plan.kind == CSV)
            return read_person(record.line, said, plan.context.rules, self._passkeys, plan.context.now)
        except Refused as refused:
            return Conflict(record.line, refused.what, refused.why)

    async def _take(self, people: list[Person]) -> tuple[list[Person], int, list[Conflict]]:
        if self._plan.dry_run:
            async with self._database.read() as db:
                new, there, conflicts = await self._place(db, people)
                return new, there, conflicts
        for _ in range(TRIES):
            try:
                async with self._database.write() as db:
                    new, there, conflicts = await self._place(db, people)
                    await self._add(db, new)
            except Clash:
                continue
            return new, there, conflicts
        raise BadFile("somebody else takes the same names again and again; run the import once more")

    async def _place(self, db: AsyncSession, people: list[Person]) -> tuple[list[Person], int, list[Conflict]]:
        ids, names, addresses, credentials = keys_of(people)
        books = Books(
            known=await many.list_known(db, ids, names, addresses),
            held=await many.list_held(db, names, addresses, self._clock()),
            kinds={self._label, *self._kinds, *await users.get_schemes(db)},
            credentials=await passkeys.list_taken(db, credentials) if credentials else set(),
            rules=self._plan.context.rules,
            seen=self._seen if self._plan.dry_run else set(),
        )
        new: list[Person] = []
        conflicts: list[Conflict] = []
        for person in people:
            try:
                new += [person] if books.place(person) else []
            except Refused as refused:
                conflicts.append(Conflict(person.line, refused.what, refused.why))
        if self._plan.dry_run:
            self._kinds = books.kinds
        return new, len(people) - len(new) - len(conflicts), conflicts

    async def _add(self, db: AsyncSession, new: list[Person]) -> None:
        if not new:
            return
        now, labels = self._clock(), {person.label for person in new if person.label}
        await many.create_users(db, [person.values for person in new], labels, now)
        await apps.add_apps(db, self._mfa, {person.values["id"]: person.secret for person in new if person.secret}, now)
        await passkeys.add_passkeys(db, {person.values["id"]: person.passkeys for person in new if person.passkeys})
        told = [(each.values["id"], {"role": each.values["role"], "format": self._plan.form_name}) for each in new]
        await audit.record_many(db, Fact.USER_IMPORTED, operator(now).client, now, told)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
