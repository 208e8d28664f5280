"""The bundled list of common and breached passwords, kept as fingerprints.

`scripts/build_common_passwords.py` writes the file; this module reads it.

File format: the 48-byte header `MAGIC` (8 bytes, ends in the format's version), the number of entries of the first
and of the second section (unsigned 32-bit, big-endian), and the SHA-256 of all that follows; then the two sections,
each a strictly ascending run of 6-byte fingerprints. The first section holds the commonest passwords of any shape,
the second every other listed password that some policy would otherwise admit.

A fingerprint is the 48-bit BLAKE2b digest of an entry's `skeleton`. Skeletons are equal for passwords that differ
only in letter case or in leet spelling, so one look-up compares a password whole, lower-cased and with leet undone.

Decoration is looked for in the first section only: the password is also refused if at most `MAX_DECORATION`
characters that are not letters, at its two ends together, surround one of the commonest passwords ("Password1!" is
"password" with two). The base must be longer than its decoration; a passphrase or a random string of a usable length
therefore never shrinks to a short common word.

A password that is not listed is refused by mistake when a fingerprint collides. Each of the at most
`MAX_LOOKUPS` look-ups hits by chance with (entries compared) / 2**48, which `false_positive_bound` adds up.

`password in common` costs time in proportion to the password's length, so callers bound the length first.
"""

import hashlib
import struct
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Self

DATA_FILE = Path(__file__).parent / "data" / "common_passwords.bin"
MAGIC = b"AKCOMPW1"
HEADER = struct.Struct(">8sII32s")
FINGERPRINT_BYTES = 6
MAX_DECORATION = 6
# The whole password, and each way to divide up to MAX_DECORATION characters between its two ends.
MAX_LOOKUPS = (MAX_DECORATION + 1) * (MAX_DECORATION + 2) // 2

# One class per letter: "1" stands for both "i" and "l", so these three (and "!", "|") are one.
_LEET = str.maketrans("@40138!|l$57+", "aaoiebiiisstt")


class DamagedListError(Exception):
    """The file is not a list of common passwords, or not the one that was written."""


def skeleton(text: str) -> str:
    """What is left of a text when letter case and leet are undone."""
    return unicodedata.normalize("NFC", text).casefold().translate(_LEET)


def fingerprint(text: str) -> bytes:
    # Lone surrogates can't be encoded otherwise, and a password check must not raise.
    data = skeleton(text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=FINGERPRINT_BYTES).digest()


def is_letter(char: str) -> bool:
    """Whether a character is a letter or a mark; marks belong to the letter that they modify."""
    return unicodedata.category(char)[0] in "LM"


def undecorated(password: str) -> Iterator[str]:
    """The bases that remain when up to `MAX_DECORATION` characters other than letters are taken off the ends."""
    size = len(password)
    most = max(0, min(MAX_DECORATION, (size - 1) // 2))
    head = next((i for i in range(most) if is_letter(password[i])), most)
    tail = next((i for i in range(most) if is_letter(password[-1 - i])), most)
    for left in range(head + 1):
        for right in range(min(tail, most - left) + 1):
            if left or right:
                yield password[left : size - right]


class CommonPasswords:
    """Answers `password in common`; immutable, so one instance serves every thread."""

    def __init__(self, data: bytes) -> None:
        if len(data) < HEADER.size:
            raise DamagedListError("shorter than its header")
        magic, self.commonest, self.others, digest = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise DamagedListError("not a list of common passwords of this version")
        if len(data) != HEADER.size + (self.commonest + self.others) * FINGERPRINT_BYTES:
            raise DamagedListError("of another size than its header says")
        if hashlib.sha256(memoryview(data)[HEADER.size :]).digest() != digest:
            raise DamagedListError("of another content than its header says")
        self._data = data

    @classmethod
    def load(cls, path: Path = DATA_FILE) -> Self:
        """Read and check the file; takes some 10 ms, so callers keep the instance."""
        return cls(path.read_bytes())

    def __contains__(self, password: object) -> bool:
        if not isinstance(password, str):
            return False
        whole = fingerprint(password)
        total = self.commonest + self.others
        if self._holds(whole, 0, self.commonest) or self._holds(whole, self.commonest, total):
            return True
        return any(self._holds(fingerprint(base), 0, self.commonest) for base in undecorated(password))

    @property
    def false_positive_bound(self) -> float:
        """The probability, at most, that a password far from every entry is refused."""
        entries_compared = self.commonest + self.others + (MAX_LOOKUPS - 1) * self.commonest
        return float(entries_compared / 2 ** (8 * FINGERPRINT_BYTES))

    def _holds(self, wanted: bytes, start: int, stop: int) -> bool:
        index = start + bisect_left(range(start, stop), wanted, key=self._entry)
        return index < stop and self._entry(index) == wanted

    def _entry(self, index: int) -> bytes:
        offset = HEADER.size + index * FINGERPRINT_BYTES
        return self._data[offset : offset + FINGERPRINT_BYTES]
