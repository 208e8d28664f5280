"""Which passwords may be set: pure functions, no state and no I/O.

Lengths are counted in code points after NFC, the only change a password ever undergoes: it is never trimmed,
truncated or case-folded for storing. Case folding and the like happen here for comparing only.

A special character is one that is neither a letter (category L*) nor a digit (N*): spaces, punctuation, symbols,
emoji, controls. Combining marks (M*) count as parts of the letters they modify, so accents and vowel signs are not
special.

A password is a name (the username, the address or part of it, the product) in disguise if, once case and leet are
undone, that name covers all of the password but digits and symbols at its ends. It is compared a second time with the
punctuation inside both left out ("John-Smith1" for "john.smith"). Only the whole value counts: "alice likes tea" is
not "alice".

No violation's text contains the password or the name, so it can be shown and logged.
"""

import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from app.auth.common_passwords import is_letter, skeleton

MAX_LENGTH = 128
# Names shorter than this say nothing about a password that is otherwise long enough.
MIN_NAME = 3
# No code point decomposes canonically into more than four, so NFC makes no text shorter than a quarter.
_MAX_DECOMPOSED = 4


class PasswordPolicy(StrEnum):
    """`STANDARD` asks for a special character; `STRICT` is NIST SP 800-63B: longer, without composition rules."""

    STANDARD = "standard"
    STRICT = "strict"


MIN_LENGTH = {PasswordPolicy.STANDARD: 8, PasswordPolicy.STRICT: 15}


@dataclass(frozen=True)
class Violation:
    """A rule that a password breaks: `code` is for programs, `detail` for people."""

    code: str
    detail: str


def normalise(password: str) -> str:
    return unicodedata.normalize("NFC", password)


def violations(
    password: str, policy: PasswordPolicy, *, username: str, email: str, product: str, common: Container[str]
) -> list[Violation]:
    """Every rule that the password breaks, in a fixed order; a password that is too long is not looked at further.

    The password is normalised here, so callers need not have done so. An empty name is no name.
    """
    too_long = Violation("too_long", f"Use at most {MAX_LENGTH} characters.")
    # Before normalising, so that a megabyte costs nothing.
    if len(password) > MAX_LENGTH * _MAX_DECOMPOSED:
        return [too_long]
    password = normalise(password)
    if len(password) > MAX_LENGTH:
        return [too_long]
    found = shape_violations(password, policy)
    if password in common:
        found.append(
            Violation("common", "This password is among those that attackers try first. Choose one that is yours alone.")
        )
    disguises = (_Disguise.of(password), _Disguise.of(_squeezed(password)))
    names = (
        ("is_username", "Choose a password that is not your username in disguise.", [username]),
        ("is_email", "Choose a password that is not your email address or a part of it in disguise.", _parts(email)),
        ("is_product_name", "Choose a password that is not the name of this service in disguise.", [product]),
    )
    found.extend(Violation(code, detail) for code, detail, words in names if any(_is_name(disguises, word) for word in words))
    return found


def shape_violations(password: str, policy: PasswordPolicy) -> list[Violation]:
    """The rules on the minimum length and on composition, for a normalised password."""
    found = []
    if len(password) < MIN_LENGTH[policy]:
        found.append(Violation("too_short", f"Use at least {MIN_LENGTH[policy]} characters."))
    if policy is PasswordPolicy.STANDARD and not any(_is_special(char) for char in password):
        found.append(
            Violation(
                "no_special_character",
                "Use at least one special character: anything that is neither a letter nor a digit, such as a space.",
            )
        )
    return found


def _is_special(char: str) -> bool:
    return not is_letter(char) and not _is_digit(char)


def _is_digit(char: str) -> bool:
    return unicodedata.category(char)[0] == "N"


def _parts(email: str) -> list[str]:
    """The address and its local part, with and without a tag, its domain, and the domain up to its first dot."""
    local, _, domain = email.rpartition("@")
    untagged = local.partition("+")[0]
    return [email, f"{untagged}@{domain}", local, untagged, domain, domain.partition(".")[0]]


def _squeezed(text: str) -> str:
    return "".join(char for char in text if not _is_special(char))


@dataclass(frozen=True)
class _Disguise:
    """The skeleton of a password, and where in it the part that a name must cover starts and stops."""

    skeleton: str
    start: int
    stop: int

    @classmethod
    def of(cls, password: str) -> Self:
        start, stop = _core(password)
        before, core, after = skeleton(password[:start]), skeleton(password[start:stop]), skeleton(password[stop:])
        return cls(before + core + after, len(before), len(before) + len(core))

    def hides(self, name: str) -> bool:
        """Whether the name is found such that only decoration is left on either side.

        The name may reach into the decoration, because leet makes letters of it: "@l1ce!!!!" is "alice", not "l1ce".
        """
        wanted = skeleton(name)
        if len(wanted) < MIN_NAME:
            return False
        at = self.skeleton.find(wanted)
        while 0 <= at <= self.start:
            if at + len(wanted) >= self.stop:
                return True
            at = self.skeleton.find(wanted, at + 1)
        return False


def _is_name(disguises: tuple[_Disguise, _Disguise], name: str) -> bool:
    plain, squeezed = disguises
    return plain.hides(name) or squeezed.hides(_squeezed(name))


def _core(password: str) -> tuple[int, int]:
    """Where the password without its decoration starts and stops: its letters, else its digits, else all of it."""
    for is_kept in (is_letter, _is_digit):
        kept = [index for index, char in enumerate(password) if is_kept(char)]
        if kept:
            return kept[0], kept[-1] + 1
    return 0, len(password)
