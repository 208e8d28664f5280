"""The chain of security events: what is hashed and signed, as pure functions (docs/adr/0019).

A row's digest covers all it says, of what is personal only salted commitments: erasing a person destroys salts and fields, and
the digest stays. Each seal is over the one before, so a row that is changed, taken out, put in or moved breaks it. The marks
tell, of each row by itself, whether we wrote and sealed it: the database's owner can compute seals anew, not marks. Heads
are signed, for who has no secret of ours.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.core.crypto import (
    SigningKey,
    b64decode,
    b64encode,
    derive_key,
    digest,
    digest_parts,
    equal,
    keyed_digest,
    verify_signature,
)

SALT_BYTES = 16
MARK_BYTES = 16
KEY_ID_BYTES = 4
BEGINNING = digest("authkeep/audit/1")  # what the first seal is over
WRITTEN, TAKEN_IN = b"written", b"taken in"  # how a row came: by us, or from before there was a chain
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PERSONAL_COLUMNS = ("address", "user_agent")
COLUMNS = (
    "id",
    "at",
    "fact",
    "actor_id",
    "subject_id",
    "impersonator_id",
    "session_id",
    "request_id",
    "address",
    "user_agent",
    "data",
    "personal",
    "client_salt",
    "personal_salt",
    "client_digest",
    "personal_digest",
    "position",
    "seal",
    "mark",
)
Values = Mapping[str, Any]
PLAIN_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Broken(Exception):
    """A row can't be hashed: something in it is of no kind that we write."""


def _text(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _json(value: Any) -> bytes:
    return _text(PLAIN_JSON.encode(value))


def _uuid(value: uuid.UUID | None) -> bytes:
    return value.bytes if value else b""


def commit_client(salt: bytes, values: Values) -> bytes:
    """To where somebody came from."""
    return digest_parts(b"client", salt, _text(values["address"]), _text(values["user_agent"]))


def commit_personal(salt: bytes, values: Values) -> bytes:
    """To what of the data may name somebody."""
    return digest_parts(b"personal", salt, _json(values["personal"]))


def digest_of(values: Values) -> bytes:
    """Of all that a row says. Of what was erased the commitments count, which stay.

    Raises:
        Broken: a column holds what we never write.
    """
    try:
        # Erased is NULL alone: an empty salt with a digest beside it would let anything stand in the fields.
        by_client, by_personal = values["client_salt"], values["personal_salt"]
        client = commit_client(by_client, values) if by_client is not None else values["client_digest"]
        personal = commit_personal(by_personal, values) if by_personal is not None else values["personal_digest"]
        if values.get("client_digest") not in {None, client} or values.get("personal_digest") not in {None, personal}:
            raise Broken  # beside what it is a digest of there is none, or that one
        moment = (values["at"] - EPOCH) // (EPOCH.resolution)
        ids = (_uuid(values[name]) for name in ("actor_id", "subject_id", "impersonator_id", "session_id"))
        said = (_text(values["fact"]), *ids, _text(values["request_id"]), _json(values["data"]))
        return digest_parts(b"row", str(moment).encode(), *said, client or b"", personal or b"")
    except (AttributeError, TypeError, ValueError) as error:
        raise Broken from error


def seal_of(before: bytes, position: int, row_id: int, digest: bytes, how: bytes = WRITTEN) -> bytes:
    """Of a row at its place, over the seal before."""
    return digest_parts(b"seal", how, before, str(position).encode(), str(row_id).encode(), digest)


@dataclass(frozen=True, slots=True)
class Head:
    """That the chain was so long then, and what its last seal was; signed.

    `kind` is head; or cut: retention took away what was up to here; or restored: a backup that ends here was restored, and what
    older heads say of later places is void.
    """

    kind: str
    position: int
    seal: bytes
    at: datetime
    key: bytes  # the public key, 32 bytes
    signature: bytes = b""

    def signed_part(self) -> bytes:
        """What the signature is over."""
        place = str(self.position).encode()
        return digest_parts(b"authkeep/audit/head/1", _text(self.kind), place, self.seal, _text(self.at.isoformat()), self.key)

    def is_signed_by(self, keys: frozenset[bytes]) -> bool:
        """Whether one of these keys signed exactly this."""
        return self.key in keys and verify_signature(self.key, self.signature, self.signed_part())

    def line(self) -> str:
        """As sinks keep it: one JSON object."""
        told = {"kind": self.kind, "position": self.position, "seal": self.seal.hex(), "at": self.at.isoformat()}
        signed = {"authkeep_audit": 1, **told, "key": b64encode(self.key), "signature": b64encode(self.signature)}
        return json.dumps(signed, separators=(",", ":"))


def claims_to_be_head(line: str) -> bool:
    """Whether a line is written as a head is, whatever became of it since; one that was cut off is not."""
    try:
        told = json.loads(line)
    except ValueError:
        return False
    return isinstance(told, dict) and "authkeep_audit" in told


def read_head(line: str) -> Head | None:
    """A head from its line; None for a line that is none (a sink may hold others), also one that was cut off."""
    try:
        told = json.loads(line)
        if not isinstance(told, dict) or told.get("authkeep_audit") != 1 or type(told["position"]) is not int:
            return None
        key, signature = b64decode(told["key"]), b64decode(told["signature"])
        at = datetime.fromisoformat(told["at"])
        if key is None or signature is None or len(key) != 32 or at.tzinfo is None:
            return None
        return Head(str(told["kind"]), told["position"], bytes.fromhex(told["seal"]), at, key, signature)
    except (KeyError, TypeError, ValueError):
        return None


class AuditKeys:
    """What the audit log is marked and signed with; all of it comes of one secret."""

    def __init__(self, secret: str) -> None:
        self._mark_key = derive_key(secret, "audit-mark")
        self._signing = SigningKey(derive_key(secret, "audit-head"))
        self.public = self._signing.public
        self.id = keyed_digest(self._mark_key, "key-id")[:KEY_ID_BYTES]

    def mark_row(self, digest: bytes) -> bytes:
        """That we wrote a row which says this."""
        return self.id + keyed_digest(self._mark_key, "row", digest)[:MARK_BYTES]

    def mark_seal(self, seal: bytes) -> bytes:
        """That we made this seal."""
        return self.id + keyed_digest(self._mark_key, "seal", seal)[:MARK_BYTES]

    def wrote(self, digest: bytes, mark: bytes | None) -> bool:
        """Whether a row that says this was written by us."""
        return isinstance(mark, bytes) and equal(mark, self.mark_row(digest))

    def sealed(self, seal: bytes, mark: bytes | None) -> bool | None:
        """Whether a seal was made by us; None where another key's mark is on it, which can't be told."""
        if not isinstance(mark, bytes) or len(mark) != KEY_ID_BYTES + MARK_BYTES:
            return False
        return equal(mark, self.mark_seal(seal)) if mark[:KEY_ID_BYTES] == self.id else None

    def sign(self, kind: str, position: int, seal: bytes, at: datetime) -> Head:
        """A head of our own."""
        bare = Head(kind, position, seal, at, self.public)
        return Head(kind, position, seal, at, self.public, self._signing.sign(bare.signed_part()))
