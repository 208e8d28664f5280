"""Password hashes in the forms of other systems, brought into the one that is stored here."""

import re
from base64 import b64decode, b64encode, urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.auth import carried, foreign
from app.auth.foreign import NotUsable
from app.auth.utils import DJANGO_PREHASHED
from app.transfer.errors import BadFile, Unusable

PASSWORD = "password_hash"  # noqa: S105 -- a field's name
DJANGO_PBKDF2 = {"pbkdf2_sha256": "sha256", "pbkdf2_sha1": "sha1"}
KEYCLOAK_PBKDF2 = {"pbkdf2": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}
KEYCLOAK_ARGON2 = {"1.3": "19"}
# scrypt and PBKDF2 as PHC strings, which leave the length of the hash to be seen.
PHC_LENGTHLESS = re.compile(
    r"(\$(?:scrypt\$ln=[0-9]+,r=[0-9]+,p=[0-9]+|pbkdf2-sha(?:1|256|512)\$i=[0-9]+))(\$[A-Za-z0-9+/]*\$)([A-Za-z0-9+/]+)", re.ASCII
)
PASSLIB = re.compile(r"\$pbkdf2(?:-(sha256|sha512))?\$([0-9]+)(\$[A-Za-z0-9./]*\$)([A-Za-z0-9./]+)", re.ASCII)
SUPABASE_FIREBASE = re.compile(
    r"\$fbscrypt\$v=1,n=([0-9]+),r=([0-9]+),p=([0-9]+),ss=([A-Za-z0-9+/=]+),sk=([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)",
    re.ASCII,
)
NOT_FIREBASE = "this is no hash of Firebase's"
NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def read_stored(text: str, most_bcrypt: int = carried.MOST_BCRYPT) -> str:
    """A hash in the form that is stored here, or in that of crypt(3) for bcrypt, of PHC for Argon2, PBKDF2 and scrypt, of
    passlib for PBKDF2.

    Raises:
        Unusable: it can't be verified at a bearable cost.
    """
    try:
        if match := PASSLIB.fullmatch(text):  # which writes a dot for a plus
            text = f"$pbkdf2-{match[1] or 'sha1'}$i={match[2]}{match[3].replace('.', '+')}{match[4].replace('.', '+')}"
        if match := PHC_LENGTHLESS.fullmatch(text):
            text = f"{match[1]},l={len(_b64(match[3]))}{match[2]}{match[3]}"
        carried.accept(text, most_bcrypt)
    except NotUsable as error:
        raise Unusable(PASSWORD, str(error)) from None
    return text


def read_any(text: str, most_bcrypt: int = carried.MOST_BCRYPT) -> str | None:
    """A hash as `read_stored` takes it, or as Django keeps it.

    Raises:
        Unusable: see there.
    """
    return read_stored(text, most_bcrypt) if text.startswith("$") else read_django(text, most_bcrypt)


def read_supabase(text: str, most_bcrypt: int = carried.MOST_BCRYPT) -> str:
    """A hash as Supabase keeps it: bcrypt, Argon2, or what it took over from Firebase.

    Raises:
        Unusable: see `read_stored`.
    """
    if match := SUPABASE_FIREBASE.fullmatch(text):
        try:
            n, r, p, separator, signer_key, salt, sealed = match.groups()
            if p != "1":  # of Firebase's scrypt there is none
                raise NotUsable("the parameters are not those of the scheme")
            raw = [_b64(each) for each in (salt, separator, sealed, signer_key)]
            return foreign.firebase_scrypt(_number(n), _number(r), *raw).stored()
        except ValueError as error:
            raise Unusable(PASSWORD, str(error) if isinstance(error, NotUsable) else NOT_FIREBASE) from None
    return read_stored(text, most_bcrypt)


def read_django(text: str, most_bcrypt: int = carried.MOST_BCRYPT) -> str | None:
    """A hash as Django keeps it; None for one that no password has.

    Raises:
        Unusable: see `read_stored`; or it is of another kind.
    """
    if not text or text.startswith("!"):
        return None
    kind, _, rest = text.partition("$")
    try:
        if kind in DJANGO_PBKDF2:
            rounds, salt, key = rest.split("$")
            return foreign.pbkdf2(DJANGO_PBKDF2[kind], _number(rounds), salt.encode(), _b64(key)).stored()
        if kind == "scrypt":
            n, salt, r, p, key = rest.split("$")
            return foreign.scrypt(_log2(_number(n)), _number(r), _number(p), salt.encode(), _b64(key)).stored()
    except (ValueError, UnicodeError) as error:  # NotUsable is one
        raise Unusable(PASSWORD, str(error) if isinstance(error, NotUsable) else "this is no hash of Django's") from None
    if kind in {"bcrypt", "bcrypt_sha256", "argon2"}:
        stored = f"${rest}" if kind == "argon2" else rest
        return read_stored(DJANGO_PREHASHED + stored if kind == "bcrypt_sha256" else stored, most_bcrypt)
    raise Unusable(PASSWORD, "this kind of password hash is not known")


def read_keycloak(secret: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """A hash as Keycloak keeps it: what is in `secretData` and `credentialData` of a credential.

    Raises:
        Unusable: see `read_stored`; or it is of another kind.
    """
    kind = data.get("algorithm")
    try:
        salt, key, rounds = _b64(secret.get("salt")), _b64(secret.get("value")), _number(str(data.get("hashIterations")))
        if kind in KEYCLOAK_PBKDF2:
            return foreign.pbkdf2(KEYCLOAK_PBKDF2[kind], rounds, salt, key).stored()
        if kind == "argon2":
            return read_stored(_argon2(data, rounds, salt, key))
    except Unusable:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Unusable(PASSWORD, str(error) if isinstance(error, NotUsable) else "this is no hash of Keycloak's") from None
    raise Unusable(PASSWORD, "this kind of password hash is not known")


def _argon2(data: Mapping[str, Any], rounds: int, salt: bytes, key: bytes) -> str:
    said = {name: values[0] for name, values in data["additionalParameters"].items()}
    version = KEYCLOAK_ARGON2[said["version"]]
    cost = f"m={_number(said['memory'])},t={rounds},p={_number(said['parallelism'])}"
    return f"$argon2{said['type']}$v={version}${cost}${_phc(salt)}${_phc(key)}"


SIGNER_KEY, SEPARATOR = "base64_signer_key", "base64_salt_separator"
CONFIGURED = re.compile(
    r"\b(base64_signer_key|base64_salt_separator|rounds|mem_cost|algorithm)\s*:\s*([A-Za-z0-9+/=_-]+)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class FirebaseHashes:
    """What a Firebase project's hashes are made with; the signer key is a secret."""

    signer_key: bytes
    separator: bytes
    rounds: int
    mem_cost: int

    def read(self, salt: str, sealed: str) -> str:
        """A hash of this project.

        Raises:
            Unusable: see `read_stored`.
        """
        try:
            found = foreign.firebase_scrypt(self.mem_cost, self.rounds, _b64(salt), self.separator, _b64(sealed), self.signer_key)
        except ValueError as error:
            raise Unusable(PASSWORD, str(error) if isinstance(error, NotUsable) else NOT_FIREBASE) from None
        return found.stored()


def read_hash_config(text: str) -> FirebaseHashes:
    """The parameters as Firebase's console shows them: `hash_config { algorithm: SCRYPT, base64_signer_key: …, … }`.

    Raises:
        BadFile: they are not there.
    """
    said = dict(CONFIGURED.findall(text))
    try:
        if said.pop("algorithm", "SCRYPT") != "SCRYPT":
            raise BadFile("only hashes of Firebase's SCRYPT are known")
        return FirebaseHashes(_b64(said[SIGNER_KEY]), _b64(said[SEPARATOR]), _number(said["rounds"]), _number(said["mem_cost"]))
    except (KeyError, ValueError):
        raise BadFile("the file with the hash parameters has not all of them") from None


def _number(text: str) -> int:
    if not NUMBER.fullmatch(text):
        raise NotUsable("a parameter of the hash is no number that can be")
    return int(text)


def _log2(n: int) -> int:
    if n & (n - 1) or n < 2:
        raise NotUsable("scrypt's N is no power of two")
    return n.bit_length() - 1


def _b64(text: Any) -> bytes:
    if not isinstance(text, str):
        raise NotUsable("a part of the hash is missing")
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        return urlsafe_b64decode(padded) if {"-", "_"} & set(text) else b64decode(padded, validate=True)
    except Base64Error:
        raise NotUsable("a part of the hash is no base64") from None


def _phc(raw: bytes) -> str:
    return b64encode(raw).decode().rstrip("=")
