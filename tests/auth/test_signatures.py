"""Tokens with a header as we write it are verified by a few lines of our own: they and joserfc say the same of every token."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from app.auth.utils import ACCESS, REFRESH, Tokens
from app.core.crypto import b64decode
from app.core.errors import TokenInvalid
from app.core.permissions import Role
from app.core.ports import Account, SessionFacts
from tests.auth.test_tokens import ALPHABET, decode, encode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKENS = Tokens("a secret of thirty-two characters or more", "http://localhost:8000", timedelta(minutes=15))
SESSION = SessionFacts(uuid.UUID(int=7), 3, NOW, NOW, NOW + timedelta(days=1), "pwd otp", "aal2", uuid.UUID(int=9))
SOMEBODY = Account(uuid.UUID(int=5), "alice", "alice@example.com", Role.USER, False, NOW)
WRITTEN = {ACCESS: TOKENS.write_access(SOMEBODY, SESSION, NOW), REFRESH: TOKENS.write_refresh(SOMEBODY, SESSION)}
KINDS = pytest.mark.parametrize("kind", [ACCESS, REFRESH])
LETTERS = st.text(ALPHABET, max_size=90)


def ours(kind: str, token: str) -> bytes | None:
    try:
        return TOKENS._verify(kind, token)
    except (TokenInvalid, JoseError, ValueError):
        return None


def theirs(kind: str, token: str) -> bytes | None:
    try:
        return jws.deserialize_compact(token, OctKey.import_key(TOKENS._keys[kind]), algorithms=["HS256"]).payload
    except (JoseError, ValueError):
        return None


def have_one_opinion(kind: str, token: str) -> bool:
    """The token's verdict. Of a second spelling of the same bytes joserfc thinks well, and we do not."""
    mine, other = ours(kind, token), theirs(kind, token)
    has_one_spelling = all(b64decode(part) is not None for part in token.split("."))
    assert mine == (other if has_one_spelling else None), token
    return mine is not None


@KINDS
def test_what_we_write_joserfc_reads(kind: str) -> None:
    read = jwt.decode(WRITTEN[kind], OctKey.import_key(TOKENS._keys[kind]), algorithms=["HS256"])
    assert read.header == {"alg": "HS256", "typ": kind}
    assert read.claims == decode(WRITTEN[kind].split(".")[1])
    assert have_one_opinion(kind, WRITTEN[kind])


@KINDS
def test_what_joserfc_writes_we_read_in_any_spelling_of_the_header(kind: str) -> None:
    key, claims = OctKey.import_key(TOKENS._keys[kind]), decode(WRITTEN[kind].split(".")[1])
    headers: list[dict[str, Any]] = [
        {"alg": "HS256", "typ": kind},
        {"typ": kind, "alg": "HS256"},
        {"typ": kind, "alg": "HS256", "kid": "x"},
    ]
    for header in headers:
        assert have_one_opinion(kind, jwt.encode(header, claims, key, algorithms=["HS256"])), header
    other = REFRESH if kind == ACCESS else ACCESS
    assert ours(kind, jwt.encode({"typ": other, "alg": "HS256"}, claims, key, algorithms=["HS256"])) is None


@KINDS
def test_every_letter_of_a_token_counts(kind: str) -> None:
    token = WRITTEN[kind]
    for place, letter in enumerate(token):
        for other in {"A", "_", ".", ALPHABET[(ALPHABET.find(letter) + 1) % 64], ""} - {letter}:
            assert not have_one_opinion(kind, token[:place] + other + token[place + 1 :]), (place, other)


@KINDS
@given(payload=LETTERS, signature=LETTERS)
def test_nobody_without_the_key_makes_one(kind: str, payload: str, signature: str) -> None:
    header, _, good = WRITTEN[kind].split(".")
    assert not have_one_opinion(kind, f"{header}.{payload}.{signature}")
    assert not have_one_opinion(kind, f"{header}.{payload}.{good}")


@KINDS
@given(payload=st.binary(max_size=90), more=LETTERS)
def test_any_payload_that_was_signed_comes_out_as_it_went_in(kind: str, payload: bytes, more: str) -> None:
    content = f"{WRITTEN[kind].split('.')[0]}.{encode(payload)}"
    signature = TOKENS._sign(kind, content)
    assert have_one_opinion(kind, f"{content}.{signature}")
    assert ours(kind, f"{content}.{signature}") == payload
    assert have_one_opinion(kind, f"{content}.{signature}{more}") == (not more)
