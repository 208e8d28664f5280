"""Hashes as other systems write them: their own examples open with their own passwords."""

import json
from base64 import b64decode, b64encode
from hashlib import pbkdf2_hmac, scrypt

import bcrypt
import pytest

from app.auth.utils import Passwords, label_of
from app.transfer.errors import BadFile, Unusable
from app.transfer.hashes import read_any, read_django, read_hash_config, read_keycloak, read_stored, read_supabase

PASSWORDS = Passwords("bcrypt", 4, b"k" * 32)
SIGNER = "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
CONSOLE = f"""hash_config {{
  algorithm: SCRYPT,
  base64_signer_key: {SIGNER},
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}}"""
BCRYPT = bcrypt.hashpw(b"secret", b"$2b$04$abcdefghijklmnopqrstuu").decode()


def opens(stored: str | None, password: str) -> bool:
    assert stored is not None
    assert len(stored) <= 255
    right = PASSWORDS.check(password, stored, [label_of(stored)], may_upgrade=False).right
    return right and not PASSWORDS.check(password + "z", stored, [label_of(stored)], may_upgrade=False).right


@pytest.mark.parametrize(
    ("encoded", "password"),
    [
        # Of Django's own tests (tests/auth_tests/test_hashers.py).
        ("pbkdf2_sha256$1000000$seasalt$r1uLUxoxpP2Ued/qxvmje7UH9PUJBkRrvf9gGPL7Cps=", "lètmein"),
        (
            "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==",
            "lètmein",
        ),
        ("argon2$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q", "secret"),
        # Of a public example of Django's bcrypt over SHA-256.
        ("bcrypt_sha256$$2b$12$VADBCPlCt0wMa2zjUgaXl.jnrvoNt/kgjtRY7i./fo0V2IEp1l6f2", "password"),
        (f"bcrypt${BCRYPT}", "secret"),
        ("pbkdf2_sha1$1000$salt$" + b64encode(pbkdf2_hmac("sha1", b"secret", b"salt", 1000)).decode(), "secret"),
    ],
    ids=["pbkdf2_sha256", "scrypt", "argon2", "bcrypt_sha256", "bcrypt", "pbkdf2_sha1"],
)
def test_djangos_hashes(encoded: str, password: str) -> None:
    assert opens(read_django(encoded), password)


@pytest.mark.parametrize("encoded", ["", "!", "!Vq8Z7w0kTqOeYpYQ5Hq1vXc3XjYw2rZ5mT1kLx9b"])
def test_djangos_unusable_passwords_are_none(encoded: str) -> None:
    assert read_django(encoded) is None


@pytest.mark.parametrize(
    "encoded",
    [
        "md5$seasalt$3f86d0d3d465b7b458c231bf3555c0e3",
        "pbkdf2_sha256$99999999$seasalt$r1uLUxoxpP2Ued/qxvmje7UH9PUJBkRrvf9gGPL7Cps=",
        "pbkdf2_sha256$-1$seasalt$r1uLUxoxpP2Ued/qxvmje7UH9PUJBkRrvf9gGPL7Cps=",
        "pbkdf2_sha256$1000$seasalt",
        "pbkdf2_sha256$1000$seasalt$%%%",
        "scrypt$16383$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NY",
        "scrypt$1048576$seasalt$8$1$" + "A" * 86,
        "bcrypt$$2b$31$" + BCRYPT[7:],
        "bcrypt_sha256$nothing",
        "argon2$argon2id$v=19$m=2097152,t=1,p=4$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q",
        "$$$$$$",
        "pbkdf2_sha256$" + "9" * 5000 + "$a$b",
        "pbkdf2_sha256$1000$\ud800$r1uLUxoxpP2Ued/qxvmje7UH9PUJBkRrvf9gGPL7Cps=",
    ],
)
def test_other_texts_are_no_hash_of_djangos(encoded: str) -> None:
    with pytest.raises(Unusable) as refused:
        read_django(encoded)
    assert encoded not in refused.value.why


@pytest.mark.parametrize(
    ("secret", "data", "password"),
    [
        # From a published realm of Keycloak 26, with its default.
        (
            '{"value":"BuViHNDGmCq80fvpty/QoggTI8NSt0CuNDGgeoa5f5A=","salt":"RJ0aLMQ2qKbZuROs7qQhcA==","additionalParameters":{}}',
            '{"hashIterations":5,"algorithm":"argon2","additionalParameters":'
            '{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}',
            "iceberg",
        ),
        # From published realms of older ones; the second with a key of two blocks.
        (
            '{"value":"JsfNbCOIdZUbyBJ+BT+VoGI91Ec2rWLOvkLPDaX8e9k=","salt":"P5rtFkGtPfoaryJ6PizUJw==","additionalParameters":{}}',
            '{"hashIterations":27500,"algorithm":"pbkdf2-sha256","additionalParameters":{}}',
            "password",
        ),
        (
            '{"value":"G4pkQxlaYGLOqaO4wDUgItslxTtvcg3lv+JihbYD2ccym7aDixYmCUf5L318TjrfMFZIxqwzrVjGTXUF5GGttA==",'
            '"salt":"VaXa3H3OJXXujl+cRg66HA==","additionalParameters":{}}',
            '{"hashIterations":27500,"algorithm":"pbkdf2-sha256","additionalParameters":{}}',
            "test",
        ),
    ],
    ids=["argon2", "pbkdf2-sha256", "pbkdf2-sha256 of 64 bytes"],
)
def test_keycloaks_hashes(secret: str, data: str, password: str) -> None:
    assert opens(read_keycloak(json.loads(secret), json.loads(data)), password)


@pytest.mark.parametrize(("kind", "digest"), [("pbkdf2", "sha1"), ("pbkdf2-sha256", "sha256"), ("pbkdf2-sha512", "sha512")])
def test_each_pbkdf2_of_keycloaks(kind: str, digest: str) -> None:
    key = pbkdf2_hmac(digest, b"secret", b"sixteen bytes ok", 1000, 64)
    secret = {"value": b64encode(key).decode(), "salt": b64encode(b"sixteen bytes ok").decode()}
    stored = read_keycloak(secret, {"hashIterations": 1000, "algorithm": kind})
    assert opens(stored, "secret")


@pytest.mark.parametrize(
    ("secret", "data"),
    [
        ({}, {}),
        ({"value": "AAAA", "salt": "AAAA"}, {"hashIterations": 1000, "algorithm": "pbkdf2-sha512"}),
        ({"value": "A" * 44, "salt": "AAAA"}, {"hashIterations": 1_000_000_000, "algorithm": "pbkdf2-sha512"}),
        ({"value": "A" * 44, "salt": "AAAA"}, {"hashIterations": 1000, "algorithm": "md5"}),
        ({"value": "A" * 44, "salt": "AAAA"}, {"hashIterations": 1000, "algorithm": ["pbkdf2"]}),
        ({"value": "A" * 44, "salt": 7}, {"hashIterations": 1000, "algorithm": "pbkdf2"}),
        ({"value": "A" * 44, "salt": "A" * 24}, {"hashIterations": 5, "algorithm": "argon2"}),
        (
            {"value": "A" * 44, "salt": "A" * 24},
            {"hashIterations": 5, "algorithm": "argon2", "additionalParameters": {"memory": 1}},
        ),
    ],
)
def test_other_values_are_no_hash_of_keycloaks(secret: dict[str, object], data: dict[str, object]) -> None:
    with pytest.raises(Unusable):
        read_keycloak(secret, data)


def test_firebases_published_example() -> None:
    """The README of firebase/scrypt."""
    hashes = read_hash_config(CONSOLE)
    sealed = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
    assert opens(hashes.read("42xEC+ixf3L2lw==", sealed), "user1password")
    web_safe = sealed.replace("+", "-").replace("/", "_").rstrip("=")
    assert hashes.read("42xEC-ixf3L2lw", web_safe) == hashes.read("42xEC+ixf3L2lw==", sealed)
    assert b64encode(b64decode(SIGNER)[:8]).decode()[:8] not in str(hashes.read("42xEC+ixf3L2lw==", sealed))
    for bad in ("", "AAAA", "****"):
        with pytest.raises(Unusable):
            hashes.read("42xEC+ixf3L2lw==", bad)


@pytest.mark.parametrize(
    "text", ["", CONSOLE.replace("SCRYPT", "STANDARD_SCRYPT"), CONSOLE.replace("mem_cost: 14", ""), CONSOLE.replace("14", "x")]
)
def test_parameters_that_are_not_whole_are_refused(text: str) -> None:
    with pytest.raises(BadFile):
        read_hash_config(text)


def test_our_own_form_takes_the_usual_spellings() -> None:
    """Django's, PHC strings without the length of the hash, passlib's."""
    key = pbkdf2_hmac("sha256", b"secret", b"sixteen bytes ok", 1000)
    salt64, key64 = (b64encode(raw).decode().rstrip("=") for raw in (b"sixteen bytes ok", key))
    derived = b64encode(scrypt(b"secret", salt=b"sixteen bytes ok", n=1024, r=8, p=1, dklen=64)).decode().rstrip("=")
    spellings = [
        f"pbkdf2_sha256$1000$sixteen bytes ok${b64encode(key).decode()}",
        f"$pbkdf2-sha256$i=1000${salt64}${key64}",
        f"$pbkdf2-sha256$1000${salt64.replace('+', '.')}${key64.replace('+', '.')}",
        f"$scrypt$ln=10,r=8,p=1${salt64}${derived}",
        BCRYPT,
    ]
    for text in spellings:
        assert opens(read_any(text), "secret"), text
    assert read_any("!unusable") is None
    for bad in ("$pbkdf2-sha256$i=1000$AAAA$AAAAA", "$pbkdf2-sha256$9999999999$AAAA$" + "A" * 43, "md5$x$y", "secret"):
        with pytest.raises(Unusable):
            read_any(bad)


def test_hashes_that_supabase_took_over_from_firebase() -> None:
    sealed = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
    stored = f"$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={SIGNER}$42xEC+ixf3L2lw==${sealed}"
    assert opens(read_supabase(stored), "user1password")
    assert read_supabase(BCRYPT) == BCRYPT
    for bad in (stored.replace("p=1", "p=2"), stored.replace("n=14", "n=99"), stored.replace(SIGNER, "AAAA"), stored[:-8]):
        with pytest.raises(Unusable):
            read_supabase(bad)


def test_bcrypt_of_auth0_and_supabase_stays_as_it_is() -> None:
    for stored in (BCRYPT, BCRYPT.replace("$2b$", "$2a$"), BCRYPT.replace("$2b$", "$2y$")):
        assert read_stored(stored) == stored
        assert opens(stored, "secret")
