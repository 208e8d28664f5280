"""The two ceremonies of WebAuthn Level 3 (section 7), without database: what is asked of an authenticator, what it must answer.

py_webauthn parses and verifies. Around it stands what it leaves open: encodings are read strictly, frames of other pages are
refused, attestation is nobody's word but the key's own. It is loaded by the first passkey, so call `verify_…` in a thread.
"""

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.core.crypto import b64decode, b64encode
from app.passkeys.credentials import AssertedCredential, CreatedCredential
from app.passkeys.deps import PasskeyKit
from app.passkeys.models import CHALLENGE_LIFE, MOST_ID_BYTES, MOST_KEY_BYTES
from app.passkeys.plain_cbor import check_authenticator_data, check_plain

CREATE, GET = "webauthn.create", "webauthn.get"
EDDSA, ES256, RS256 = -8, -7, -257
RSA_BITS = range(2048, 4097)
TRANSPORTS = frozenset({"ble", "hybrid", "internal", "nfc", "smart-card", "usb"})


class Untrue(Exception):
    """An answer that must not be believed; the message says why, for tests and people who debug."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What an authenticator made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: uuid.UUID
    backup_eligible: bool
    backed_up: bool
    user_verified: bool


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator signed."""

    sign_count: int
    backup_eligible: bool
    backed_up: bool
    user_verified: bool


def creation_options(
    kit: PasskeyKit, challenge: bytes, user_handle: bytes, username: str, display_name: str, known: Iterable[tuple[bytes, str]]
) -> dict[str, Any]:
    """PublicKeyCredentialCreationOptionsJSON; `known` are ids and transports of those the account has."""
    return {
        "rp": {"id": kit.rp_id, "name": kit.rp_name},
        "user": {"id": b64encode(user_handle), "name": username, "displayName": display_name},
        "challenge": b64encode(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": alg} for alg in (EDDSA, ES256, RS256)],
        "timeout": int(CHALLENGE_LIFE.total_seconds() * 1000),
        "excludeCredentials": [_descriptor(*each) for each in known],
        "authenticatorSelection": {"residentKey": "preferred", "requireResidentKey": False, "userVerification": "preferred"},
        "attestation": "none",
        "extensions": {"credProps": True},
    }


def request_options(kit: PasskeyKit, challenge: bytes, allowed: Iterable[tuple[bytes, str]], *, verified: bool) -> dict[str, Any]:
    """PublicKeyCredentialRequestOptionsJSON; `verified`: the passkey is the whole proof, so it must know its user."""
    return {
        "rpId": kit.rp_id,
        "challenge": b64encode(challenge),
        "timeout": int(CHALLENGE_LIFE.total_seconds() * 1000),
        "allowCredentials": [_descriptor(*each) for each in allowed],
        "userVerification": "required" if verified else "preferred",
    }


def _descriptor(credential_id: bytes, transports: str) -> dict[str, Any]:
    hints = {"transports": transports.split()} if transports else {}
    return {"type": "public-key", "id": b64encode(credential_id), **hints}


def transports_of(credential: CreatedCredential) -> str:
    """What the browser says of how the authenticator is reached, as far as we know the words."""
    return " ".join(sorted(TRANSPORTS.intersection(credential.response.transports)))


def claimed_challenge(client_data: str) -> bytes | None:
    """The challenge that an answer says it is for; whether that is true is seen later."""
    try:
        claimed = json.loads(_raw(client_data).decode())["challenge"]
        return b64decode(claimed) if isinstance(claimed, str) and claimed.isascii() else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def verify_creation(kit: PasskeyKit, credential: CreatedCredential, challenge: bytes) -> NewKey:
    """The key that was made for this challenge (section 7.1).

    Raises:
        Untrue: it was not, or it is no key that we can use.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers import parse_cbor

    try:
        _check_client_data(credential.response.clientDataJSON, CREATE, challenge)
        made = _raw(credential.response.attestationObject)
        check_plain(made)
        attestation = parse_cbor(made)
        check_authenticator_data(attestation["authData"], attested=True)
        _check_statement(attestation)
        verified = verify_registration_response(
            credential=credential.model_dump(include={"id", "rawId", "type", "response"}),
            expected_challenge=challenge,
            expected_rp_id=kit.rp_id,
            expected_origin=list(kit.origins),
        )
        check_key(verified.credential_public_key)
    except Exception as error:  # whatever an odd answer makes the library stumble over
        raise Untrue(f"{type(error).__name__}: {error}") from error
    if verified.credential_id != _raw(credential.rawId) or len(verified.credential_id) > MOST_ID_BYTES:
        raise Untrue("another credential's id")
    return NewKey(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        aaguid=uuid.UUID(verified.aaguid),
        backup_eligible=verified.credential_device_type.value == "multi_device",
        backed_up=verified.credential_backed_up,
        user_verified=verified.user_verified,
    )


def verify_assertion(
    kit: PasskeyKit, credential: AssertedCredential, challenge: bytes, public_key: bytes, *, verified: bool
) -> Assertion:
    """What the holder of this key signed for this challenge (section 7.2). Whose key it is, and its counter, are not looked at.

    Raises:
        Untrue: it was not signed so, or `verified` was asked for and the user was not.
    """
    from webauthn import verify_authentication_response

    try:
        _check_client_data(credential.response.clientDataJSON, GET, challenge)
        check_authenticator_data(_raw(credential.response.authenticatorData), attested=False)
        found = verify_authentication_response(
            credential=credential.model_dump(),
            expected_challenge=challenge,
            expected_rp_id=kit.rp_id,
            expected_origin=list(kit.origins),
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=verified,
        )
    except Exception as error:  # whatever an odd answer makes the library stumble over
        raise Untrue(f"{type(error).__name__}: {error}") from error
    return Assertion(
        sign_count=found.new_sign_count,
        backup_eligible=found.credential_device_type.value == "multi_device",
        backed_up=found.credential_backed_up,
        user_verified=found.user_verified,
    )


def _raw(text: str) -> bytes:
    raw = b64decode(text)
    if raw is None:
        raise Untrue("no base64url")
    return raw


def _check_client_data(client_data: str, kind: str, challenge: bytes) -> None:
    said = json.loads(_raw(client_data).decode())
    if said["type"] != kind or said["challenge"] != b64encode(challenge):
        raise Untrue("another ceremony")
    # Our pages are in nobody's frame (frame-ancestors 'none'), so what was made in one was not made for us.
    if said.get("crossOrigin", False) is not False or "topOrigin" in said:
        raise Untrue("a frame")


def _check_statement(attestation: dict[str, Any]) -> None:
    """We ask for none. What browsers leave then is nothing, or a statement by the new key itself (section 6.5.4)."""
    kind, statement = attestation["fmt"], attestation["attStmt"]
    if (kind != "none" or statement != {}) and (kind != "packed" or set(statement) != {"alg", "sig"}):
        raise Untrue("an attestation that we did not ask for")


def check_key(raw: bytes) -> None:
    """A key that can be loaded, of the algorithm it names, and no dearer to verify by than usual ones.

    Raises:
        Exception: it is none; whatever the library stumbles over.
    """
    from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography

    key = decode_credential_public_key(raw)
    kinds = {EDDSA: ("DecodedOKPPublicKey", 6), ES256: ("DecodedEC2PublicKey", 1), RS256: ("DecodedRSAPublicKey", None)}
    if (type(key).__name__, getattr(key, "crv", None)) != kinds[key.alg] or len(raw) > MOST_KEY_BYTES:
        raise Untrue("a key of another kind")
    if key.alg == RS256 and (int.from_bytes(key.n).bit_length() not in RSA_BITS or len(key.e) > 4):  # type: ignore[union-attr]  # as above
        raise Untrue("an RSA key too short or too long")
    decoded_public_key_to_cryptography(key)
