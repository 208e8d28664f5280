"""What forms carry of second factors: the codes that people type, and the credentials that scripts put in."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.account.face import read
from app.core.errors import AppError, FieldError, Invalid

Model = TypeVar("Model", bound=BaseModel)
ORDER = ("totp", "passkey", "recovery")  # the first of these that somebody has is asked for, if they choose no other
FIELD = {"totp": "otp", "recovery": "recovery_code", "passkey": "credential"}  # of a form, by method


def chosen(methods: frozenset[str], wanted: str | None) -> str:
    """The method that a page asks for, and the links of which lead to the others."""
    return wanted if wanted in methods else next((each for each in ORDER if each in methods), "totp")


def others(methods: frozenset[str], shown: str) -> tuple[str, ...]:
    """The methods that a page offers beside the one that it shows."""
    return tuple(each for each in ORDER if each in methods and each != shown)


def read_code(model: type[Model], fields: Mapping[str, str], field: str, **more: object) -> Model:
    """A form whose `code` is in this field, as the body that the route of the same flow takes.

    Raises:
        Invalid: it is none; said of the field as the form has it.
    """
    try:
        return read(model, {"code": fields.get(field, "")}, **more)
    except Invalid:
        raise Invalid(errors=[FieldError(("body", field), "missing", "")]) from None


def read_credential(model: type[Model], fields: Mapping[str, str], refusal: type[AppError]) -> Model:
    """What a passkey made or signed, as the script wrote it down.

    Raises:
        AppError: the refusal, for what is no such thing.
    """
    try:
        return model.model_validate_json(fields.get("credential", ""))
    except ValidationError:
        raise refusal from None


def json_in(fields: Mapping[str, str]) -> dict[str, Any] | None:
    """The same where a method of its own checks it; None for a form without."""
    try:
        found = json.loads(fields.get("credential", ""))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
