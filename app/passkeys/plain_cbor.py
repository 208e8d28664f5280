"""CBOR as authenticators write it (CTAP 2 canonical form): no tags, no open lengths, little depth, nothing behind the end.

The library's decoder follows shared references (tags 28 and 29), by which 200 bytes unfold into more than any memory holds; and
it does so before it looks at a signature. So whatever comes in is walked through here first.
"""

MOST_DEPTH = 4
ATTESTED, EXTENDED = 0x40, 0x80  # flags: a key follows, extensions follow (WebAuthn Level 3 section 6.1)
FIXED_BYTES, FLAGS_AT, AAGUID_BYTES = 37, 32, 16
SIMPLE = frozenset({0xF4, 0xF5, 0xF6})  # false, true, null


class NotPlain(ValueError):
    """Bytes that no authenticator writes."""


def check_plain(raw: bytes) -> None:
    """Refuse all but exactly one plain item.

    Raises:
        NotPlain: it is something else.
    """
    if _end_of(raw, 0, MOST_DEPTH) != len(raw):
        raise NotPlain


def check_authenticator_data(raw: bytes, *, attested: bool) -> None:
    """Refuse authenticator data (section 6.1) that is not whole and plain, or has a key where none belongs.

    Raises:
        NotPlain: it is something else.
    """
    if len(raw) < FIXED_BYTES or bool(raw[FLAGS_AT] & ATTESTED) != attested:
        raise NotPlain
    at = FIXED_BYTES
    if attested:
        at += AAGUID_BYTES
        size, at = int.from_bytes(raw[at : at + 2], "big"), at + 2
        at = _end_of(raw, at + size, MOST_DEPTH)
    if raw[FLAGS_AT] & EXTENDED:
        at = _end_of(raw, at, MOST_DEPTH)
    if at != len(raw):
        raise NotPlain


def _end_of(raw: bytes, at: int, depth: int) -> int:
    """Where the item that begins at `at` ends."""
    head = raw[at : at + 1]
    if not head or not depth:
        raise NotPlain
    major, info = head[0] >> 5, head[0] & 0x1F
    if major >= 6:
        if head[0] not in SIMPLE:
            raise NotPlain
        return at + 1
    value, at = _argument(raw, at + 1, info)
    if major <= 1:
        return at
    if major <= 3:
        if value > len(raw) - at:
            raise NotPlain
        return at + value
    for _ in range(value * (major - 3)):
        at = _end_of(raw, at, depth - 1)
    return at


def _argument(raw: bytes, at: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, at
    size = 1 << (info - 24)
    if size > 8 or size > len(raw) - at:
        raise NotPlain
    return int.from_bytes(raw[at : at + size], "big"), at + size
