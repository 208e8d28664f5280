"""Files of other systems: how each is read, and how a row of it is said in our own form (`PersonIn`)."""

import json
from base64 import b32encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from app.audit.export import FORMULA
from app.transfer.errors import BadFile, Refused, Unusable
from app.transfer.hashes import FirebaseHashes, read_django, read_keycloak, read_stored, read_supabase
from app.transfer.reading import Record, read_array, read_csv, read_jsonl
from app.transfer.rules import Rules

Values = Mapping[str, Any]
CSV = ".csv"
SPREAD = ("username", "email", "display_name")  # what a person chose, and a spreadsheet may run
JSON_CELLS = ("passkeys",)
TRUE, FALSE = frozenset({"true", "t", "1", "yes"}), frozenset({"false", "f", "0", "no", ""})
WHOLE, AROUND = frozenset({"bcrypt", "argon2", "pbkdf2"}), frozenset({"prefix", "suffix"})  # what is put around a password
LEFT_BEHIND = frozenset({"password-history"})  # of a Keycloak account: no proof of anything
TEMPORARY = "UPDATE_PASSWORD"  # what Keycloak wants of somebody before anything else
HMAC, SIX, HALF_A_MINUTE = ("HmacSHA1", None), (6, "6", None), (30, "30", None)


@dataclass(frozen=True, slots=True)
class Context:
    """What a form may need beside a row."""

    rules: Rules
    now: datetime
    firebase: FirebaseHashes | None = None


Convert = Callable[[Values, Context], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of file."""

    convert: Convert
    kinds: tuple[str, ...] = (CSV, ".jsonl", ".ndjson")
    array: str = ""  # the name of the array in a .json
    has_names: bool = True  # usernames of its own
    columns: tuple[str, ...] = ("email",)  # that a CSV must have: without the passwords' one everybody would come without

    def read(self, kind: str, file: BinaryIO) -> Iterator[Record]:
        """The rows as they stand in a file whose name ends so.

        Raises:
            BadFile: this form has none of that kind; or see the readers.
        """
        if kind not in self.kinds:
            raise BadFile(f"the file's name should end in {' or '.join(self.kinds)}")
        if kind == CSV:
            return read_csv(file, self.columns)
        return read_array(file, self.array) if kind == ".json" else read_jsonl(file)

    def said(self, record: Record, context: Context, *, in_cells: bool) -> dict[str, Any]:
        """A row in our own form.

        Raises:
            Refused: it has none.
        """
        if record.refused is not None:
            raise record.refused
        try:
            said = self.convert(_uncelled(record.values) if in_cells and self is OWN else record.values, context)
        except Refused:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise Refused("row", "it is not as this form has them") from None
        if in_cells and self is not OWN and any(str(said.get(name) or "").startswith(FORMULA) for name in SPREAD):
            raise Refused("row", "a cell begins like a formula")
        return {name: value for name, value in said.items() if value is not None}


def _uncelled(cells: Values) -> dict[str, Any]:
    """Cells of our own CSV: a quote stands before what a spreadsheet would take for a formula; passkeys are JSON."""
    values: dict[str, Any] = {}
    for name, cell in cells.items():
        if cell.startswith(FORMULA):
            raise Refused(name if name in SPREAD else "row", "a cell begins like a formula; a quote before it makes it text")
        is_quoted = cell[0] == "'" and cell[1:].startswith((*FORMULA, "'"))
        values[name] = cell[1:] if is_quoted else cell
    for name in JSON_CELLS:
        if name in values:
            try:
                values[name] = json.loads(values[name])
            except (ValueError, RecursionError):
                raise Refused(name, "this is not JSON") from None
    return values


def _own(values: Values, _context: Context) -> dict[str, Any]:
    return dict(values)


def _fastapi_users(values: Values, context: Context) -> dict[str, Any]:
    return {
        "id": _uuid(values.get("id")),
        "email": values.get("email"),
        "role": "admin" if _is(values.get("is_superuser")) else "user",
        "email_verified": _is(values.get("is_verified")),
        "disabled": not _is(values.get("is_active", True)),
        "created_at": values.get("created_at"),
        "password_hash": _stored(context, read_stored, values.get("hashed_password")),
    }


def _template(values: Values, context: Context) -> dict[str, Any]:
    return _fastapi_users(values, context) | {"display_name": values.get("full_name")}


def _django(values: Values, context: Context) -> dict[str, Any]:
    return {
        "username": values["username"],
        "email": values.get("email"),
        "role": "admin" if _is(values.get("is_superuser")) else "user",
        "disabled": not _is(values.get("is_active", True)),
        "created_at": values.get("date_joined"),
        "last_login_at": values.get("last_login"),
        "display_name": _joined(values.get("first_name"), values.get("last_name")),
        "password_hash": _stored(context, read_django, values.get("password")),
    }


def _supabase(values: Values, context: Context) -> dict[str, Any]:
    if values.get("deleted_at"):
        raise Refused("deleted_at", "the account was deleted")
    return {
        "id": _uuid(values.get("id")),
        "email": values.get("email"),
        "email_verified_at": values.get("email_confirmed_at"),
        "created_at": values.get("created_at"),
        "last_login_at": values.get("last_sign_in_at"),
        "disabled": _is_ahead(values.get("banned_until"), context.now),
        "password_hash": _stored(context, read_supabase, values.get("encrypted_password")),
        "totp": values.get("totp_secret"),
    }


def _auth0(values: Values, context: Context) -> dict[str, Any]:
    addresses = [each for each in values.get("identifiers") or [] if each.get("type") == "email"]
    found: Values = addresses[0] if addresses else {}
    said_of = {"email": values.get("email") or found.get("value"), "email_verified": values.get("email_verified")}
    verified = found.get("verified") if said_of["email_verified"] is None else said_of["email_verified"]
    stored = values.get("passwordHash") or values.get("password_hash")
    if custom := values.get("custom_password_hash"):
        stored = context.rules.carry(_of_custom, custom)
    factors = values.get("mfa_factors") or []
    secrets = [each["totp"]["secret"] for each in factors if "totp" in each]
    if len(secrets) < len(factors) or (values.get("multifactor") and not secrets):
        context.rules.carry(_refuse, "mfa", "a second factor that can't be carried over")
    return {
        "username": values.get("username"),
        "email": said_of["email"],
        "email_verified": _is(verified),
        "created_at": values.get("created_at"),
        "password_changed_at": (values.get("password_set_date") or {}).get("$date"),
        "disabled": _is(values.get("blocked")),
        "password_hash": _stored(context, read_stored, stored),
        "totp": context.rules.carry(_only, secrets, "totp", "several authenticator apps"),
    }


def _of_custom(custom: Values) -> str:
    """The hash that Auth0 was given by an import, where it is whole in itself (bcrypt, Argon2, PBKDF2)."""
    if custom.get("algorithm") not in WHOLE or custom.get("salt") or (custom.get("password") or {}).keys() & AROUND:
        raise Unusable("password_hash", "a hash that Auth0 did not make itself, of a kind that is not known")
    return str(custom["hash"]["value"])


def _firebase(values: Values, context: Context) -> dict[str, Any]:
    if values.get("mfaInfo"):
        context.rules.carry(_refuse, "mfa", "a second factor by telephone, which there is not here")
    return {
        "email": values.get("email"),
        "email_verified": _is(values.get("emailVerified")),
        "disabled": _is(values.get("disabled")),
        "display_name": values.get("displayName"),
        "created_at": _of_milliseconds(values.get("createdAt")),
        "last_login_at": _of_milliseconds(values.get("lastSignedInAt")),
        "password_hash": context.rules.carry(_of_firebase, values, context.firebase),
    }


def _of_firebase(values: Values, hashes: FirebaseHashes | None) -> str | None:
    if not values.get("passwordHash"):
        return None
    if hashes is None:
        raise Unusable("password_hash", "Firebase's hashes take --hash-config")
    return hashes.read(values.get("salt", ""), values["passwordHash"])


def _keycloak(values: Values, context: Context) -> dict[str, Any]:
    if values.get("serviceAccountClientId"):
        raise Refused("row", "an account of a service, not of a person")
    kept: dict[str, list[Values]] = {}
    for each in values.get("credentials") or []:
        kept.setdefault(each["type"], []).append(each)
    # Recovery codes are no factor of their own here: beside an app they stay behind, as everybody's do.
    for kind in kept.keys() - {"password", "otp"} - LEFT_BEHIND - ({"recovery-authn-codes"} if "otp" in kept else set()):
        context.rules.carry(_refuse, "credentials", f"a second factor that can't be carried over: {_word(kind)}")
    passwords, codes = ([_opened(each) for each in kept.get(kind, [])] for kind in ("password", "otp"))
    password = context.rules.carry(_only, passwords, "password_hash", "several passwords")
    if password and TEMPORARY in (values.get("requiredActions") or []):
        password = context.rules.carry(_refuse, "password_hash", "a password that was to be changed at the first login")
    otp = context.rules.carry(_only, codes, "totp", "several authenticator apps")
    return {
        "id": _uuid(values.get("id")),
        "username": values["username"],
        "email": values.get("email"),
        "email_verified": _is(values.get("emailVerified")),
        "disabled": not _is(values.get("enabled", True)),
        "display_name": _joined(values.get("firstName"), values.get("lastName")),
        "created_at": _of_milliseconds(values.get("createdTimestamp")),
        "password_hash": context.rules.carry(read_keycloak, *password) if password else None,
        "totp": context.rules.carry(_otp, *otp) if otp else None,
    }


def _opened(credential: Values) -> tuple[Values, Values]:
    return json.loads(credential["secretData"]), json.loads(credential["credentialData"])


def _otp(secret: Values, data: Values) -> str:
    """Keycloak keeps the secret as text whose bytes count, and what the app was given is base32 of them."""
    usual = data.get("algorithm") in HMAC and data.get("digits") in SIX and data.get("period") in HALF_A_MINUTE
    if data.get("subType") != "totp" or not usual:
        raise Unusable("totp", "the authenticator makes other codes than SHA-1, six digits, 30 seconds")
    value = str(secret["value"])
    return value if data.get("secretEncoding") == "BASE32" else b32encode(value.encode()).decode()


def _stored(context: Context, read: Callable[[str, int], str | None], text: Any) -> str | None:
    return context.rules.carry(read, str(text), context.rules.most_bcrypt) if text else None


def _refuse(what: str, why: str) -> Any:
    raise Unusable(what, why)


def _only(found: list[Any], what: str, why: str) -> Any:
    if len(found) > 1:
        raise Unusable(what, why)
    return found[0] if found else None


def _is(value: Any) -> bool:
    if isinstance(value, bool) or value is None:
        return bool(value)
    word = str(value).strip().lower()
    if word not in TRUE | FALSE:
        raise Refused("row", "a value is neither true nor false")
    return word in TRUE


def _uuid(value: Any) -> str | None:
    """An id that can be kept; a number can't."""
    text = str(value or "")
    return text if len(text) in {32, 36} else None


def _joined(*names: Any) -> str | None:
    return " ".join(str(name).strip() for name in names if name and str(name).strip()) or None


def _of_milliseconds(value: Any) -> str | None:
    return datetime.fromtimestamp(int(value) / 1000, UTC).isoformat() if value else None


def _is_ahead(until: Any, now: datetime) -> bool:
    if not until:
        return False
    moment = datetime.fromisoformat(str(until))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) > now


def _word(kind: Any) -> str:
    text = str(kind)
    return text if text.isascii() and text.replace("-", "").isalnum() and len(text) < 40 else "of a kind unknown"


OWN = Form(_own)
FORMS: dict[str, Form] = {
    "authkeep": OWN,
    "fastapi-users": Form(_fastapi_users, has_names=False, columns=("email", "hashed_password")),
    "full-stack-template": Form(_template, has_names=False, columns=("email", "hashed_password")),
    "django": Form(_django, columns=("username", "email", "password")),
    "keycloak": Form(_keycloak, (".json",), "users"),
    "auth0": Form(_auth0, (".jsonl", ".ndjson", ".json"), "users"),
    "firebase": Form(_firebase, (".json",), "users", has_names=False),
    "supabase": Form(_supabase, has_names=False, columns=("email", "encrypted_password")),
}
