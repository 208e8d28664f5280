"""The catalogs: whole, in step with the source, and with the same variables; which language a browser gets."""

import io
import re

import pytest
from babel.messages.pofile import read_po

from app.core.i18n import LOCALES, SOURCE, catalog, negotiate, translate
from scripts.messages import found_messages, mo_bytes, po_file, po_text, updated

TRANSLATED = [locale for locale in LOCALES if locale != SOURCE]
VARIABLE = re.compile(r"%\(\w+\)s|%%")
# Words that are the same in another language.
SAME = {
    ("de", "Admin"),
    ("de", "Code"),
    ("de", "Passkey"),
    ("de", "Passkeys"),
    ("de", "Person"),
    ("de", "Status"),
    ("de", "Support"),
    ("de", "Webhook"),
    ("de", "Webhooks"),
    ("es", "Auditor"),
    ("es", "Webhook"),
    ("es", "Webhooks"),
    ("fr", "Action"),
    ("fr", "Code"),
    ("fr", "Console"),
    ("fr", "Pages"),
    ("fr", "Session"),
    ("fr", "Webhook"),
    ("fr", "Webhooks"),
}


@pytest.mark.parametrize("locale", TRANSLATED)
def test_every_text_is_translated_with_the_same_variables(locale: str) -> None:
    messages = [message for message in read_po(io.BytesIO(po_file(locale).read_bytes())) if message.id]
    assert len(messages) > 200
    same = {(locale, str(message.id)) for message in messages if message.string == message.id}
    assert same <= SAME
    for message in messages:
        assert message.string, message.id
        assert not message.fuzzy
        assert isinstance(message.id, str)
        assert isinstance(message.string, str)
        assert sorted(VARIABLE.findall(message.id)) == sorted(VARIABLE.findall(message.string)), message.id
        assert message.id[-1] in ".:?!" or message.string[-1] not in ".!", message.id
        assert "<" not in message.string


@pytest.mark.parametrize("locale", TRANSLATED)
def test_the_catalogs_hold_the_texts_of_the_source_and_nothing_else(locale: str) -> None:
    """`make messages` would change nothing: no text was forgotten, and what is read is what was translated."""
    po = po_text(updated(locale, found_messages()))
    assert po_file(locale).read_bytes() == po
    assert po_file(locale).with_suffix(".mo").read_bytes() == mo_bytes(po)


def test_a_text_that_is_new_would_be_found() -> None:
    """The control."""
    found = found_messages()
    assert "Sign in" in found
    assert po_file("de").read_bytes() != po_text(updated("de", {**found, "Something new": ["x.html"]}))


def test_an_unknown_language_is_the_source() -> None:
    assert translate("de", "Sign in") == "Anmelden"
    assert translate("tlh", "Sign in") == translate("../../etc", "Sign in") == translate("en", "Sign in") == "Sign in"
    assert translate("de", "") == ""
    assert catalog("fr").gettext("Hello,") == "Bonjour,"


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT, en;q=0.5", "de"),
        ("pt, es;q=0.4, fr;q=0.8", "fr"),
        ("en;q=0.1, de;q=0.2", "de"),
        ("DE-ch", "de"),
        ("*", "en"),
        ("fr;q=0", "en"),
        ("fr;q=0, *;q=0.5", "en"),
        ("fr;q=nan, de;q=inf, es;q=-1", "en"),
        ("fr;level=1", "en"),
        (",,;;=,q=,de;q=1.0", "de"),
        ("xx, " * 1000 + "de", "en"),
        ("<script>", "en"),
        ("\x00de", "en"),
    ],
)
def test_the_browsers_wish_is_met_where_we_can(header: str, chosen: str) -> None:
    assert negotiate(header, "en") == chosen
    assert negotiate("zz", "es") == "es"
