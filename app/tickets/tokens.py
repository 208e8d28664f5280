"""The link's secret: base64url(id ‖ HMAC-SHA-256(K_purpose, "v1" ‖ purpose ‖ id ‖ subject ‖ address)).

And the short code beside it, cut from the same HMAC under another label, for people whose mail is on another device.
"""

import uuid

from app.core.crypto import b64decode, b64encode, equal, keyed_digest
from app.tickets.models import Ticket

ID_BYTES, MAC_BYTES = 16, 32
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0 or O, no 1, I or L
CODE_LENGTH, CODE_GROUP = 8, 4  # 31 to the 8th: 40 bits


def write_token(key: bytes, ticket: Ticket) -> str:
    """The token that is mailed; the same at each call."""
    return b64encode(ticket.id.bytes + _mac(key, ticket))


def read_id(token: str) -> uuid.UUID | None:
    """The row a token claims to be for; says nothing about whether it is true."""
    raw = b64decode(token)
    return uuid.UUID(bytes=raw[:ID_BYTES]) if raw is not None and len(raw) == ID_BYTES + MAC_BYTES else None


def matches(key: bytes, ticket: Ticket, token: str) -> bool:
    """Whether the token was made from this row with this key."""
    raw = b64decode(token) or b""
    return equal(raw[ID_BYTES:], _mac(key, ticket))


def write_code(key: bytes, ticket: Ticket) -> str:
    """The code that is mailed, as people see it: ABCD-EFGH."""
    code = _code(key, ticket)
    return f"{code[:CODE_GROUP]}-{code[CODE_GROUP:]}"


def read_code(typed: str) -> str:
    """A code as it was mailed, however it is typed: in any case, with spaces and hyphens anywhere."""
    return "".join(char for char in typed.upper() if char not in " -\u2010\u2011\u2013")


def matches_code(key: bytes, ticket: Ticket, code: str) -> bool:
    """Whether the code, as `read_code` gives it, was made from this row with this key."""
    return equal(code.encode("utf-8", "surrogatepass"), _code(key, ticket).encode())


def _code(key: bytes, ticket: Ticket) -> str:
    raw = keyed_digest(key, "v1", "code", ticket.purpose, ticket.id.bytes, ticket.subject_id.bytes, ticket.address)
    number, code = int.from_bytes(raw), ""  # 256 bits: what is left over after 31 to the 8th is no bias
    for _ in range(CODE_LENGTH):
        number, place = divmod(number, len(CODE_ALPHABET))
        code += CODE_ALPHABET[place]
    return code


def _mac(key: bytes, ticket: Ticket) -> bytes:
    return keyed_digest(key, "v1", ticket.purpose, ticket.id.bytes, ticket.subject_id.bytes, ticket.address)
