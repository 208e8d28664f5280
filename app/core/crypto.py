"""Keys, digests, identifiers and chance. Everything random in the server comes from here, everything secret by HKDF."""

import hashlib
import hmac
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from datetime import datetime

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive_key(secret: str, label: str) -> bytes:
    """A 32-byte key for one purpose (RFC 5869); keys of different labels tell nothing of each other or of `secret`."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"authkeep/{label}".encode()).derive(secret.encode())


def keyed_digest(key: bytes, *parts: str | bytes) -> bytes:
    """HMAC-SHA-256 over parts, each with its length before it, so that no two lists of parts collide."""
    raw = [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts]
    return hmac.digest(key, _framed(raw), hashlib.sha256)


def message_digest(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 over a message as others verify it (RFC 2104); for what is ours alone, `keyed_digest`."""
    return hmac.digest(key, message, hashlib.sha256)


class Mac:
    """HMAC-SHA-256 (RFC 2104) under one key, for many messages: what depends on the key alone is done once."""

    def __init__(self, key: bytes) -> None:
        self._begun = hmac.new(key, digestmod=hashlib.sha256)

    def of(self, message: bytes) -> bytes:
        """The code of a message."""
        mac = self._begun.copy()
        mac.update(message)
        return mac.digest()


def digest(secret: str) -> bytes:
    """SHA-256 of a secret that is itself random (at least 128 bits), for look-up by value."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def digest_parts(*parts: bytes) -> bytes:
    """SHA-256 over parts, each with its length before it, so that no two lists of parts collide."""
    return hashlib.sha256(_framed(parts)).digest()


def _framed(parts: Iterable[bytes]) -> bytes:
    # Joined: of parts so small, a call of the hash for each costs more than the hash.
    return b"".join([each for part in parts for each in (len(part).to_bytes(8, "big"), part)])


def fingerprint(content: bytes) -> str:
    """What names a file's content in an address, so that a browser may keep it for good; no secret."""
    return hashlib.sha256(content).hexdigest()[:12]


def equal(left: bytes, right: bytes) -> bool:
    """Compare in time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)


class Sealer:
    """Seals small secrets that are needed again (AES-256-GCM, a random nonce each), each bound to its place.

    What is sealed begins with the key's id, so that a key can be told from its successor.
    """

    ID, NONCE = 4, 12  # bytes

    def __init__(self, key: bytes) -> None:
        self._id = keyed_digest(key, "key-id")[: self.ID]
        self._cipher = AESGCM(key)

    def seal(self, secret: bytes, place: bytes) -> bytes:
        """The secret, to be unsealed in this place alone."""
        nonce = random_256()[: self.NONCE]
        return self._id + nonce + self._cipher.encrypt(nonce, secret, self._id + place)

    def unseal(self, sealed: bytes, place: bytes) -> bytes | None:
        """The secret; None for what was sealed by another key, in another place, or tampered with."""
        nonce = sealed[self.ID : self.ID + self.NONCE]
        if not equal(sealed[: self.ID], self._id) or len(nonce) != self.NONCE:
            return None
        try:
            return self._cipher.decrypt(nonce, sealed[self.ID + self.NONCE :], self._id + place)
        except InvalidTag:
            return None


def keystream(key: bytes, length: int) -> bytes:
    """What AES-CTR from a counter of zero encrypts with: for comparing with what others encrypted so, never to encrypt."""
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(length))


class SigningKey:
    """An Ed25519 key (RFC 8032) of 32 bytes that are secret and random, or derived from what is."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)


def verify_signature(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the holder of the key that belongs to `public` signed the message (Ed25519)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def random_secret() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def random_256() -> bytes:
    """256 random bits."""
    return secrets.token_bytes(32)


def random_128() -> bytes:
    """128 random bits, as a salt."""
    return secrets.token_bytes(16)


def random_160() -> bytes:
    """160 random bits, what RFC 4226 (section 4, R6) advises for one-time codes."""
    return secrets.token_bytes(20)


def random_letters(alphabet: str, count: int) -> str:
    """So many letters, each drawn by itself."""
    return "".join(secrets.choice(alphabet) for _ in range(count))


class RandomIds:
    """So many random bytes each, in hex; drawn many at a time, since asking the kernel takes longer than all else here."""

    AT_ONCE = 256

    def __init__(self, size: int) -> None:
        self._size = size
        self._drawn: list[str] = []

    def next(self) -> str:
        """One more."""
        if not self._drawn:
            drawn, length = secrets.token_hex(self._size * self.AT_ONCE), 2 * self._size
            self._drawn = [drawn[at : at + length] for at in range(0, len(drawn), length)]
        return self._drawn.pop()


def random_fraction() -> float:
    """Between 0 and 1, for jitter."""
    return secrets.randbelow(1_000_000) / 1_000_000


def random_id() -> uuid.UUID:
    """128 random bits, for what must not tell when it was made."""
    return uuid.UUID(bytes=secrets.token_bytes(16))


def new_id(now: datetime) -> uuid.UUID:
    """UUIDv7 (RFC 9562 section 5.7): 48 bits of milliseconds, 74 random bits; sorts by time of making."""
    milliseconds = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    value = (milliseconds << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return uuid.UUID(int=value)


def b64encode(raw: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def b64decode(text: str) -> bytes | None:
    """The bytes, or None unless `text` is exactly what `b64encode` makes of them (no second spelling of a token)."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        return None
    return raw if b64encode(raw) == text else None
