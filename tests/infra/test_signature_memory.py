"""A good signature is remembered, and nothing else is: expiry, key, audience, kind and every character count each time."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.auth import utils
from app.auth.utils import Tokens
from app.core.errors import TokenInvalid
from app.core.permissions import Role
from app.core.ports import Account, SessionFacts
from tests.auth.test_tokens import decode, encode, signed

SECRET = "a secret of thirty-two characters or more"
ISSUER = "http://localhost:8000"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIFE = timedelta(minutes=15)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def facts(expires_at: datetime = NOW + timedelta(days=1)) -> SessionFacts:
    return SessionFacts(uuid.uuid4(), 0, NOW, NOW, expires_at, "pwd")


def somebody() -> Account:
    return Account(uuid.uuid4(), "alice", "alice@example.com", Role.USER, False, NOW)


def a_token(tokens: Tokens) -> str:
    return tokens.write_access(somebody(), facts(), NOW)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(SECRET, ISSUER, LIFE)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The tokens whose signatures were computed since the last call."""
    seen: list[str] = []
    real = Tokens._verify

    def noting(self: Tokens, kind: str, token: str) -> bytes:
        seen.append(token)
        return real(self, kind, token)

    monkeypatch.setattr(Tokens, "_verify", noting)

    def since() -> list[str]:
        found = list(seen)
        seen.clear()
        return found

    return since


def refused(tokens: Tokens, token: str, now: datetime = NOW) -> bool:
    try:
        tokens.read_access(token, now)
    except TokenInvalid:
        return True
    return False


def test_a_signature_is_computed_once_and_the_claims_stay_the_same(tokens: Tokens, verified: Callable[[], list[str]]) -> None:
    account, session = somebody(), facts()
    token = tokens.write_access(account, session, NOW)
    first = tokens.read_access(token, NOW)
    assert verified() == [token]
    assert {tokens.read_access(token, NOW + timedelta(seconds=second)) for second in range(5)} == {first}
    assert verified() == []
    assert (first.user_id, first.session_id, first.expires_at) == (account.id, session.id, NOW + LIFE)


def test_a_remembered_token_is_over_at_the_same_moment_as_a_new_one(tokens: Tokens) -> None:
    token = a_token(tokens)
    last, over = NOW + LIFE - timedelta(microseconds=1), NOW + LIFE
    for reader in (tokens, Tokens(SECRET, ISSUER, LIFE)):
        assert not refused(reader, token, last)
        assert refused(reader, token, over)
        assert refused(reader, token, over + timedelta(days=400))
    assert not refused(tokens, token, last)  # the clock was set back: it is judged by the moment alone


def test_a_token_seen_only_after_its_end_is_not_remembered(tokens: Tokens, verified: Callable[[], list[str]]) -> None:
    token = a_token(tokens)
    for _ in range(3):
        assert refused(tokens, token, NOW + LIFE)
    assert verified() == [token] * 3


def test_another_key_or_issuer_remembers_nothing_of_the_last(tokens: Tokens) -> None:
    token = a_token(tokens)
    for _ in range(3):
        assert not refused(tokens, token)
    for changed in (Tokens(SECRET + "!", ISSUER, LIFE), Tokens(SECRET, "https://auth.example.com", LIFE)):
        assert [refused(changed, token) for _ in range(3)] == [True] * 3
        assert not refused(changed, a_token(changed))
    assert not refused(tokens, token)


def test_a_token_with_one_character_changed_is_not_the_one_remembered(tokens: Tokens) -> None:
    token = a_token(tokens)
    tokens.read_access(token, NOW)
    for place, letter in enumerate(token):
        other = ALPHABET[(ALPHABET.find(letter) + 1) % len(ALPHABET)]
        forged = token[:place] + other + token[place + 1 :]
        if place == len(token) - 1:  # its last two bits say nothing
            forged = token[:place] + ALPHABET[(ALPHABET.find(letter) + 4) % len(ALPHABET)]
        assert [refused(tokens, forged) for _ in range(2)] == [True, True], place
    for forged in (
        token[:-1],
        token + "A",
        token + "=",
        token + " ",
        " " + token,
        token.swapcase(),
        token + "\x00",
        token + "\ud800",
    ):
        assert refused(tokens, forged), repr(forged)
    assert not refused(tokens, token)


def test_another_tokens_signature_or_claims_open_nothing(tokens: Tokens) -> None:
    one, two = a_token(tokens), a_token(tokens)
    for token in (one, two):
        tokens.read_access(token, NOW)
    (header, claims, signature), (_, other_claims, other_signature) = one.split("."), two.split(".")
    assert refused(tokens, f"{header}.{claims}.{other_signature}")
    assert refused(tokens, f"{header}.{other_claims}.{signature}")
    assert not refused(tokens, f"{header}.{claims}.{signature}")
    none = encode(b'{"alg": "none", "typ": "at+jwt"}')
    for forged in (f"{none}.{claims}.", f"{none}.{claims}.{signature}"):
        assert refused(tokens, forged)


def test_the_kinds_never_stand_in_for_each_other_however_often_they_were_seen(tokens: Tokens) -> None:
    account, session = somebody(), facts()
    access, renewing = tokens.write_access(account, session, NOW), tokens.write_refresh(account, session)
    for _ in range(3):
        tokens.read_access(access, NOW)
        tokens.read_refresh(renewing, NOW)
        assert refused(tokens, renewing)
        with pytest.raises(TokenInvalid):
            tokens.read_refresh(access, NOW)


def test_a_token_with_a_beginning_is_judged_anew_each_time(tokens: Tokens, verified: Callable[[], list[str]]) -> None:
    header, claims = (decode(part) for part in a_token(tokens).split(".")[:2])
    later = signed(header, claims | {"nbf": int((NOW + timedelta(seconds=60)).timestamp())}, SECRET.encode())
    assert not refused(tokens, later, NOW + timedelta(seconds=61))
    assert refused(tokens, later, NOW + timedelta(seconds=59))
    assert verified() == [later] * 2


def test_only_so_many_are_remembered_and_the_one_longest_unused_goes_first(
    tokens: Tokens, verified: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils, "SIGNATURES_KEPT", 4)
    a, b, c, d, e, f = (a_token(tokens) for _ in range(6))
    for token in (a, b, c, d):
        tokens.read_access(token, NOW)
    assert verified() == [a, b, c, d]
    tokens.read_access(a, NOW)
    tokens.read_access(e, NOW)  # b goes
    tokens.read_access(a, NOW)
    assert verified() == [e]
    tokens.read_access(f, NOW)  # c goes
    for token in (a, d, e, f):
        tokens.read_access(token, NOW)
    assert verified() == [f]
    tokens.read_access(b, NOW)
    tokens.read_access(c, NOW)
    assert verified() == [b, c]


def test_what_is_refused_takes_nobodys_place(
    tokens: Tokens, verified: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils, "SIGNATURES_KEPT", 2)
    kept = [a_token(tokens) for _ in range(2)]
    for token in kept:
        tokens.read_access(token, NOW)
    stranger = Tokens(SECRET + "!", ISSUER, LIFE)
    for number in range(50):
        assert refused(tokens, a_token(stranger))
        assert refused(tokens, f"{number}.{number}.{number}")
        assert refused(tokens, a_token(tokens), NOW + LIFE)
    verified()
    for token in kept:
        tokens.read_access(token, NOW)
    assert verified() == []


def test_the_memory_stays_within_its_bound(tokens: Tokens) -> None:
    assert utils.SIGNATURES_KEPT == 16_384
    account, session = somebody(), facts()
    header, claims = (decode(part) for part in tokens.write_access(account, session, NOW).split(".")[:2])
    for number in range(utils.SIGNATURES_KEPT + 100):
        tokens.read_access(signed(header, claims | {"jti": str(number)}, SECRET.encode()), NOW)
    assert len(tokens._good) == utils.SIGNATURES_KEPT
