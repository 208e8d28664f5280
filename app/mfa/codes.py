"""Recovery codes: ten of 24 letters of Crockford's base 32, 120 random bits each, in groups of six."""

import uuid

from app.core.crypto import keyed_digest, random_letters

COUNT, LETTERS, GROUP, FEW = 10, 24, 6, 2
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None, "\u2010": None, "\u2011": None, "\u2013": None})


def new_codes() -> list[str]:
    """As people see them: ABCDEF-GHJKMN-PQRSTV-WXYZ01."""
    drawn = (random_letters(ALPHABET, LETTERS) for _ in range(COUNT))
    return ["-".join(code[at : at + GROUP] for at in range(0, LETTERS, GROUP)) for code in drawn]


def digest_of(key: bytes, user_id: uuid.UUID, typed: str) -> bytes:
    """What stands for a code in the table, however it was typed."""
    return keyed_digest(key, "v1", user_id.bytes, typed.upper().translate(READ_AS))
