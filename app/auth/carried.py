"""Password hashes that are brought in from elsewhere: which are taken, and what logging in may cost by them.

Every login costs what the dearest stored hash costs, for everybody (docs/adr/0002). So a row of somebody else's file must not
be able to make it dear: each hash has a bound, and so has the number of kinds.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable

from app.auth import foreign
from app.auth.foreign import NotUsable
from app.auth.utils import ARGON2, BCRYPT_LABEL, DJANGO_PREHASHED, PREHASHED, label_of

MOST_BCRYPT = 14  # about a second of one core; each more doubles it
MOST_ARGON2_KIB, MOST_ARGON2_TIME = 128 * 1024, 10
MOST_ARGON2_WORK = 512 * 1024  # KiB times passes, about a second
MOST_KINDS = 4  # beside bcrypt, whose costs share one: each is dummy work in every login
ARGON2_VALUES = re.compile(r"m=([1-9][0-9]{0,6}),t=([1-9][0-9]?),p=([1-9][0-9]?)", re.ASCII)
# Of the salt's last letter four bits must be zero: bcrypt refuses any other at once, which would tell the account by its time.
BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII)
DIGEST_BYTES, SALT_BYTES = range(16, 65), range(8, 65)
MOST_STORED = 255  # characters of the column


def accept(stored: str, most_bcrypt: int = MOST_BCRYPT) -> str:
    """The label of a hash as it is stored here, if it can be verified at a bearable cost; bcrypt of `most_bcrypt` at most.

    Raises:
        NotUsable: it can't.
    """
    if len(stored) > MOST_STORED:
        raise NotUsable("the hash is too long")
    if found := BCRYPT.fullmatch(stored.removeprefix(PREHASHED).removeprefix(DJANGO_PREHASHED)):
        if not 4 <= int(found[1]) <= most_bcrypt:
            raise NotUsable(f"bcrypt of cost {found[1]}: from 4 to {most_bcrypt} are taken")
    elif stored.startswith("$argon2"):
        _check_argon2(stored)
    elif foreign.read(stored) is None:
        raise NotUsable("this kind of password hash is not known, or costs too much")
    return label_of(stored)


def is_kind_of_its_own(label: str) -> bool:
    """Whether it counts towards MOST_KINDS."""
    return BCRYPT_LABEL.fullmatch(label) is None


def has_room(labels: Iterable[str], label: str) -> bool:
    """Whether hashes of this label may be stored beside these."""
    kinds = {_kind_of(each) for each in labels if is_kind_of_its_own(each)}
    return not is_kind_of_its_own(label) or _kind_of(label) in kinds or len(kinds) < MOST_KINDS


def _kind_of(label: str) -> str:
    cost = foreign.read_label(label)
    return cost.kind if cost is not None else label


def _check_argon2(stored: str) -> None:
    form = ARGON2.fullmatch(stored)
    values = ARGON2_VALUES.fullmatch(form[2]) if form else None
    if values is None:
        raise NotUsable("this is no hash of Argon2 (version 19)")
    memory, time, lanes = map(int, values.groups())
    if memory > MOST_ARGON2_KIB or time > MOST_ARGON2_TIME or memory * time > MOST_ARGON2_WORK:
        raise NotUsable("Argon2 that takes too much memory, or too long, to check")
    if lanes > foreign.MOST_LANES or memory < 8 * lanes:
        raise NotUsable("Argon2 with as many lanes as can't be")
    salt, digest = (_decoded(part) for part in stored.split("$")[4:])
    if len(salt) not in SALT_BYTES or len(digest) not in DIGEST_BYTES:
        raise NotUsable("a salt or hash of Argon2 that is too short or too long")


def _decoded(text: str) -> bytes:
    try:
        raw = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except Base64Error:
        raw = b""
    if b64encode(raw).decode().rstrip("=") != text:  # another spelling of the bytes is refused by the library, and at once
        raise NotUsable("no base64 where Argon2 has it")
    return raw
