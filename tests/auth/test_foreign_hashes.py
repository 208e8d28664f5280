"""Hashes that other systems made: verified by published vectors, bounded, at one cost with our own, and replaced at login."""

import hashlib
import unicodedata
from base64 import b64decode
from collections import Counter

import bcrypt
import pytest
from argon2 import PasswordHasher, Type
from hypothesis import given
from hypothesis import strategies as st

from app.auth import foreign
from app.auth.foreign import NotUsable
from app.auth.utils import DJANGO_PREHASHED, Passwords, Verdict, label_of, stored_prefixes

PASSWORD = "Plain-harbour-71-kettle!"
SALT = b"sixteen bytes ok"
TODAYS = Passwords("bcrypt", 4, b"k" * 32)
SIGNER = b64decode("jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==")
FIREBASE = b64decode("lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==")


def made() -> dict[str, str]:
    """One hash of PASSWORD by each scheme."""
    raw = PASSWORD.encode()
    hashes = {
        f"pbkdf2-{digest}": foreign.pbkdf2(digest, 1000, SALT, hashlib.pbkdf2_hmac(digest, raw, SALT, 1000)).stored()
        for digest in ("sha1", "sha256", "sha512")
    }
    hashes["scrypt"] = foreign.scrypt(10, 8, 2, SALT, hashlib.scrypt(raw, salt=SALT, n=1024, r=8, p=2)).stored()
    derived = foreign.Cost("firebase-scrypt", "ln=10,r=8").spend(raw, SALT + b"\x07")
    sealed = bytes(left ^ right for left, right in zip(derived, SIGNER, strict=True))
    hashes["firebase"] = foreign.firebase_scrypt(10, 8, SALT, b"\x07", sealed, SIGNER).stored()
    hashes["django bcrypt"] = (
        DJANGO_PREHASHED + bcrypt.hashpw(hashlib.sha256(raw).hexdigest().encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode()
    )
    for kind in (Type.ID, Type.I, Type.D):
        hashes[f"argon2 {kind.name}"] = PasswordHasher(time_cost=3, memory_cost=1024, parallelism=2, type=kind).hash(raw)
    hashes["bcrypt 2a"] = bcrypt.hashpw(raw, bcrypt.gensalt(5, b"2a")).decode()
    return hashes


MADE = made()


@pytest.mark.parametrize(
    ("found", "password"),
    [
        # RFC 6070, with and without a key of two blocks; RFC 7914 sections 11 and 12; the README of firebase/scrypt.
        (foreign.pbkdf2("sha1", 4096, b"salt", bytes.fromhex("4b007901b765489abead49d926f721d065a429c1")), b"password"),
        (
            foreign.pbkdf2(
                "sha1",
                4096,
                b"saltSALTsaltSALTsaltSALTsaltSALTsalt",
                bytes.fromhex("3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"),
            ),
            b"passwordPASSWORDpassword",
        ),
        (
            foreign.pbkdf2(
                "sha256",
                80000,
                b"NaCl",
                bytes.fromhex(
                    "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
                    "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"
                ),
            ),
            b"Password",
        ),
        (
            foreign.scrypt(
                14,
                8,
                1,
                b"SodiumChloride",
                bytes.fromhex(
                    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                    "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
                ),
            ),
            b"pleaseletmein",
        ),
        (foreign.firebase_scrypt(14, 8, b64decode("42xEC+ixf3L2lw=="), b"\x07", FIREBASE, SIGNER), b"user1password"),
    ],
    ids=["pbkdf2-sha1", "pbkdf2-sha1 of two blocks", "pbkdf2-sha256", "scrypt", "firebase"],
)
def test_published_vectors(found: foreign.Foreign, password: bytes) -> None:
    assert found.verify(password)
    for other in (password + b"x", b"", password.swapcase(), password[:-1]):
        assert not found.verify(other)
    again = foreign.read(found.stored())
    assert again == found


@pytest.mark.parametrize("name", MADE)
def test_a_hash_of_each_scheme_is_right_for_its_password_and_replaced(name: str) -> None:
    stored = MADE[name]
    assert len(stored) <= 255
    labels = [label_of(stored)]
    verdict = TODAYS.check(PASSWORD, stored, labels, may_upgrade=True)
    assert verdict.right
    assert verdict.upgraded is not None
    assert TODAYS.check(PASSWORD, verdict.upgraded, labels, may_upgrade=True) == Verdict(True)
    assert TODAYS.check(PASSWORD, stored, labels, may_upgrade=False) == Verdict(True)
    for wrong in (PASSWORD + "!", PASSWORD.lower(), "", PASSWORD * 5):
        assert TODAYS.check(wrong, stored, labels, may_upgrade=True) == Verdict(False), wrong


def test_each_scheme_is_found_by_its_label_and_no_other() -> None:
    for stored in MADE.values():
        found = [each for each in MADE.values() if each.startswith(stored_prefixes(label_of(stored)))]
        assert found == [each for each in MADE.values() if label_of(each) == label_of(stored)]
    assert len({label_of(stored) for stored in MADE.values()}) == len(MADE)


def test_a_check_costs_the_same_for_each_stored_hash_and_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted where it is done."""
    done: Counter[str] = Counter()

    def counting(module: object, name: str, key: object) -> None:
        plain = getattr(module, name)

        def counted(*args: object, **more: object) -> object:
            done[key(*args, **more)] += 1  # type: ignore[operator]  # each function has its own arguments
            return plain(*args, **more)

        monkeypatch.setattr(module, name, counted)

    counting(hashlib, "pbkdf2_hmac", lambda digest, _password, _salt, rounds, length: f"{digest} {rounds} {length}")
    counting(
        hashlib, "scrypt", lambda _password, *, salt, n, r, p, maxmem, dklen: f"scrypt {n} {r} {p} {dklen} {bool(salt)} {maxmem}"
    )
    labels = {label_of(stored) for stored in MADE.values()}
    spent: list[Counter[str]] = []
    for stored in [*MADE.values(), None]:
        for password in (PASSWORD, "wrong"):
            done.clear()
            TODAYS.check(password, stored, labels, may_upgrade=False)
            spent.append(done.copy())
    assert all(each == spent[0] for each in spent)
    assert sum(spent[0].values()) == 5  # three of PBKDF2, two of scrypt


def test_iterations_of_pbkdf2_share_their_dummy_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was upgraded over years has many: the dearest is what each check takes, and not their sum."""
    plain, spent = hashlib.pbkdf2_hmac, Counter[str]()

    def counted(digest: str, password: bytes, salt: bytes, iterations: int, length: int | None = None) -> bytes:
        spent[digest] += iterations
        return plain(digest, password, salt, iterations, length)

    raw = PASSWORD.encode()
    hashes = {
        rounds: foreign.pbkdf2("sha256", rounds, SALT, plain("sha256", raw, SALT, rounds)).stored()
        for rounds in (1000, 1200, 4000, 5000)
    }
    other = foreign.pbkdf2("sha512", 700, SALT, plain("sha512", raw, SALT, 700)).stored()
    labels = {label_of(stored) for stored in (*hashes.values(), other)}
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    for stored in (*hashes.values(), other, None):
        for password in (PASSWORD, "wrong"):
            spent.clear()
            right = TODAYS.check(password, stored, labels, may_upgrade=False).right
            assert right == (stored is not None and password == PASSWORD)
            assert spent == {"sha256": 5000, "sha512": 700}


@pytest.mark.parametrize("parameters", ["ln=15,r=1,p=1,l=64", "ln=14,r=64,p=1,l=64", "ln=1,r=64,p=16,l=64", "ln=1,r=1,p=1,l=16"])
def test_the_bounds_of_scrypt_are_within_what_libraries_do(parameters: str) -> None:
    cost = foreign.read_label(f"scrypt/{parameters}")
    assert cost is not None
    cost.burn()


def test_what_was_typed_counts_whatever_its_form_of_unicode() -> None:
    """Other systems hashed the text as it came; ours is of the normal form, whichever was typed."""
    decomposed = unicodedata.normalize("NFD", "pässwörd 42!")
    raw = decomposed.encode()
    for stored in (
        foreign.pbkdf2("sha256", 1000, SALT, hashlib.pbkdf2_hmac("sha256", raw, SALT, 1000)).stored(),
        DJANGO_PREHASHED + bcrypt.hashpw(hashlib.sha256(raw).hexdigest().encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode(),
    ):
        verdict = TODAYS.check(decomposed, stored, [label_of(stored)], may_upgrade=True)
        assert verdict.right
        for typed in (decomposed, unicodedata.normalize("NFC", decomposed)):
            assert TODAYS.check(typed, verdict.upgraded, [], may_upgrade=False).right


@pytest.mark.parametrize(
    ("scheme", "parameters"),
    [
        ("pbkdf2-sha256", "i=3000001,l=32"),
        ("pbkdf2-sha1", "i=1500001,l=40"),
        ("pbkdf2-sha256", "i=0,l=32"),
        ("pbkdf2-sha256", "i=1000"),
        ("pbkdf2-sha256", "l=32,i=1000"),
        ("pbkdf2-sha256", "i=1000,l=32,l=32"),
        ("pbkdf2-sha256", "i=01000,l=32"),
        ("pbkdf2-md5", "i=1000,l=16"),
        ("scrypt", "ln=18,r=8,p=1,l=64"),
        ("scrypt", "ln=14,r=1000,p=1,l=64"),
        ("scrypt", "ln=14,r=8,p=17,l=64"),
        ("scrypt", "ln=17,r=8,p=3,l=64"),
        ("scrypt", "ln=99,r=8,p=1,l=64"),
        (
            "scrypt",
            "ln=17,r=1,p=1,l=64",
        ),  # RFC 7914 section 2: N < 2^(16 r)
        ("scrypt", "ln=1,r=65,p=1,l=64"),
        ("firebase-scrypt", "ln=16,r=1"),
        ("firebase-scrypt", "ln=18,r=8"),
        ("firebase-scrypt", "ln=14,r=8,p=1"),
        ("firebase-scrypt", ""),
    ],
)
def test_what_costs_too_much_or_is_malformed_is_no_hash(scheme: str, parameters: str) -> None:
    assert foreign.read_label(f"{scheme}/{parameters}") is None
    stored = f"${scheme}${parameters}$c2FsdA${'A' * 43}"
    assert foreign.read(stored) is None
    assert TODAYS.check(PASSWORD, stored, [], may_upgrade=True) == Verdict(False)


@pytest.mark.parametrize(
    ("salt", "key"),
    [(b"x" * 129, b"k" * 32), (b"salt", b"k" * 15), (b"salt", b"k" * 129), (b"salt", b"")],
    ids=["salt too long", "key too short", "key too long", "no key"],
)
def test_odd_lengths_are_refused_where_a_hash_is_made(salt: bytes, key: bytes) -> None:
    with pytest.raises(NotUsable):
        foreign.pbkdf2("sha256", 1000, salt, key)


def test_firebase_hashes_need_the_whole_key() -> None:
    with pytest.raises(NotUsable):
        foreign.firebase_scrypt(14, 8, SALT, b"\x07", FIREBASE[:-1], SIGNER)
    with pytest.raises(NotUsable):
        foreign.firebase_scrypt(14, 8, SALT, b"\x07", FIREBASE, SIGNER[:-1])


LETTERS = st.text("abcXYZ019+/=,-$", max_size=90)
SCHEMES = st.sampled_from([*foreign.NAMES, "md5", ""])
PARAMETERS = st.from_regex(r"\A(?:[a-z]{1,2}=[0-9]{1,3},?){0,4}\Z") | LETTERS


@given(st.text(max_size=120) | st.builds("${}${}${}${}".format, SCHEMES, PARAMETERS, LETTERS, LETTERS))
def test_any_text_is_read_or_is_none(stored: str) -> None:
    found = foreign.read(stored)
    assert found is None or found.stored() == stored
