"""Password hashing schemes and JWTs: pure functions of keys and time.

Passwords: bcrypt as it is up to 72 bytes; beyond, bcrypt over a keyed pre-hash, under a marked scheme (bcrypt itself would
cut, and a bare pre-hash could be cracked from other sites' leaks). Argon2id as an option. Hashes that came from elsewhere are
verified (`app/auth/foreign.py`, bcrypt over SHA-256 as Django has it, Argon2 of any cost), and replaced at the first login.

Tokens: compact JWS, HS256 alone. The kinds never stand in for each other: typ, key and audience are all checked
(RFC 8725 section 3.12). Headers as we write them are compared as text and their tokens verified here; a token with any other
spelling of a header is joserfc's to judge (docs/adr/0026).
"""

import re
import uuid
from base64 import b64encode as standard_b64encode
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha384
from hmac import digest as hmac_digest
from typing import Any, TypeGuard

import bcrypt
from argon2 import Type
from argon2.exceptions import Argon2Error
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher
from pydantic_core import from_json, to_json

from app.auth import foreign
from app.auth.blocklist import session_key, token_key
from app.auth.password_rules import normalise
from app.core.assurance import LEVELS, level_of
from app.core.crypto import Mac, RandomIds, b64decode, b64encode, derive_key, equal, keyed_digest
from app.core.errors import TokenInvalid
from app.core.ports import Account, SessionFacts

BCRYPT_BYTES = 72
PREHASHED = "$authkeep-hmac-sha384$"
DJANGO_PREHASHED = "$django-sha256$"  # SHA-256 in hex, then bcrypt
ARGON2_MEMORY_KIB, ARGON2_TIME, ARGON2_LANES = 19_456, 2, 1  # OWASP; memory, passes, parallelism
ARGON2_LABEL = f"argon2id/m={ARGON2_MEMORY_KIB},t={ARGON2_TIME},p={ARGON2_LANES}"
BCRYPT_LABEL = re.compile(r"bcrypt/([0-9]{2})")
ARGON2 = re.compile(r"\$(argon2(?:id|i|d))\$v=19\$(m=[0-9]{1,7},t=[0-9]{1,2},p=[0-9]{1,2})\$[^$]+\$[^$]+", re.ASCII)
ARGON2_COST = re.compile(r"argon2(id|i|d)/m=([0-9]{1,7}),t=([0-9]{1,2}),p=([0-9]{1,2})", re.ASCII)
ARGON2_TYPES = {"id": Type.ID, "i": Type.I, "d": Type.D}
DUMMY_PASSWORD = b"nobody has this password"
DUMMY_SALT = b"abcdefghijklmnopqrstuu"
ARGON2_DECOY = (
    f"$argon2id$v=19$m={ARGON2_MEMORY_KIB},t={ARGON2_TIME},p={ARGON2_LANES}"
    f"${standard_b64encode(DUMMY_SALT[:16]).decode().rstrip('=')}${standard_b64encode(bytes(32)).decode().rstrip('=')}"
)

ALGORITHM = "HS256"
ACCESS, REFRESH = "at+jwt", "rt+jwt"
COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
MAX_TOKEN = 4096
END_OF_TIME = 253_402_300_800  # the year 10000, which datetime does not know
MAX_GENERATION = 2**31
SIGNATURES_KEPT = 16_384  # about 10 MB


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of checking a password: whether it is right, and a better hash of it where one is due."""

    right: bool
    upgraded: str | None = None


class Passwords:
    """Hashes and checks. Slow on purpose: call it in the hashing pool only."""

    def __init__(self, scheme: str, rounds: int, prehash_key: bytes) -> None:
        self._argon2 = Argon2Hasher(time_cost=ARGON2_TIME, memory_cost=ARGON2_MEMORY_KIB, parallelism=ARGON2_LANES)
        self._bcrypt = BcryptHasher(rounds=rounds)
        self._prehash_key = prehash_key
        # What nobody's password is checked against: well-formed, of today's scheme, and no hash of anything.
        bcrypt_decoy = f"$2b${rounds:02}${DUMMY_SALT.decode()}{'.' * 31}"
        self._decoy = bcrypt_decoy if scheme == "bcrypt" else ARGON2_DECOY
        self.label = f"bcrypt/{rounds:02}" if scheme == "bcrypt" else ARGON2_LABEL

    def hash(self, password: str) -> str:
        """A salted hash under the scheme of today, of the whole password in NFC."""
        if self.label == ARGON2_LABEL:
            return self._argon2.hash(normalise(password))
        raw = normalise(password).encode()
        if len(raw) <= BCRYPT_BYTES:
            return self._bcrypt.hash(raw)
        return PREHASHED + self._bcrypt.hash(self._prehash(raw))

    @property
    def nobodys(self) -> str:
        """A well-formed hash that no password has, for an account whose password is void."""
        return self._decoy

    def check(self, password: str, stored: str | None, schemes: Iterable[str], *, may_upgrade: bool) -> Verdict:
        """Whether the password is the one stored, at one cost for any stored hash and for none.

        `schemes` are those that some account uses. Beside the real check as much dummy work is done as brings the sum to
        what the dearest bcrypt cost and one of each other scheme take: bcrypt of cost n is twice that of n - 1, so the
        missing part of 2^n is made up exactly by one dummy of each cost between.

        `may_upgrade` is False where the login will be refused even if the password is right: the extra hash would tell.
        """
        against = stored or self._decoy
        right = self._verify(password, against) and stored is not None
        even_out(label_of(against), {*schemes, self.label})
        if not right or not may_upgrade or stored is None or self._is_of_today(stored):
            return Verdict(right)
        return Verdict(right, self.hash(password))

    def _is_of_today(self, stored: str) -> bool:
        # A bare pre-hash could be cracked from other sites' leaks.
        return label_of(stored) == self.label and not stored.startswith(DJANGO_PREHASHED)

    def _verify(self, password: str, stored: str) -> bool:
        raw = normalise(password).encode()
        try:
            if stored.startswith(PREHASHED):
                return self._bcrypt.verify(self._prehash(raw), stored.removeprefix(PREHASHED))
            if stored.startswith("$argon2"):
                return self._argon2.verify(raw, stored)
            # Other systems hashed what was typed, in whatever form of Unicode.
            if stored.startswith(DJANGO_PREHASHED):
                return self._bcrypt.verify(sha256(password.encode()).hexdigest(), stored.removeprefix(DJANGO_PREHASHED))
            if (of_another := foreign.read(stored)) is not None:
                return of_another.verify(password.encode())
            if len(raw) > BCRYPT_BYTES:
                self._bcrypt.verify(raw[:BCRYPT_BYTES], stored)  # the cost of a check, not its result
                return False
            return self._bcrypt.verify(raw, stored)
        except (PwdlibError, ValueError):
            return False

    def _prehash(self, raw: bytes) -> bytes:
        return standard_b64encode(hmac_digest(self._prehash_key, raw, sha384))


def even_out(own: str, labels: set[str]) -> None:
    """Beside a check of the label `own`, work as long as brings the sum to the dearest of each kind among these labels."""
    costs = [int(match[1]) for match in map(BCRYPT_LABEL.fullmatch, labels) if match]
    own_cost = BCRYPT_LABEL.fullmatch(own)
    if costs:
        dearest = max(costs)
        for cost in range(int(own_cost[1]), dearest) if own_cost else [dearest]:
            bcrypt.hashpw(DUMMY_PASSWORD, b"$2b$%02d$%s" % (cost, DUMMY_SALT))
    for label in sorted(labels - {own}):
        if match := ARGON2_COST.fullmatch(label):
            memory, time, lanes = map(int, match.groups()[1:])
            kind = ARGON2_TYPES[match[1]]
            argon2 = Argon2Hasher(time_cost=time, memory_cost=memory, parallelism=lanes, type=kind)
            argon2.hash(DUMMY_PASSWORD, salt=DUMMY_SALT[:16])
    foreign.even_out(own, labels)


def try_out(label: str) -> None:
    """Do the dummy work of a label once, before it is every login's.

    Raises:
        NotUsable: the libraries of this machine can't.
    """
    try:
        even_out("", {label})
    except (ValueError, MemoryError, PwdlibError, Argon2Error) as error:
        raise foreign.NotUsable("it can't be checked on this machine") from error


def label_of(stored: str) -> str:
    """The scheme and cost a stored hash was made with."""
    if match := ARGON2.fullmatch(stored):
        return f"{match[1]}/{match[2]}"
    if (of_another := foreign.read(stored)) is not None:
        return of_another.cost.label
    return f"bcrypt/{stored.removeprefix(PREHASHED).removeprefix(DJANGO_PREHASHED)[4:6]}"


def stored_prefixes(label: str) -> tuple[str, ...]:
    """How hashes of a scheme begin in the database."""
    scheme, _, parameters = label.partition("/")
    if scheme.startswith("argon2"):
        return (f"${scheme}$v=19${parameters}$",)
    if scheme != "bcrypt":
        return (f"${scheme}${parameters}$",)
    return tuple(f"{mark}$2{minor}${parameters}$" for mark in ("", PREHASHED, DJANGO_PREHASHED) for minor in "aby")


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a good access token says."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    token_id: str
    expires_at: datetime
    authenticated_at: datetime
    acr: str
    blocked_under: tuple[str, str]  # the blocklist's keys


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """What a good refresh token says."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    generation: int


class Tokens:
    """Makes and reads the two kinds of JWT (RFC 9068 for the access token's claims)."""

    def __init__(self, secret: str, issuer: str, access_life: timedelta) -> None:
        self.issuer = issuer
        self.access_life = access_life
        self._refresh_id_key = derive_key(secret, "refresh-token-id")
        self._keys = {ACCESS: secret.encode(), REFRESH: derive_key(secret, "refresh-token")}
        self._macs = {kind: Mac(key) for kind, key in self._keys.items()}
        self._token_ids = RandomIds(16)
        self._headers = {kind: b64encode(_written({"typ": kind, "alg": ALGORITHM})) for kind in self._keys}
        # Good signatures by their token's digest; what depends on the moment is compared at each use.
        self._good: OrderedDict[bytes, AccessClaims] = OrderedDict()
        self._audiences = {ACCESS: issuer, REFRESH: f"{issuer}/auth/refresh"}

    def write_access(self, account: Account, session: SessionFacts, now: datetime) -> str:
        """An access token; it never outlives its session."""
        acting = session.impersonator_id
        # Nothing refreshes a session in which somebody acts as another.
        expires_at = session.expires_at if acting else min(now + self.access_life, session.expires_at)
        claims: dict[str, Any] = {
            "jti": self._token_ids.next(),
            "role": account.role.value,
            "auth_time": int(session.authenticated_at.timestamp()),
            "amr": session.amr.split(),
            "acr": session.acr,
        }
        if acting is not None:  # who really acts (RFC 8693 section 4.1)
            claims["act"] = {"sub": str(acting)}
        return self._write(ACCESS, account.id, session.id, now, expires_at, claims)

    def write_refresh(self, account: Account, session: SessionFacts) -> str:
        """The refresh token of the session's generation: the same at each call, since a lost answer may ask again."""
        jti = b64encode(keyed_digest(self._refresh_id_key, session.id.bytes, str(session.generation))[:16])
        claims = {"jti": jti, "gen": session.generation}
        return self._write(REFRESH, account.id, session.id, session.rotated_at, session.expires_at, claims)

    def read_access(self, token: str, now: datetime) -> AccessClaims:
        """The claims of an access token.

        Raises:
            TokenInvalid: it is malformed, of another kind, made by another key or for another audience, or expired.
        """
        key = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._good.get(key)
        if known is not None:
            if known.expires_at <= now:
                raise TokenInvalid
            self._good.move_to_end(key)
            return known
        claims = self._read(ACCESS, token, now)
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        # Tokens made before there were levels have no acr.
        acr = LEVELS[level_of(claims.get("acr"))]
        session_id, token_id = _uuid(claims["sid"]), claims["jti"]
        keys = token_key(token_id), session_key(session_id)
        good = AccessClaims(_uuid(claims["sub"]), session_id, token_id, expires_at, _auth_time(claims), acr, keys)
        if "nbf" not in claims:  # ours have none
            self._good[key] = good
            if len(self._good) > SIGNATURES_KEPT:
                self._good.popitem(last=False)
        return good

    def read_refresh(self, token: str, now: datetime) -> RefreshClaims:
        """The claims of a refresh token.

        Raises:
            TokenInvalid: as `read_access`.
        """
        claims = self._read(REFRESH, token, now)
        generation = claims.get("gen")
        if type(generation) is not int or not 0 <= generation < MAX_GENERATION:
            raise TokenInvalid
        return RefreshClaims(_uuid(claims["sub"]), _uuid(claims["sid"]), generation)

    def _write(
        self, kind: str, user_id: uuid.UUID, sid: uuid.UUID, issued: datetime, expires: datetime, more: dict[str, Any]
    ) -> str:
        claims = {
            "iss": self.issuer,
            "aud": self._audiences[kind],
            "sub": str(user_id),
            "sid": str(sid),
            "iat": int(issued.timestamp()),
            "exp": int(expires.timestamp()),
            **more,
        }
        content = f"{self._headers[kind]}.{b64encode(_written(claims))}"
        return f"{content}.{self._sign(kind, content)}"

    def _sign(self, kind: str, content: str) -> str:
        return b64encode(self._macs[kind].of(content.encode()))

    def _read(self, kind: str, token: str, now: datetime) -> dict[str, Any]:
        if len(token) > MAX_TOKEN or not COMPACT.fullmatch(token):
            raise TokenInvalid
        try:
            claims = from_json(self._verify(kind, token))  # UTF-8 and no other (RFC 8259 section 8.1)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise TokenInvalid from None
        if not isinstance(claims, dict):
            raise TokenInvalid
        get, moment = claims.get, now.timestamp()
        if not (isinstance(get("sub"), str) and isinstance(get("sid"), str) and isinstance(get("jti"), str)):
            raise TokenInvalid
        begins, ends = get("nbf", 0), get("exp")
        if not (_is_moment(begins) and _is_moment(ends)) or begins > moment or ends <= moment:
            raise TokenInvalid
        if get("iss") != self.issuer or get("aud") != self._audiences[kind]:
            raise TokenInvalid
        return claims

    def _verify(self, kind: str, token: str) -> bytes:
        """The payload of a token of this kind with a good signature."""
        content, _, signature = token.rpartition(".")
        header, _, payload = content.partition(".")
        if header == self._headers[kind]:  # says the kind and the algorithm, and nothing else
            raw = b64decode(payload) if equal(signature.encode(), self._sign(kind, content).encode()) else None
            if raw is None:
                raise TokenInvalid
            return raw
        return _verify_otherwise(kind, token, self._keys[kind])


def _verify_otherwise(kind: str, token: str, key: bytes) -> bytes:
    """The payload of a token whose header is spelled as none of ours: the library is loaded for the first of them."""
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import OctKey

    try:
        parsed = jws.deserialize_compact(token.encode(), OctKey.import_key(key), algorithms=[ALGORITHM])
    except JoseError:
        raise TokenInvalid from None
    if parsed.headers().get("typ") != kind or parsed.payload is None:
        raise TokenInvalid
    return parsed.payload


def _written(members: dict[str, Any]) -> bytes:
    return to_json(members)


def _auth_time(claims: dict[str, Any]) -> datetime:
    value = claims.get("auth_time")
    if not _is_moment(value):
        raise TokenInvalid
    return datetime.fromtimestamp(value, UTC)


def _is_moment(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < END_OF_TIME


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise TokenInvalid from None
