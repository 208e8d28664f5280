"""Credential ids for accounts that have none (WebAuthn Level 3 section 14.6.2): always the same, and like real ones."""

from app.core.crypto import equal, keyed_digest

LENGTHS = (16, 16, 20, 32, 32, 32, 48, 64)  # of the ids that usual authenticators make
SECOND_BELOW = 64  # of 256: how often there are two
MARK_BYTES = 8


def fake_ids(key: bytes, typed: str) -> list[bytes]:
    """One or two ids that nobody can tell from an account's own, by the name that was typed for it."""
    choice = keyed_digest(key, "shape", typed)
    lengths = [LENGTHS[byte & 7] for byte in choice[1:3]]
    return [_fake(key, typed, place, length) for place, length in enumerate(lengths[: 2 if choice[0] < SECOND_BELOW else 1])]


def is_fake(key: bytes, credential_id: bytes) -> bool:
    """Whether an id is one of these: whoever adds it wants to learn whether it is somebody's, and is refused as if it were."""
    return equal(credential_id[-MARK_BYTES:], _mark(key, credential_id[:-MARK_BYTES]))


def _fake(key: bytes, typed: str, place: int, length: int) -> bytes:
    random = b"".join(keyed_digest(key, "id", typed, bytes([place, half])) for half in range(2))[: length - MARK_BYTES]
    return random + _mark(key, random)


def _mark(key: bytes, random: bytes) -> bytes:
    return keyed_digest(key, "mark", random)[:MARK_BYTES]
