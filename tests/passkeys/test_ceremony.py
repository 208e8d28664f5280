"""The two ceremonies without a server: what honest authenticators make is accepted, and nothing that was bent."""

import secrets
from collections.abc import Callable
from typing import Any, get_args

import cbor2
import pytest
from pydantic import ValidationError

from app.passkeys import ceremony
from app.passkeys.ceremony import NewKey, Untrue
from app.passkeys.credentials import AssertedCredential, CreatedCredential
from app.passkeys.deps import PasskeyKit
from tests.passkeys.authenticator import (
    AT,
    BE,
    BS,
    ED,
    ORIGIN,
    RP_ID,
    UP,
    UV,
    Algorithm,
    Authenticator,
    Bends,
    Key,
    b64,
    bent,
)

KIT = PasskeyKit(RP_ID, "Authkeep", (ORIGIN, "https://app.example.com"), bytes(32))
HANDLE = bytes(range(64))
Options = dict[str, Any]


def creating() -> tuple[bytes, Options]:
    challenge = secrets.token_bytes(32)
    return challenge, ceremony.creation_options(KIT, challenge, HANDLE, "ada", "Ada", [])


def created(authenticator: Authenticator, bend: Bends | None = None) -> NewKey:
    challenge, options = creating()
    made = CreatedCredential.model_validate(authenticator.create(options, bend))
    return ceremony.verify_creation(KIT, made, challenge)


def asserted(
    authenticator: Authenticator, key: NewKey, bend: Bends | None = None, *, verified: bool = True
) -> ceremony.Assertion:
    challenge = secrets.token_bytes(32)
    options = ceremony.request_options(KIT, challenge, [(key.credential_id, "")], verified=verified)
    signed = AssertedCredential.model_validate(authenticator.sign(options, bend))
    return ceremony.verify_assertion(KIT, signed, challenge, key.public_key, verified=verified)


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_each_algorithm_makes_and_signs(algorithm: Algorithm) -> None:
    authenticator = Authenticator(algorithm, step=1)
    key = created(authenticator)
    assert (key.sign_count, key.user_verified, key.backup_eligible, key.backed_up) == (1, True, True, True)
    assert key.credential_id == authenticator.held[0].id
    found = asserted(authenticator, key)
    assert (found.sign_count, found.user_verified) == (2, True)


@pytest.mark.parametrize(
    "bend",
    [
        bent(self_signed=True),
        bent(extensions={"credProtect": 2}),
        bent(client={"crossOrigin": None}),
        bent(client={"origin": "https://app.example.com"}),
        bent(client={"other_keys_can_be_added_here": "do not compare clientDataJSON against a template"}),
        bent(aaguid=bytes(range(16))),
    ],
    ids=["self attestation", "credProtect", "no crossOrigin", "second origin", "unknown member", "aaguid"],
)
def test_what_honest_authenticators_do_otherwise_is_accepted(bend: Bends) -> None:
    assert created(Authenticator(), bend).credential_id


def test_flags_are_told_apart() -> None:
    device_bound = created(Authenticator(flags=UP))
    assert (device_bound.backup_eligible, device_bound.backed_up, device_bound.user_verified) == (False, False, False)
    eligible = created(Authenticator(flags=UP | UV | BE))
    assert (eligible.backup_eligible, eligible.backed_up, eligible.user_verified) == (True, False, True)


def of_key(change: Callable[[dict[int, Any]], dict[int, Any]], algorithm: Algorithm = "ES256") -> Bends:
    return bent(key=change(Key(algorithm).cose()))


def unfolding(levels: int = 32) -> bytes:
    """CBOR of shared references, each of which stands twice for the next: whoever writes it out again never ends."""
    data = b"\xd8\x1c\x82\x01\x02"
    for level in range(levels - 1, -1, -1):
        data = b"\xd8\x1c\x82" + data + b"\xd8\x1d" + cbor2.dumps(level + 1)
    return data


CLIENT = {
    "type of the other ceremony": bent(client={"type": "webauthn.get"}),
    "no type": bent(client={"type": None}),
    "type of another type": bent(client={"type": ["webauthn.create"]}),
    "challenge of somebody else": bent(client={"challenge": b64(bytes(32))}),
    "no challenge": bent(client={"challenge": None}),
    "challenge as a number": bent(client={"challenge": 7}),
    "origin of somebody else": bent(client={"origin": "https://evil.example"}),
    "origin below ours": bent(client={"origin": "http://login.localhost:8000"}),
    "origin of another port": bent(client={"origin": "http://localhost:8001"}),
    "origin of another scheme": bent(client={"origin": "https://localhost:8000"}),
    "origin with a slash": bent(client={"origin": "http://localhost:8000/"}),
    "origin in capitals": bent(client={"origin": "http://LOCALHOST:8000"}),
    "origin null": bent(client={"origin": "null"}),
    "origin as a list": bent(client={"origin": [ORIGIN]}),
    "no origin": bent(client={"origin": None}),
    "crossOrigin": bent(client={"crossOrigin": True}),
    "crossOrigin as text": bent(client={"crossOrigin": "false"}),
    "crossOrigin as a number": bent(client={"crossOrigin": 0}),
    "topOrigin": bent(client={"topOrigin": ORIGIN}),
    "no JSON": bent(raw_client=lambda _: b"{"),
    "JSON of another kind": bent(raw_client=lambda _: b'["webauthn.create"]'),
    "JSON with something behind": bent(raw_client=lambda raw: raw + b"{}"),
    "JSON in another encoding": bent(raw_client=lambda raw: raw.decode().encode("utf-16")),
    "JSON with a mark in front": bent(raw_client=lambda raw: b"\xef\xbb\xbf" + raw),
    "JSON too deep": bent(raw_client=lambda _: b"[" * 20_000),
    "a number too long": bent(raw_client=lambda raw: raw[:-1] + b',"a":' + b"9" * 5000 + b"}"),
    "bytes": bent(raw_client=lambda _: b"\xff\xfe\x00"),
}
DATA = {
    "rpIdHash": bent(rp_id="example.com"),
    "UP clear": bent(flags=UV | BE | BS | AT),
    "BS without BE": bent(flags=UP | UV | BS | AT),
    "ED without extensions": bent(flags=UP | UV | AT | ED),
    "extensions without ED": bent(extensions={"a": 1}, flags=UP | UV | AT),
    "extensions of shared references": bent(flags=UP | UV | AT | ED, behind=unfolding()),
    "trailing byte": bent(behind=b"\x00"),
    "trailing CBOR": bent(behind=cbor2.dumps({"a": 1})),
}
CREATION = {
    "type of the credential": bent(credential={"type": "password"}),
    "id of another": bent(credential={"id": b64(bytes(32))}),
    "rawId of another": bent(credential={"rawId": b64(bytes(32))}),
    "both ids of another": bent(credential={"id": b64(bytes(32)), "rawId": b64(bytes(32))}),
    "id with padding": bent(credential={"id": "AAA="}),
    "id as a list": bent(credential={"id": ["AA"]}),
    "no id": bent(credential={"id": None}),
    "response as text": bent(credential={"response": "x"}),
    "id empty inside": bent(made_id=b""),
    "id of another inside": bent(made_id=b"x" * 32),
    "id too long": bent(made_id=b"x" * 1024),
    "id longer than the data": bent(flags=UP | UV | AT, made_id=b"", cose=b"", behind=b""),
    "AT clear": bent(flags=UP | UV),
    "statement of none with something in it": bent(attestation={"attStmt": {"sig": b"x"}}),
    "statement of none with something unknown in it": bent(attestation={"attStmt": {"extra": 1}}),
    "statement as a list": bent(attestation={"attStmt": []}),
    "statement as null": bent(attestation={"attStmt": None}),
    "statement packed without a signature": bent(attestation={"fmt": "packed"}),
    "statement packed, signed wrongly": bent(attestation={"fmt": "packed", "attStmt": {"alg": -7, "sig": b"x" * 70}}),
    "statement with certificates": bent(attestation={"fmt": "packed", "attStmt": {"alg": -7, "sig": b"x", "x5c": [b"x"]}}),
    "statement of a kind we did not ask for": bent(attestation={"fmt": "apple", "attStmt": {"x5c": [b"x"]}}),
    "statement of no kind": bent(attestation={"fmt": 7}),
    "statement of safetynet": bent(attestation={"fmt": "android-safetynet", "attStmt": {"ver": "1", "response": b"x"}}),
    "something behind the object": bent(behind_object=b"\x00"),
    "authData as text": bent(attestation={"authData": "x" * 200}),
    "authData too short": bent(attestation={"authData": b"x" * 36}),
    "authData empty": bent(attestation={"authData": b""}),
    "object no map": bent(response={"attestationObject": b64(cbor2.dumps([1]))}),
    "object no CBOR": bent(response={"attestationObject": b64(b"\xff\xff")}),
    "object too deep": bent(response={"attestationObject": b64(b"\x81" * 20_000)}),
    "object with a tag": bent(response={"attestationObject": b64(b"\xc1\x00")}),
    "object of open length": bent(response={"attestationObject": b64(b"\xbf\xff")}),
    "object of a length that is not there": bent(response={"attestationObject": b64(b"\x9b" + b"\xff" * 8)}),
    "object of bytes that are not there": bent(response={"attestationObject": b64(b"\x5b" + b"\x7f" * 8)}),
    "object cut off": bent(response={"attestationObject": b64(b"\x19\x01")}),
    "object of shared references": bent(response={"attestationObject": b64(unfolding())}),
    "object twice the same member": bent(response={"attestationObject": b64(b"\xa2\x63fmt\x64none\x63fmt\x64none")}),
    "object not base64url": bent(response={"attestationObject": "+/+/"}),
    "object missing": bent(response={"attestationObject": None}),
    "key of shared references": bent(cose=unfolding()),
    "key no map": bent(cose=cbor2.dumps(4)),
    "key of an algorithm not offered": of_key(lambda key: key | {3: -36}),
    "key of another kind than its algorithm": of_key(lambda key: key | {3: -257}),
    "key of another curve": of_key(lambda key: key | {-1: 2}),
    "key not on its curve": of_key(lambda key: key | {-2: bytes(31) + b"\x01"}),
    "key of Ed448": of_key(lambda key: key | {-1: 7}, "EdDSA"),
    "key without a coordinate": of_key(lambda key: {name: value for name, value in key.items() if name != -3}),
    "key with a text for a coordinate": of_key(lambda key: key | {-2: "x" * 32}),
    "key of RSA too short": bent(key=Key("RS256", bits=1024).cose()),
    "key of RSA too long": of_key(lambda key: key | {-1: b"\xff" * 2048}, "RS256"),
    "key of RSA padded to length": of_key(lambda key: key | {-1: bytes(128) + b"\xff" * 128}, "RS256"),
    "key of RSA with a long exponent": of_key(lambda key: key | {-2: b"\xff" * 200}, "RS256"),
    "key of RSA that is even": of_key(lambda key: key | {-2: b"\x01\x00\x00"}, "RS256"),
}


@pytest.mark.asvs("V6.7.1")
@pytest.mark.parametrize("bend", [*CLIENT.values(), *DATA.values(), *CREATION.values()], ids=[*CLIENT, *DATA, *CREATION])
def test_a_bent_creation_is_refused(bend: Bends) -> None:
    with pytest.raises((Untrue, ValidationError)):
        created(Authenticator(), bend)


ASSERTION = {
    "type of the credential": bent(credential={"type": "password"}),
    "id of another": bent(credential={"id": b64(bytes(32))}),
    "rawId of another": bent(credential={"rawId": b64(bytes(32))}),
    "UP clear": bent(flags=UV | BE | BS),
    "BS without BE": bent(flags=UP | UV | BS),
    "a key where none belongs": bent(flags=UP | UV | AT, behind=bytes(16) + b"\x00\x01x" + cbor2.dumps(Key().cose())),
    "a key of shared references": bent(flags=UP | UV | AT, behind=bytes(16) + b"\x00\x01x" + unfolding()),
    "data too short": bent(response={"authenticatorData": b64(b"x" * 36)}),
    "data empty": bent(response={"authenticatorData": ""}),
    "signature of another key": bent(signed_with=Key()),
    "signature of another algorithm": bent(signed_with=Key("EdDSA")),
    "signature with a bit turned": bent(signature=lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
    "signature cut off": bent(signature=lambda raw: raw[:-1]),
    "signature with something behind": bent(signature=lambda raw: raw + b"\x00"),
    "signature of nothing": bent(signature=lambda _: b"\x00"),
    "signature missing": bent(response={"signature": None}),
    "data changed behind the signature": bent(response={"authenticatorData": b64(bytes(37))}),
    "userHandle as a number": bent(response={"userHandle": 7}),
}
OTHER_WAY = {name: bend for name, bend in CLIENT.items() if not name.startswith("type")}
NOT_ATTESTED = {name: bend for name, bend in DATA.items() if bend.flags is None}


@pytest.mark.parametrize(
    "bend",
    [*OTHER_WAY.values(), *NOT_ATTESTED.values(), *ASSERTION.values(), bent(client={"type": "webauthn.create"})],
    ids=[*OTHER_WAY, *NOT_ATTESTED, *ASSERTION, "type of the other ceremony"],
)
def test_a_bent_assertion_is_refused(bend: Bends) -> None:
    authenticator = Authenticator()
    key = created(authenticator)
    assert asserted(authenticator, key)
    with pytest.raises((Untrue, ValidationError)):
        asserted(authenticator, key, bend)


@pytest.mark.asvs("V6.5.7")
def test_a_user_who_was_not_verified_is_refused_where_that_is_asked_for() -> None:
    authenticator = Authenticator(flags=UP)
    key = created(authenticator)
    assert not asserted(authenticator, key, verified=False).user_verified
    with pytest.raises(Untrue, match="verif"):
        asserted(authenticator, key, verified=True)


def test_the_library_alone_would_unfold_shared_references_before_it_looks_at_a_signature() -> None:
    """The control: twelve levels are 4096 numbers, each level more doubles them, and 32 would not end."""
    from webauthn.helpers import parse_authenticator_data

    data = bytes(32) + bytes([UP | AT]) + bytes(4) + bytes(16) + b"\x00\x01x" + unfolding(12)
    assert len(data) < 150
    unfolded = parse_authenticator_data(data).attested_credential_data
    assert unfolded is not None
    assert len(unfolded.credential_public_key) > 4096


def test_a_challenge_is_read_without_being_believed() -> None:
    def said(raw: bytes) -> bytes | None:
        return ceremony.claimed_challenge(b64(raw))

    assert said(b'{"challenge": "AAAA"}') == bytes(3)
    odd = [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"challenge": 7}',
        b'{"challenge": "="}',
        b'{"challenge": "\xc3\xa9"}',
        b"\xff",
        b"[" * 20_000,
    ]
    assert [said(each) for each in odd] == [None] * len(odd)
