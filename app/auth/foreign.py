"""Password hashes that other systems made: PBKDF2, scrypt, Firebase's scrypt. They are verified here and never made.

Each is kept in one form, `$scheme$parameters$salt$key` with base64 as in the PHC string format; its parameters say what a check
costs, and all hashes with the same ones cost the same. Import writes the form, login replaces the hash by one of today's.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.core.crypto import equal, keystream

DUMMY_PASSWORD, DUMMY_SALT = b"nobody has this password", b"a salt of nobody"
KEY_BYTES = range(16, 129)
MAX_SALT = 128
# The form allows a salt and a key of any length; the column holds 255 characters.
FORM = re.compile(r"\$([a-z0-9-]+)\$([a-z0-9=,]+)\$([A-Za-z0-9+/]{0,172})\$([A-Za-z0-9+/]{22,172})", re.ASCII)
PARAMETER = re.compile(r"([a-z]+)=([1-9][0-9]{0,8})", re.ASCII)
PBKDF2 = {"pbkdf2-sha1": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}
SCRYPT, FIREBASE = "scrypt", "firebase-scrypt"
NAMES = {**dict.fromkeys(PBKDF2, ("i", "l")), SCRYPT: ("ln", "r", "p", "l"), FIREBASE: ("ln", "r")}
# What a login may be made to cost by a row of somebody else's: seconds of one core, and 128 MiB, but not more.
MOST_BLOCKS = 3_000_000  # PBKDF2: iterations times blocks of output
MOST_SCRYPT_BYTES = 128 * 1024 * 1024
MOST_LANES = 16
MOST_SCRYPT_WORK = 2 * MOST_SCRYPT_BYTES  # memory times lanes, which are done one after the other
MOST_SCRYPT_R = 64  # what is around the memory's work grows with r alone
FIREBASE_KEY = 64  # bytes of the project's signer key


class NotUsable(ValueError):
    """A hash that is none of these, or costs more than a login may."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A scheme with its parameters: what one check takes."""

    scheme: str
    parameters: str

    @property
    def label(self) -> str:
        """As `hash_schemes` keeps it."""
        return f"{self.scheme}/{self.parameters}"

    @property
    def kind(self) -> str:
        """What it shares its dummy work with: PBKDF2 of any number of iterations is one, since their work adds up."""
        return f"{self.scheme}/l={self._length}" if self.scheme in PBKDF2 else self.label

    @property
    def iterations(self) -> int:
        """Those of PBKDF2; 0 for any other scheme."""
        return _values(self.scheme, self.parameters).get("i", 0)

    @property
    def _length(self) -> int:
        return _values(self.scheme, self.parameters).get("l", FIREBASE_KEY)

    def spend(self, password: bytes, salt: bytes) -> bytes:
        """The key that this password has."""
        values = _values(self.scheme, self.parameters)
        if self.scheme in PBKDF2:
            return hashlib.pbkdf2_hmac(PBKDF2[self.scheme], password, salt, values["i"], values["l"])
        n, r = 2 ** values["ln"], values["r"]
        memory = 2 * 128 * r * (n + values.get("p", 1) + 2)
        derived = hashlib.scrypt(
            password, salt=salt, n=n, r=r, p=values.get("p", 1), maxmem=memory, dklen=values.get("l", FIREBASE_KEY)
        )
        return keystream(derived[:32], FIREBASE_KEY) if self.scheme == FIREBASE else derived

    def burn(self, done: int = 0) -> None:
        """Work as long as a check does; of PBKDF2, what is left of it beside the iterations that are done."""
        if self.scheme not in PBKDF2:
            self.spend(DUMMY_PASSWORD, DUMMY_SALT)
        elif self.iterations > done:
            hashlib.pbkdf2_hmac(PBKDF2[self.scheme], DUMMY_PASSWORD, DUMMY_SALT, self.iterations - done, self._length)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A stored hash."""

    cost: Cost
    salt: bytes
    key: bytes

    def verify(self, password: bytes) -> bool:
        """Whether it is the hash of this password."""
        return equal(self.cost.spend(password, self.salt), self.key)

    def stored(self) -> str:
        """The one form it is kept in."""
        return f"${self.cost.scheme}${self.cost.parameters}${_b64(self.salt)}${_b64(self.key)}"


def read(stored: str) -> Foreign | None:
    """A stored hash of one of these schemes; None for any other text."""
    match = FORM.fullmatch(stored)
    if match is None or match[1] not in NAMES:
        return None
    try:
        found = Foreign(Cost(match[1], match[2]), _unb64(match[3]), _unb64(match[4]))
        check(found)
    except ValueError:
        return None
    return found if found.stored() == stored else None


def read_label(label: str) -> Cost | None:
    """The cost that a label of `hash_schemes` stands for; None for one of a scheme that is not foreign."""
    scheme, _, parameters = label.partition("/")
    if scheme not in NAMES:
        return None
    try:
        _values(scheme, parameters)
    except NotUsable:
        return None
    return Cost(scheme, parameters)


def even_out(own: str, labels: Iterable[str]) -> None:
    """Work so long that with a check of the label `own`, one of each kind among the labels is done, the dearest of each."""
    dearest: dict[str, Cost] = {}
    for cost in filter(None, map(read_label, sorted(labels))):
        if cost.kind not in dearest or dearest[cost.kind].iterations < cost.iterations:
            dearest[cost.kind] = cost
    checked = read_label(own)
    for kind, cost in dearest.items():
        if checked is None or checked.kind != kind:
            cost.burn()
        elif cost != checked:
            cost.burn(checked.iterations)


def pbkdf2(digest: str, iterations: int, salt: bytes, key: bytes) -> Foreign:
    """A hash of PBKDF2 (RFC 8018 section 5.2), as Django and Keycloak make them; digest is sha1, sha256 or sha512.

    Raises:
        NotUsable: see there.
    """
    return _made(f"pbkdf2-{digest}", f"i={iterations},l={len(key)}", salt, key)


def scrypt(log2_n: int, r: int, p: int, salt: bytes, key: bytes) -> Foreign:
    """A hash of scrypt (RFC 7914).

    Raises:
        NotUsable: see there.
    """
    return _made(SCRYPT, f"ln={log2_n},r={r},p={p},l={len(key)}", salt, key)


def firebase_scrypt(log2_n: int, r: int, salt: bytes, separator: bytes, sealed: bytes, signer_key: bytes) -> Foreign:
    """A hash of Firebase's scrypt: the project's signer key, encrypted (AES-256-CTR) under what scrypt makes of the password.

    What is kept is the key stream, which tells as much as the hash, and nothing of the signer key.

    Raises:
        NotUsable: see there.
    """
    if len(sealed) != FIREBASE_KEY or len(signer_key) != FIREBASE_KEY:
        raise NotUsable("the hash and the signer key have 64 bytes each")
    stream = bytes(left ^ right for left, right in zip(sealed, signer_key, strict=True))
    return _made(FIREBASE, f"ln={log2_n},r={r}", salt + separator, stream)


def check(found: Foreign) -> None:
    """See that it can be verified, at a bearable cost.

    Raises:
        NotUsable: it can't.
    """
    values = _values(found.cost.scheme, found.cost.parameters)
    if len(found.key) not in KEY_BYTES or len(found.key) != values.get("l", FIREBASE_KEY):
        raise NotUsable("the hash has another length than its parameters say")
    if len(found.salt) > MAX_SALT:
        raise NotUsable("the salt is too long")


def _made(scheme: str, parameters: str, salt: bytes, key: bytes) -> Foreign:
    found = Foreign(Cost(scheme, parameters), salt, key)
    check(found)
    return found


def _values(scheme: str, parameters: str) -> Mapping[str, int]:
    if scheme not in NAMES:
        raise NotUsable("this scheme is not known")
    pairs = [PARAMETER.fullmatch(pair) for pair in parameters.split(",")]
    values = {pair[1]: int(pair[2]) for pair in pairs if pair}
    if tuple(values) != NAMES[scheme] or len(pairs) != len(values):
        raise NotUsable("the parameters are not those of the scheme")
    if values.get("l", FIREBASE_KEY) not in KEY_BYTES:
        raise NotUsable("the hash is too short or too long")
    if scheme in PBKDF2:
        blocks = -(-values["l"] // hashlib.new(PBKDF2[scheme]).digest_size)
        if values["i"] * blocks > MOST_BLOCKS:
            raise NotUsable("it takes too long to check")
    elif not _is_bearable(values["ln"], values["r"], values.get("p", 1)):
        raise NotUsable("it takes too much memory, or too long, to check")
    return values


def _is_bearable(ln: int, r: int, p: int) -> bool:
    if ln > 24 or p > MOST_LANES or r > MOST_SCRYPT_R or ln >= 16 * r:  # the last: N < 2^(128 r / 8), RFC 7914 section 2
        return False
    memory = 128 * r * (1 << ln)
    return memory <= MOST_SCRYPT_BYTES and memory * p <= MOST_SCRYPT_WORK


def _b64(raw: bytes) -> str:
    return b64encode(raw).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), validate=True)
