"""A row as a person: what may stand in it, whatever system it is from, and the rows of an account it becomes."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from app.auth.utils import label_of
from app.core.crypto import digest, new_id
from app.core.moments import Moment, is_to_come
from app.core.permissions import ROLES, Role, is_staff
from app.mfa import carrying as apps
from app.passkeys import carrying as passkeys
from app.passkeys.carrying import CarriedPasskey
from app.passkeys.deps import PasskeyKit
from app.transfer.errors import Refused, Unusable
from app.transfer.hashes import PASSWORD, read_any
from app.transfer.rules import Rules
from app.users.names import MAX_EMAIL, RESERVED, Locale, Username, parse_display_name, parse_email

NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+", re.ASCII)
NAME_LETTERS, LEAST_LETTERS, MARK_LETTERS = 32, 3, 8


def _role(value: Any) -> Any:
    if not isinstance(value, str) or value not in ROLES:
        raise PydanticCustomError("role", "There is no such role")
    return ROLES[value]


PLAIN_LOCAL = re.compile(r"[a-z0-9]+(?:[._+-][a-z0-9]+)*", re.ASCII)
MOST_LOCAL = 64  # RFC 5321 section 4.5.3.1.1


@lru_cache(maxsize=4096)
def _domain(domain: str) -> str:
    return parse_email(f"somebody@{domain}").partition("@")[2]


def quick_email(value: str) -> str:
    """As `parse_email`, which takes most of the time that a row takes: each domain is parsed once.

    Capitals go the long way, since some names are one whatever their case (RFC 2142).

    Raises:
        PydanticCustomError: see there.
    """
    local, _, domain = value.partition("@")
    if len(local) <= MOST_LOCAL and PLAIN_LOCAL.fullmatch(local):
        return f"{local}@{_domain(domain)}"
    return parse_email(value)


class PersonIn(BaseModel):
    """A person as a file of our own form says it; other forms are brought into this one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: uuid.UUID | None = None
    username: Username | None = None
    email: Annotated[str, Field(max_length=MAX_EMAIL), AfterValidator(quick_email)]
    role: Annotated[Role, BeforeValidator(_role)] = Role.USER
    email_verified: bool = False
    email_verified_at: Moment | None = None
    created_at: Moment | None = None
    password_hash: Annotated[str, Field(max_length=1024)] | None = None
    password_changed_at: Moment | None = None
    last_login_at: Moment | None = None
    disabled: bool = False
    disabled_at: Moment | None = None
    leaving_at: Moment | None = None
    display_name: Annotated[str, Field(max_length=1024)] | None = None
    locale: Locale | None = None
    totp: Annotated[str, Field(max_length=1024)] | None = None
    passkeys: list[CarriedPasskey] | None = None


@dataclass(slots=True)
class Person:
    """Somebody to be made an account of."""

    line: int
    values: dict[str, Any]  # a row of `users`
    keeps_id: bool
    names: tuple[str, ...]  # usernames to be had, the best first
    is_named: bool  # the username is the person's own, so it tells who it is
    label: str | None = None  # of the password's hash
    secret: bytes | None = None
    passkeys: list[dict[str, Any]] = field(default_factory=list)


def read_person(line: int, values: Mapping[str, Any], rules: Rules, kit: PasskeyKit, now: datetime) -> Person:
    """A row as a person.

    Raises:
        Refused: it can't be one.
    """
    said, names, is_named = _named(values, rules)
    row = _users_row(said, rules, now)
    person = Person(line, row, said.id is not None, names, is_named)
    if said.password_hash is not None and (stored := rules.carry(read_any, said.password_hash, rules.most_bcrypt)):
        row["password_hash"], person.label = stored, label_of(stored)
    if said.totp:
        person.secret = rules.carry(_secret, said.totp)
    if said.passkeys:
        person.passkeys = rules.carry(_passkeys, kit, said.passkeys, now) or []
    return person


def _named(values: Mapping[str, Any], rules: Rules) -> tuple[PersonIn, tuple[str, ...], bool]:
    given = values.get("username")
    try:
        said = PersonIn.model_validate(dict(values))
    except ValidationError as error:
        if not (rules.derive and isinstance(given, str) and _faults(error) == {"username"}):
            raise _refused(error) from None
        said = PersonIn.model_validate({**values, "username": None})
    if said.username is not None and (rules.trusted or said.username.lower() not in RESERVED):
        return said, (said.username,), True
    if said.username is not None and not rules.derive:
        raise Refused("username", "this name is reserved")
    return said, derived_names(given if isinstance(given, str) else "", said.email), False


def derived_names(given: str, email: str) -> tuple[str, ...]:
    """Usernames for somebody who has none that may stay: the same at each try, so that nobody is brought in twice.

    From the name that was given, or the part of the address before the @; the second one ends in a mark of the address.
    """
    plain = NOT_IN_NAMES.sub("", given.partition("@")[0]) or NOT_IN_NAMES.sub("", email.partition("@")[0])
    mark = digest(email.lower()).hex()[:MARK_LETTERS]
    marked = plain[: NAME_LETTERS - MARK_LETTERS] + mark
    first = plain[:NAME_LETTERS]
    return (first, marked) if len(first) >= LEAST_LETTERS and first.lower() not in RESERVED else (marked,)


def _users_row(said: PersonIn, rules: Rules, now: datetime) -> dict[str, Any]:
    moments = (said.email_verified_at, said.created_at, said.password_changed_at, said.last_login_at, said.disabled_at)
    if any(is_to_come(moment, now) for moment in (*moments, said.leaving_at)):
        raise Refused("created_at", "a moment that is yet to come")
    if is_staff(said.role) and not rules.trusted:
        raise Refused("role", f"{said.role} is more than a user is, which takes --trusted")
    created_at = said.created_at or now
    return {
        "id": said.id or new_id(now),
        "username": said.username or "",
        "username_key": "",
        "email": said.email,
        "email_key": said.email.lower(),
        "password_hash": None,
        "role": said.role.value,
        "epoch": 0,
        "created_at": created_at,
        "email_verified_at": said.email_verified_at or (now if said.email_verified else None),
        "password_changed_at": said.password_changed_at or created_at,
        "last_login_at": said.last_login_at,
        "disabled_at": said.disabled_at or (now if said.disabled else None),
        "display_name": rules.carry(_display_name, said.display_name),
        "locale": said.locale,
        "leaving_at": said.leaving_at,
    }


def _display_name(text: str | None) -> str | None:
    if not text or not text.strip():
        return None
    try:
        return parse_display_name(text)
    except PydanticCustomError as error:
        raise Unusable("display_name", error.message()) from None


def _secret(text: str) -> bytes:
    try:
        return apps.read_secret(text)
    except apps.NoSecret as error:
        raise Unusable("totp", str(error)) from None


def _passkeys(kit: PasskeyKit, said: list[CarriedPasskey], now: datetime) -> list[dict[str, Any]]:
    try:
        return passkeys.read_passkeys(kit, said, now)
    except passkeys.NoPasskey as error:
        raise Unusable("passkeys", str(error)) from None


def _faults(error: ValidationError) -> set[str]:
    return {str(each["loc"][0]) for each in error.errors(include_input=False, include_url=False, include_context=False)}


def _refused(error: ValidationError) -> Refused:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "row"
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        return Refused("row", "there is a field that is not known")
    if first["type"].startswith("uuid_"):  # the message shows what was there instead
        return Refused(name, "this is no UUID")
    return Refused(name, first["msg"] if name != PASSWORD else "this is no password hash")
