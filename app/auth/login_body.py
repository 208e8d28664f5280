"""The body of a login: JSON, or the OAuth2 password form, so that Authorize in /docs works.

It is the first-party login, not an OAuth2 grant (RFC 9700 section 2.4); the form's other fields are read over.
"""

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json

from app.auth.schemas import LoginIn
from app.core.errors import UnsupportedMediaType
from app.core.wire import FORM, JSON, media_type_of

MAX_FORM_FIELDS = 20
FORM_FIELDS = {"username", "password", "device"}

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": LoginIn.model_json_schema()},
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["username", "password"],
                    "properties": {
                        "username": {"type": "string", "description": "Username or address", "minLength": 1, "maxLength": 320},
                        "password": {"type": "string", "format": "password", "minLength": 1, "maxLength": 1024},
                        "device": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": 128},
                    },
                }
            },
        },
    }
}


async def read_login(request: Request) -> LoginIn:
    """The login, whichever way it was sent."""
    media_type = media_type_of(request)
    if media_type == JSON:
        return _validated(_parse_json(await request.body()))
    if media_type == FORM:
        return _validated(_parse_form(await request.body()))
    raise UnsupportedMediaType(f"Send {JSON} or {FORM}.")


LoginBody = Annotated[LoginIn, Depends(read_login)]


def _parse_json(raw: bytes) -> Any:
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError:
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error"}]) from None


def _parse_form(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        raise RequestValidationError([{"type": "form_invalid", "loc": ("body",), "msg": "The form is not valid"}]) from None
    return {name: value for name, value in pairs if name in FORM_FIELDS and not (name == "device" and not value)}


def _validated(values: Any) -> LoginIn:
    try:
        return LoginIn.model_validate(values)
    except ValidationError as error:
        items = error.errors(include_input=False, include_url=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in items]) from None
