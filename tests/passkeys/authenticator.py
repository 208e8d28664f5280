"""A software authenticator with every part in reach: what it makes and signs can be bent before it is sent."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

Algorithm = Literal["ES256", "RS256", "EdDSA"]
UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
ORIGIN, RP_ID = "http://localhost:8000", "localhost"
NO_AAGUID = bytes(16)


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Key:
    """A key pair as authenticators know them."""

    def __init__(self, algorithm: Algorithm = "ES256", *, bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.private: Any = {
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "RS256": lambda: rsa.generate_private_key(65537, bits),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }[algorithm]()

    def cose(self) -> dict[int, Any]:
        """The public half (RFC 9052)."""
        public = self.private.public_key()
        if self.algorithm == "EdDSA":
            return {1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()}
        numbers = public.public_numbers()
        if self.algorithm == "RS256":
            return {1: 3, 3: -257, -1: numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8), -2: numbers.e.to_bytes(3)}
        return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}

    def sign(self, data: bytes) -> bytes:
        if self.algorithm == "EdDSA":
            return bytes(self.private.sign(data))
        if self.algorithm == "RS256":
            return bytes(self.private.sign(data, padding.PKCS1v15(), SHA256()))
        return bytes(self.private.sign(data, ec.ECDSA(SHA256())))


@dataclass
class Bends:
    """What is different from what an honest authenticator and browser would send. `client` changes the client data (None takes
    a member away), `credential` the JSON outside, the others the authenticator's bytes.
    """

    client: Mapping[str, Any] = field(default_factory=dict)
    credential: Mapping[str, Any] = field(default_factory=dict)
    response: Mapping[str, Any] = field(default_factory=dict)
    raw_client: Callable[[bytes], bytes] | None = None
    rp_id: str = RP_ID
    flags: int | None = None
    counter: int | None = None
    key: Mapping[int, Any] | None = None
    cose: bytes | None = None
    made_id: bytes | None = None
    aaguid: bytes = NO_AAGUID
    extensions: Any = None
    behind: bytes = b""  # behind the authenticator data
    behind_object: bytes = b""  # behind the attestation object
    attestation: Mapping[str, Any] = field(default_factory=dict)
    self_signed: bool = False
    signature: Callable[[bytes], bytes] | None = None
    signed_with: Key | None = None


@dataclass
class Passkey:
    """One credential in the authenticator's memory."""

    key: Key
    id: bytes
    user_handle: bytes
    counter: int = 0
    flags: int = UP | UV | BE | BS
    discoverable: bool = True


@dataclass
class Authenticator:
    """Makes credentials and signs with them. `flags` are those of its credentials; a `step` of 0 is one without a counter."""

    algorithm: Algorithm = "ES256"
    flags: int = UP | UV | BE | BS
    step: int = 0
    origin: str = ORIGIN
    id_bytes: int = 32
    held: list[Passkey] = field(default_factory=list)

    def create(self, options: Mapping[str, Any], bend: Bends | None = None) -> dict[str, Any]:
        """RegistrationResponseJSON for creation options."""
        bend = bend or Bends()
        made = Passkey(
            Key(self.algorithm), secrets.token_bytes(self.id_bytes), unb64(options["user"]["id"]), self.step, self.flags
        )
        self.held.append(made)
        client = self._client("webauthn.create", options["challenge"], bend)
        made_id = made.id if bend.made_id is None else bend.made_id
        cose = cbor2.dumps(dict(bend.key if bend.key is not None else made.key.cose())) if bend.cose is None else bend.cose
        attested = bend.aaguid + len(made_id).to_bytes(2) + made_id + cose
        data = _data(made, bend, AT) + attested + _extensions(bend) + bend.behind
        statement: dict[str, Any] = {"fmt": "none", "attStmt": {}, "authData": data}
        if bend.self_signed:
            signed = made.key.sign(data + hashlib.sha256(client).digest())
            statement |= {"fmt": "packed", "attStmt": {"alg": made.key.cose()[3], "sig": signed}}
        whole = cbor2.dumps(statement | dict(bend.attestation)) + bend.behind_object
        response = {"clientDataJSON": b64(client), "attestationObject": b64(whole), "transports": ["internal", "hybrid"]}
        return _credential(made.id, response | dict(bend.response), bend) | {
            "clientExtensionResults": {"credProps": {"rk": made.discoverable}}
        }

    def sign(self, options: Mapping[str, Any], bend: Bends | None = None, *, passkey: Passkey | None = None) -> dict[str, Any]:
        """AuthenticationResponseJSON for request options."""
        bend = bend or Bends()
        chosen = passkey or self.choose(options)
        chosen.counter += self.step
        client = self._client("webauthn.get", options["challenge"], bend)
        data = _data(chosen, bend, 0) + _extensions(bend) + bend.behind
        signature = (bend.signed_with or chosen.key).sign(data + hashlib.sha256(client).digest())
        if bend.signature:
            signature = bend.signature(signature)
        response = {"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature)}
        response["userHandle"] = b64(chosen.user_handle)
        return _credential(chosen.id, response | dict(bend.response), bend) | {"clientExtensionResults": {}}

    def choose(self, options: Mapping[str, Any]) -> Passkey:
        """The newest that may answer."""
        allowed = {unb64(each["id"]) for each in options["allowCredentials"]}
        return [each for each in self.held if (each.id in allowed if allowed else each.discoverable)][-1]

    def _client(self, kind: str, challenge: str, bend: Bends) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False} | dict(bend.client)
        raw = json.dumps({name: value for name, value in said.items() if value is not None}, separators=(",", ":")).encode()
        return bend.raw_client(raw) if bend.raw_client else raw


def bent(**changes: Any) -> Bends:
    return replace(Bends(), **changes)


def _data(passkey: Passkey, bend: Bends, more: int) -> bytes:
    flags = (passkey.flags | more | (ED if bend.extensions is not None else 0)) if bend.flags is None else bend.flags
    counter = passkey.counter if bend.counter is None else bend.counter
    return hashlib.sha256(bend.rp_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4)


def _extensions(bend: Bends) -> bytes:
    return b"" if bend.extensions is None else bytes(cbor2.dumps(bend.extensions))


def _credential(credential_id: bytes, response: dict[str, Any], bend: Bends) -> dict[str, Any]:
    whole = {"id": b64(credential_id), "rawId": b64(credential_id), "type": "public-key", "response": response}
    return whole | {"authenticatorAttachment": "platform"} | dict(bend.credential)
