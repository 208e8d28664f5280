"""Keeps app/locales in step with the source: `make messages`. Needs Babel, which nothing that runs does.

Finds every text in templates and in calls of `N_`, adds the new ones to each language's .po (untranslated), drops those that
are gone, and writes the .mo that is read at run time. `--check` writes nothing and fails if something would change.
"""

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from app.core.i18n import DOMAIN, FOLDER, LOCALES, SOURCE

ROOT = Path(__file__).parents[1]
APP = ROOT / "app"
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
JINJA = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}


class Dateless(Catalog):
    """A catalog whose header holds nothing that changes from run to run."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        """The header."""
        return [
            ("Language", str(self.locale_identifier)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", self.plural_forms + "\n"),
        ]


def sources() -> Iterator[tuple[Path, str]]:
    """Every file that may hold texts, and what reads it."""
    for path in sorted(APP.rglob("*.py")):
        yield path, "python"
    for path in sorted((APP / "templates").rglob("*.*")):
        yield path, "jinja2.ext:babel_extract"


def found_messages() -> dict[str, list[str]]:
    """Every text there is, with the files that it stands in."""
    found: dict[str, list[str]] = {}
    for path, method in sources():
        with path.open("rb") as file:
            for _, message, _, _ in extract(method, file, keywords=KEYWORDS, options=JINJA):
                assert isinstance(message, str), f"{path}: plural forms are not used"
                found.setdefault(message, []).append(path.relative_to(ROOT).as_posix())
    return found


def po_file(locale: str) -> Path:
    """What translators edit."""
    return FOLDER / locale / "LC_MESSAGES" / f"{DOMAIN}.po"


def updated(locale: str, found: dict[str, list[str]]) -> Catalog:
    """A language's catalog with exactly the texts of the source, in a fixed order."""
    path = po_file(locale)
    before = read_po(io.BytesIO(path.read_bytes()), locale=locale) if path.exists() else Catalog(locale=locale)
    catalog = Dateless(locale=locale, fuzzy=False, header_comment=f"# Authkeep in {LOCALES[locale]}.")
    for text in sorted(found):
        known = before.get(text)
        places = [(place, 0) for place in sorted(set(found[text]))]
        catalog.add(text, known.string if known is not None else "", locations=places)
    return catalog


def po_text(catalog: Catalog) -> bytes:
    """The .po of a catalog."""
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=120, include_lineno=False)
    return buffer.getvalue()


def mo_bytes(po: bytes) -> bytes:
    """The .mo of a .po."""
    catalog = read_po(io.BytesIO(po))
    dateless = Dateless(locale=catalog.locale, fuzzy=False)
    for message in catalog:
        if message.id and message.string:
            dateless.add(message.id, message.string)
    buffer = io.BytesIO()
    write_mo(buffer, dateless)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    check = parser.parse_args().check
    found, wrong = found_messages(), []
    for locale in LOCALES:
        if locale == SOURCE:
            continue
        catalog = updated(locale, found)
        po = po_text(catalog)
        for path, content in ((po_file(locale), po), (po_file(locale).with_suffix(".mo"), mo_bytes(po))):
            if path.exists() and path.read_bytes() == content:
                continue
            wrong.append(path.relative_to(ROOT).as_posix())
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        missing = [str(message.id) for message in catalog if message.id and not message.string]
        print(f"{locale}: {len(found)} texts, {len(missing)} untranslated")
        print("".join(f"  {text}\n" for text in missing), end="")
    print("\n".join(f"{'differs' if check else 'written'}: {name}" for name in wrong) or "all as they should be")
    sys.exit(1 if check and wrong else 0)


if __name__ == "__main__":
    main()
