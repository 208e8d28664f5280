"""Usernames, addresses, names that are shown: what they may be, and the form in which they are unique."""

import unicodedata
from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.core.wire import plain_text

RESERVED_WORDS = """
    abuse account admin administrator api anonymous auth authkeep everyone guest health help hostmaster info login logout
    mail me moderator nobody noreply null official postmaster register root security staff superuser support system
    undefined users webmaster www
"""
RESERVED = frozenset(RESERVED_WORDS.split())
MAX_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets


def parse_email(value: str) -> str:
    """The address with its domain in ASCII and lower case; DNS is not asked.

    Raises:
        PydanticCustomError: it is none.
    """
    plain_text(value)
    try:
        parsed = validate_email(value, check_deliverability=False, allow_smtputf8=False, test_environment=True, strict=True)
    except EmailNotValidError:
        raise PydanticCustomError("email_invalid", "This is not a valid mail address") from None
    # In a header "=?" begins an encoded word (RFC 2047), which may stand for any other address: some read it, some refuse it.
    if parsed.ascii_email is None or "=?" in parsed.ascii_email:
        raise PydanticCustomError("email_invalid", "This is not a valid mail address")
    return parsed.ascii_email


def name_key(identifier: str) -> str:
    """The form in which a username or address is unique and looked up, for anything that may be typed."""
    if "@" in identifier:
        try:
            return parse_email(identifier).lower()
        except PydanticCustomError:
            pass
    # Folding other scripts would make ASCII letters of some; they match nobody as they are.
    return identifier.lower() if identifier.isascii() else identifier


# What looks like nothing although it counts as a letter or symbol, so that a name of them would be an empty one.
INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
MAX_DISPLAY_NAME = 64


def parse_display_name(value: str) -> str:
    """The name in NFC, without spaces around it: printable (so without bidi controls), and something to be seen.

    Raises:
        PydanticCustomError: it is none.
    """
    name = unicodedata.normalize("NFC", plain_text(value)).strip()
    if not name or INVISIBLE & set(name) or unicodedata.category(name[0]).startswith("M"):
        raise PydanticCustomError("display_name_invalid", "This is not a name that can be shown")
    if len(name) > MAX_DISPLAY_NAME:
        raise PydanticCustomError("string_too_long", "At most 64 characters")
    return name


Username = Annotated[
    str, Field(min_length=3, max_length=32, pattern=r"^[A-Za-z0-9]+$", description="ASCII letters and digits", examples=["alice"])
]
DisplayName = Annotated[
    str, Field(min_length=1, max_length=MAX_DISPLAY_NAME, examples=["Alice Example"]), AfterValidator(parse_display_name)
]
Locale = Literal["en", "de", "fr", "es"]
Email = Annotated[str, Field(max_length=MAX_EMAIL, examples=["alice@example.com"]), AfterValidator(parse_email)]
