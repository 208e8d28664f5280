"""What may come over the wire: strict bodies, text without control characters."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app.core.errors import UnsupportedMediaType

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Body(BaseModel):
    """A request body: unknown fields are refused (mass assignment, ASVS V15.3.3), nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def plain_text(value: str) -> str:
    """Text that can be stored and shown anywhere: no NUL, control or format characters, no lone surrogates."""
    if not value.isprintable():
        raise PydanticCustomError("unprintable", "Control characters are not allowed")
    return value


def storable_secret(value: str) -> str:
    """Any text a person may type as a secret, but nothing that a database or a hash would choke on."""
    if "\x00" in value or any(0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise PydanticCustomError("unprintable", "Control characters are not allowed")
    return value


Token = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[A-Za-z0-9_.-]+$")]
# Longer than any password may be, so that the rules, not the parser, say "too long"; short enough to hash at once.
Secret = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(storable_secret)]
Identifier = Annotated[str, Field(min_length=1, max_length=320), AfterValidator(plain_text)]


def media_type_of(request: Request) -> str:
    """The body's media type, without parameters."""
    return media_type_in(request.headers)


def media_type_in(headers: Mapping[str, str]) -> str:
    """The media type that headers say, without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def _json_only(request: Request) -> None:
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if has_body and media_type_of(request) not in _accepted(request.scope["route"]):
        raise UnsupportedMediaType


def _accepted(route: Any) -> set[str]:
    documented = (getattr(route, "openapi_extra", None) or {}).get("requestBody", {}).get("content", {})
    return {JSON, *documented}


# Bodies are JSON, by exactly that name (CSRF by text/plain, ASVS V3.5.2), or what the route documents beside it.
JSON_ONLY = Depends(_json_only)
