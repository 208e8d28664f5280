"""Whom of a batch there is already, whom somebody is in the way of, and who is new."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.auth import carried
from app.auth.foreign import NotUsable
from app.auth.utils import try_out
from app.transfer.errors import Refused, Unusable
from app.transfer.hashes import PASSWORD
from app.transfer.people import Person
from app.transfer.rules import Rules

TWICE = "it stands in the file twice"


@dataclass
class Books:
    """What is taken: in the database as one transaction sees it, and by rows before."""

    known: Sequence[Any]  # rows of id, username_key, email_key
    held: set[str]  # names and addresses that are kept for somebody
    kinds: set[str]  # labels of hashes
    credentials: set[bytes]
    rules: Rules = field(default_factory=Rules)
    seen: set[int] = field(default_factory=set)  # names, addresses, ids and credentials of rows before

    def __post_init__(self) -> None:
        self._ids = {row.id for row in self.known}
        self._names = {row.username_key: row.id for row in self.known}
        self._emails = {row.email_key: row.id for row in self.known}

    def place(self, person: Person) -> bool:
        """True for somebody new, who has a name from here on; False for one who is there already, and is left as is.

        Raises:
            Refused: neither.
        """
        row = person.values
        if self._is_there(person):
            return False
        self._check_address(row["email_key"])
        marks: list[tuple[str, object]] = [("id", row["id"])] if person.keeps_id else []
        self._check_seen(marks, "id")
        name = self._free_name(person.names)
        ids = [passkey["credential_id"] for passkey in person.passkeys]
        if len(set(ids)) < len(ids) or self.credentials.intersection(ids):
            raise Refused("passkeys", "somebody has a passkey of the same credential id")
        keys: list[tuple[str, object]] = [("credential", each) for each in ids]
        self._check_seen(keys, "passkeys")
        if person.label is not None and self.rules.carry(self._make_room, person.label) is None:
            row["password_hash"] = person.label = None
        row["username"], row["username_key"] = name, name.lower()
        own = (("email", row["email_key"]), ("name", row["username_key"]), *marks, *keys)
        self.seen.update(hash(mark) for mark in own)
        return True

    def _make_room(self, label: str) -> str:
        """The label, as one that every login knows of from here on.

        Raises:
            Unusable: it would be one kind too many, or can't be checked here.
        """
        if not carried.has_room(self.kinds, label):
            why = f"a fifth kind of hash ({label}) beside {carried.MOST_KINDS}: each would make every login slower"
            raise Unusable(PASSWORD, why)
        if label not in self.kinds:
            try:
                try_out(label)
            except NotUsable as error:
                raise Unusable(PASSWORD, str(error)) from None
            self.kinds.add(label)
        return label

    def _is_there(self, person: Person) -> bool:
        if person.keeps_id and person.values["id"] in self._ids:
            return True
        owner = self._emails.get(person.values["email_key"])
        if owner is None:
            return False
        # An id tells who it is; without one the address does, and the name if it was not made here.
        if not person.keeps_id and (not person.is_named or self._names.get(person.names[0].lower()) == owner):
            return True
        raise Refused("email", "another account has this address")

    def _check_address(self, key: str) -> None:
        if key in self.held:
            raise Refused("email", "this address is kept for somebody who may take it back")
        self._check_seen([("email", key)], "email")

    def _check_seen(self, marks: Iterable[tuple[str, object]], what: str) -> None:
        if any(hash(mark) in self.seen for mark in marks):
            raise Refused(what, TWICE)

    def _free_name(self, names: Sequence[str]) -> str:
        why = ""
        for name in names:
            key = name.lower()
            if key in self._names:
                why = "another account has this name"
            elif key in self.held:
                why = "this name is kept for somebody who registers"
            elif hash(("name", key)) in self.seen:
                why = TWICE
            else:
                return name
        raise Refused("username", why)


def keys_of(people: Sequence[Person]) -> tuple[list[uuid.UUID], list[str], list[str], list[bytes]]:
    """What to look up: ids, names, addresses, credentials."""
    names = {name.lower() for person in people for name in person.names}
    credentials = [passkey["credential_id"] for person in people for passkey in person.passkeys]
    return (
        [person.values["id"] for person in people if person.keeps_id],
        sorted(names),
        [person.values["email_key"] for person in people],
        credentials,
    )
