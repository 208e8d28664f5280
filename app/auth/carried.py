"""Password hashes that are brought in from elsewhere: which are taken, and what logging in may cost by them.

Every login costs what the dearest stored hash costs, for everybody (docs/adr/0002). So a row of somebody else's file must not
be able to make it dear: each hash has a bound, and so has the number of kinds.
"""

import re
from base64 import b64decode
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
BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}", re.ASCII)
DIGEST_BYTES, SALT_BYTES = range(16, 65), range(8, 65)
MOST_STORED = 255  # characters of the column


def accept(stored: str) -> str:
    """The label of a hash as it is stored here, if it can be verified at a bearable cost.

    Raises:
        NotUsable: it can't.
    """
    if len(stored) > MOST_STORED:
        raise NotUsable("the hash is too long")
    if found := BCRYPT.fullmatch(stored.removeprefix(PREHASHED).removeprefix(DJANGO_PREHASHED)):
        if not 4 <= int(found[1]) <= MOST_BCRYPT:
            raise NotUsable(f"bcrypt of cost {found[1]}: from 4 to {MOST_BCRYPT} are taken")
    elif stored.startswith("$argon2"):
        _check_argon2(stored)
    elif foreign.read(stored) is None:
        raise NotUsable("this kind of password hash is not known, or costs too much")
    return label_of(stored)


def is_kind_of_its_own(label: str) -> bool:
    """Whether it counts towards MOST_KINDS."""
    return BCRYPT_LABEL.fullmatch(label) is None


def has_room(kinds: Iterable[str], label: str) -> bool:
    """Whether hashes of this label may be stored beside these."""
    own = {kind for kind in kinds if is_kind_of_its_own(kind)}
    return not is_kind_of_its_own(label) or label in own or len(own) < MOST_KINDS


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
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except Base64Error:
        raise NotUsable("no base64 where Argon2 has it") from None
