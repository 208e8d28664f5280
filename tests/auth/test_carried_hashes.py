"""Hashes that an import brings: those of published vectors are taken, and none that makes a login dear."""

import hashlib

import bcrypt
import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type

from app.auth import carried, utils
from app.auth.carried import MOST_KINDS, accept, has_room
from app.auth.foreign import NotUsable
from app.auth.utils import DJANGO_PREHASHED, PREHASHED, Passwords

PASSWORD = b"Plain-harbour-71-kettle!"
BCRYPT = bcrypt.hashpw(PASSWORD, b"$2b$04$abcdefghijklmnopqrstuu").decode()
TAIL = BCRYPT[7:]


SALT, KEY = "c29tZXNhbHRzb21lc2FsdA", "A" * 43


def argon2(memory: int, time: int, lanes: int, salt: str = SALT, key: str = KEY) -> str:
    return f"$argon2id$v=19$m={memory},t={time},p={lanes}${salt}${key}"


@pytest.mark.parametrize(
    ("stored", "label"),
    [
        (BCRYPT, "bcrypt/04"),
        (f"$2y$14${TAIL}", "bcrypt/14"),
        (f"$2a$10${TAIL}", "bcrypt/10"),
        (PREHASHED + BCRYPT, "bcrypt/04"),
        (DJANGO_PREHASHED + BCRYPT, "bcrypt/04"),
        (argon2(65536, 3, 4), "argon2id/m=65536,t=3,p=4"),  # argon2-cffi's own
        (argon2(102400, 2, 8), "argon2id/m=102400,t=2,p=8"),  # Django's
        (argon2(7168, 5, 1), "argon2id/m=7168,t=5,p=1"),  # Keycloak's
        (argon2(131072, 4, 16), "argon2id/m=131072,t=4,p=16"),
        (
            PasswordHasher(time_cost=1, memory_cost=64, parallelism=1, type=Type.I).hash(PASSWORD, salt=b"sixteen bytes ok"),
            "argon2i/m=64,t=1,p=1",
        ),
    ],
)
def test_usual_hashes_are_taken(stored: str, label: str) -> None:
    assert accept(stored) == label


@pytest.mark.parametrize(
    "stored",
    [
        f"$2b$31${TAIL}",
        f"$2b$15${TAIL}",
        f"$2b$03${TAIL}",
        f"$2x$10${TAIL}",
        f"$2b$10${TAIL}x",
        f"$2b$10${TAIL[:-1]}",
        f"$2b$10${TAIL}\n",
        PREHASHED + DJANGO_PREHASHED + "$2b$31$" + TAIL,
        argon2(131073, 1, 1),
        argon2(9_999_999, 1, 1),
        argon2(131072, 5, 1),
        argon2(1024, 11, 1),
        argon2(1024, 1, 17),
        argon2(16, 1, 16),
        argon2(64, 0, 1),
        argon2(64, 1, 1).replace("m=64", "m=064"),
        argon2(64, 1, 1).replace("v=19", "v=16"),
        argon2(64, 1, 1, salt="c2hvcnQ"),
        argon2(64, 1, 1, key="AAAA"),
        argon2(64, 1, 1, key="A" * 90),
        argon2(64, 1, 1, salt="not*base64*at*all"),
        # Each of these a library refuses at once, so that a login would tell the account by its time.
        argon2(64, 1, 1, salt=SALT[:-1] + "B"),
        argon2(64, 1, 1, key=KEY[:-1] + "B"),
        argon2(64, 1, 1, key=KEY + "="),
        f"$2b$10${TAIL[:21]}z{TAIL[22:]}",
        f"$2b$10${'z' * 53}",
        f"{DJANGO_PREHASHED}$2b$10${'z' * 53}",
        "$pbkdf2-sha256$i=3000001,l=32$c2FsdA$" + "A" * 43,
        "$scrypt$ln=20,r=8,p=1,l=64$c2FsdA$" + "A" * 86,
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "",
        "$",
        "x" * 300,
    ],
)
def test_what_is_dear_odd_or_unknown_is_refused(stored: str) -> None:
    with pytest.raises(NotUsable):
        accept(stored)


def test_the_dearest_that_are_taken_can_be_checked() -> None:
    """What is accepted is what Passwords verifies: not a hash that no password would ever open."""
    passwords = Passwords("bcrypt", 4, b"k" * 32)
    made = PasswordHasher(time_cost=4, memory_cost=131072, parallelism=4).hash(PASSWORD)
    label = accept(made)
    assert passwords.check(PASSWORD.decode(), made, [label], may_upgrade=False).right


def test_the_number_of_kinds_is_bounded_but_for_bcrypt() -> None:
    kinds = [f"argon2id/m={64 + number},t=1,p=1" for number in range(MOST_KINDS)]
    assert all(has_room(kinds[:number], kind) for number, kind in enumerate(kinds))
    assert not has_room(kinds, "scrypt/ln=14,r=8,p=1,l=64")
    assert has_room(kinds, kinds[0])
    assert has_room([*kinds, "bcrypt/12"], "bcrypt/10")
    assert has_room(["bcrypt/04", "bcrypt/05", "bcrypt/06", "bcrypt/07"], kinds[0])
    assert not carried.is_kind_of_its_own("bcrypt/12")


def test_iterations_of_pbkdf2_are_one_kind() -> None:
    others = [f"argon2id/m={64 + number},t=1,p=1" for number in range(MOST_KINDS - 1)]
    django = [f"pbkdf2-sha256/i={rounds}000,l=32" for rounds in (120, 150, 180, 216, 260, 320)]
    assert has_room([*others, *django], "pbkdf2-sha256/i=390000,l=32")
    assert not has_room([*others, *django], "pbkdf2-sha512/i=390000,l=32")
    assert not has_room([*others, *django], "pbkdf2-sha256/i=390000,l=64")


def test_what_this_machine_cannot_do_is_found_before_every_login_has_to(monkeypatch: pytest.MonkeyPatch) -> None:
    label = "scrypt/ln=4,r=8,p=1,l=64"
    utils.try_out(label)

    def refuse(*_: object, **__: object) -> bytes:
        raise ValueError("memory limit exceeded")

    monkeypatch.setattr(hashlib, "scrypt", refuse)
    with pytest.raises(NotUsable):
        utils.try_out(label)


def test_a_servers_own_cost_of_bcrypt_is_not_too_dear_for_it() -> None:
    with pytest.raises(NotUsable):
        accept(f"$2b$16${TAIL}", 15)
    assert accept(f"$2b$16${TAIL}", 16) == "bcrypt/16"
