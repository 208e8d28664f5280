"""Languages of pages and mails: gettext catalogs read by the standard library. English is in the source itself.

`scripts/messages.py` (make messages) keeps app/locales in step with the source; what runs needs no Babel.
"""

import re
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

LOCALES = {"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español"}  # each by its own name
SOURCE = "en"
FOLDER = Path(__file__).parents[1] / "locales"
DOMAIN = "authkeep"
VARIABLE = re.compile(r"%\((\w+)\)s")
MAX_HEADER, MAX_CHOICES = 500, 20


def N_(message: str) -> str:  # noqa: N802 -- gettext's usual name for "translated later"
    """Mark a text for the catalogs; it is translated where it is shown."""
    return message


@cache
def catalog(locale: str) -> NullTranslations:
    """The texts of a language; English for one that we don't have."""
    if locale == SOURCE or locale not in LOCALES:
        return NullTranslations()
    with (FOLDER / locale / "LC_MESSAGES" / f"{DOMAIN}.mo").open("rb") as file:
        return GNUTranslations(file)


def translate(locale: str, message: str, **values: object) -> str:
    """A marked text in a language, its variables filled in."""
    text = catalog(locale).gettext(message) if message else ""
    return VARIABLE.sub(lambda found: str(values[found[1]]), text) if values else text


def negotiate(header: str, default: str) -> str:
    """The language of ours that an Accept-Language header likes best (RFC 9110 section 12.5.4), else the default."""
    best, best_weight = default, 0.0
    for choice in header[:MAX_HEADER].split(",")[:MAX_CHOICES]:
        tag, _, parameter = choice.partition(";")
        language = tag.strip().lower().partition("-")[0]
        found = default if language == "*" else language
        weight = _weight(parameter)
        if found in LOCALES and weight > best_weight:
            best, best_weight = found, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
