"""Signed heads as the verifier has them: by place, from all that kept some, and what each of them speaks for."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.audit.chain import AuditKeys, Head, claims_to_be_head, read_head


class NotVerified(Exception):
    """The first thing that is wrong, in a sentence."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures count, and, where the secret is at hand, whose marks."""

    public: frozenset[bytes]
    keys: AuditKeys | None


class Heads:
    """Signed heads of all sources, by place."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self.at: dict[int, dict[bytes, Head]] = {}
        self.cuts: dict[int, Head] = {}
        self.restores: list[Head] = []
        self.count = 0

    def add(self, lines: Iterable[str], source: str) -> None:
        """Those of one source.

        Raises:
            NotVerified: a head in it has a signature that is wrong, or of a key that is not trusted.
        """
        for number, line in enumerate(lines, 1):
            head = read_head(line)
            if head is None:
                if claims_to_be_head(line):
                    raise NotVerified(f"{source}, line {number}: the head was changed: it can't be read")
                continue
            if not head.is_signed_by(self._trust.public):
                raise NotVerified(f"{source}, line {number}: the head at position {head.position} is not signed by a trusted key")
            self.count += 1
            if head.kind == "cut":
                self.cuts[head.position] = head
            if head.kind == "restored" and head not in self.restores:
                self.restores.append(head)
            self.at.setdefault(head.position, {})[head.seal] = head

    def settle(self) -> None:
        """Void what a restore made void: heads from before it, of places behind where its backup ended."""
        self.restores.sort(key=lambda head: head.at)
        for restored in self.restores:
            for position in [place for place in self.at if place > restored.position]:
                kept = {seal: head for seal, head in self.at[position].items() if head.at > restored.at}
                if kept:
                    self.at[position] = kept
                else:
                    del self.at[position]
            void = [place for place, cut in self.cuts.items() if place > restored.position and cut.at <= restored.at]
            for position in void:
                del self.cuts[position]

    def check(self, position: int, seal: bytes) -> None:
        """See that the heads of this place name this seal.

        Raises:
            NotVerified: one names another.
        """
        told = self.at.get(position)
        if told is not None and set(told) != {seal}:
            raise NotVerified(
                f"position {position}: the seal is not the one that was signed; rows up to here were changed, removed, put in or"
                " moved, and the seals computed anew"
            )

    @property
    def newest(self) -> Head | None:
        """The one of the last place."""
        place = max(self.at, default=None)
        return next(iter(self.at[place].values())) if place is not None else None
