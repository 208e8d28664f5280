"""The link's secret: base64url(id ‖ HMAC-SHA-256(K_purpose, "v1" ‖ purpose ‖ id ‖ user ‖ address))."""

import uuid

from app.core.crypto import b64decode, b64encode, equal, keyed_digest
from app.tickets.models import Ticket

ID_BYTES, MAC_BYTES = 16, 32


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


def _mac(key: bytes, ticket: Ticket) -> bytes:
    return keyed_digest(key, "v1", ticket.purpose, ticket.id.bytes, ticket.subject_id.bytes, ticket.address)
