"""Rows as people: the quick ways tell the same as the thorough ones."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from app.transfer.people import derived_names, quick_email
from app.users.names import RESERVED, parse_email

LOCALS = st.from_regex(r"\A[A-Za-z0-9._+\-]{1,66}\Z") | st.text("ab.+-_@\"' \\=é", max_size=12)
DOMAINS = st.sampled_from(["example.com", "EXAMPLE.com", "münchen.example", "a..b", "-x.org", "localhost", "x" * 64 + ".org", ""])


def outcome(parse: object, value: str) -> str:
    assert callable(parse)
    try:
        return str(parse(value))
    except PydanticCustomError as error:
        return f"refused: {error.type}"


@given(LOCALS, DOMAINS | st.text("ab.-@", max_size=12))
def test_an_address_parsed_the_quick_way_is_the_same(local: str, domain: str) -> None:
    for value in (f"{local}@{domain}", local):
        assert outcome(quick_email, value) == outcome(parse_email, value)


@given(st.text(max_size=40), st.emails())
def test_a_derived_name_is_allowed_and_the_same_each_time(given: str, email: str) -> None:
    names = derived_names(given, email)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9]{3,32}", name), name
        assert name.lower() not in RESERVED
    assert names == derived_names(given, email)


@pytest.mark.parametrize("given", ["admin", "", "x", "日本", "a" * 100])
def test_the_second_name_differs_by_the_address(given: str) -> None:
    assert derived_names(given, "anna@example.com")[-1] != derived_names(given, "anna@example.org")[-1]
