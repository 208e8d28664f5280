"""A contest: one flow, one kind of account against no account, so many pairs; and how it is run against a server."""

import gc
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from app.config import Settings
from bench.accounts import PASSWORD, WRONG, Person, State, people, seed, stored
from bench.classifier import Pair
from bench.line import Answer, Line, request_of

Flow = Literal["login", "forgot-password", "register", "resend", "magic-link", "verify-email"]
WARM_UP = 100
STATUS = {"login": 401, "forgot-password": 202, "register": 202, "resend": 202, "magic-link": 202, "verify-email": 400}
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Contest:
    """Known accounts in this state against unknown ones."""

    name: str
    flow: Flow
    pairs: int
    state: State = "active"
    scheme: str = ""  # of the stored hashes, if it is not the server's own
    right: bool = False  # the password typed is the account's
    by_address: bool = False  # what is typed is the address
    warm_up: int = WARM_UP


@dataclass(frozen=True, slots=True)
class Field:
    """A contest with its people; the known ones have their accounts."""

    contest: Contest
    known: list[Person]
    unknown: list[Person]

    def request(self, person: Person) -> bytes:
        """What is sent for somebody: the same bytes but for the name."""
        if self.contest.flow == "forgot-password":
            return request_of("/auth/forgot-password", {"email": person.email})
        if self.contest.flow == "register":  # a name nobody has, with an address that somebody may have
            body = {"username": f"n{person.username}", "email": person.email, "password": PASSWORD}
            return request_of("/auth/register", body)
        if self.contest.flow == "resend":
            return request_of("/auth/verify-email/resend", {"email": person.email})
        if self.contest.flow == "magic-link":
            return request_of("/auth/magic-link", {"email": person.email})
        if self.contest.flow == "verify-email":
            return request_of("/auth/verify-email", {"email": person.email, "code": "2222-2222"})
        name = person.email if self.contest.by_address else person.username
        return request_of("/auth/login", {"username": name, "password": PASSWORD if self.contest.right else WRONG})


class UnequalAnswersError(Exception):
    """Two answers differ by more than their time."""


async def prepare(contest: Contest, settings: Settings, chance: random.Random, hashes: dict[str, str]) -> Field:
    """Make the people; nobody is asked about twice, so that no try is slowed down by one before."""
    own = "argon2id" if settings.PASSWORD_HASH == "argon2id" else f"bcrypt/{settings.BCRYPT_ROUNDS:02}"
    scheme = contest.scheme or own
    known, unknown = (people(contest.pairs + contest.warm_up, chance) for _ in range(2))
    password_hash = hashes.setdefault(scheme, "") or stored(scheme)
    hashes[scheme] = password_hash
    await seed(settings, known, password_hash=password_hash, state=contest.state)
    return Field(contest, known, unknown)


def run(field: Field, port: int, chance: random.Random, progress: Progress = lambda _: None) -> list[Pair]:
    """Ask about both of each pair, in random order, on one connection.

    Raises:
        UnequalAnswersError: an answer tells by its words what its time must not tell.
    """
    requests = [(field.request(known), field.request(unknown)) for known, unknown in zip(field.known, field.unknown, strict=True)]
    first: Answer | None = None
    pairs = []
    with Line(port) as line, _quiet():
        for number, (known, unknown) in enumerate(requests):
            if chance.random() < 0.5:
                of_known = line.ask(known)
                of_unknown = line.ask(unknown)
            else:
                of_unknown = line.ask(unknown)
                of_known = line.ask(known)
            first = first or of_unknown
            _check(field.contest, first, (of_known, of_unknown))
            if number >= field.contest.warm_up:
                pairs.append(Pair(of_known.taken, of_unknown.taken))
                progress(len(pairs))
    return pairs


def _check(contest: Contest, first: Answer, answers: Iterable[Answer]) -> None:
    for answer in answers:
        if answer.status != STATUS[contest.flow] or answer.words != first.words:
            raise UnequalAnswersError(f"{contest.name}: {answer.words} is not {first.words}")


@contextmanager
def _quiet() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
