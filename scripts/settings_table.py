"""The settings table of README.md and the file .env.example, both made from `app.config.Settings`.

`python -m scripts.settings_table` says whether they are true (exit 1 if not); with `--write` it makes them so.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.config import FILE_TWINS, Settings

ROOT = Path(__file__).parents[1]
README, ENV_EXAMPLE = ROOT / "README.md", ROOT / ".env.example"
BEGIN, END = "<!-- settings -->", "<!-- /settings -->"
HEAD = """\
# Settings of Authkeep. Copy this file to .env and keep the copy to yourself (chmod 600 .env).
# Made by `python -m scripts.settings_table --write` from app/config.py; don't edit it by hand.
#
# A line that begins with # shows the default. An empty value counts as unset. The environment goes before .env.
# Secrets can also be read from a file: NAME_FILE=/path instead of NAME, for {twins}.
"""


def sections() -> Iterator[tuple[str, dict[str, FieldInfo]]]:
    """Each section's sentence and its settings, in the order of the file they are in."""
    for section in Settings.__bases__:
        if issubclass(section, BaseModel):
            yield " ".join((section.__doc__ or "").split()), section.model_fields


def default_of(field: FieldInfo) -> str:
    """The default as it would be written in a .env; empty where there is none."""
    value = field.default
    if field.is_required() or value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def values_of(field: FieldInfo) -> str:
    """What may be written: the words or the range, where there is one."""
    words = _words(field.annotation)
    if words:
        said = all(word in str(field.description) for word in words)
        return "" if said else f"{', '.join(words[:-1])} or {words[-1]}"
    low = next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), None)
    high = next((limit.le for limit in field.metadata if isinstance(limit, Le)), None)
    return f"{low} to {high}" if low is not None and high is not None else ""


def _words(annotation: Any) -> list[str]:
    if annotation is bool:
        return ["true", "false"]
    return [str(word) for word in get_args(annotation)] if get_origin(annotation) is Literal else []


def table() -> str:
    """The table for README.md."""
    lines: list[str] = []
    for sentence, fields in sections():
        lines += ["", f"**{sentence}**", "", "| setting | default | what it is |", "|---|---|---|"]
        for name, field in fields.items():
            default = "*required*" if field.is_required() else f"`{default_of(field)}`" if default_of(field) else ""
            lines.append(f"| `{name}` | {default} | {_cell(_meaning(field))} |")
    return "\n".join([*lines, ""])


def _meaning(field: FieldInfo) -> str:
    return "; ".join(part for part in (str(field.description), values_of(field)) if part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def env_example() -> str:
    """The text of .env.example."""
    lines = [HEAD.format(twins=", ".join(FILE_TWINS))]
    for sentence, fields in sections():
        lines += [f"# --- {sentence}", ""]
        for name, field in fields.items():
            lines.append(f"# {_meaning(field)}")
            lines.append(f"{name}=" if field.is_required() else f"# {name}={default_of(field)}")
        lines.append("")
    return "\n".join(lines)


def with_table(readme: str) -> str:
    """README.md with the table as it should be.

    Raises:
        ValueError: the markers are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no {BEGIN} … {END}")
    return f"{before}{begin}\n{table()}\n{end}{after}"


def stale() -> dict[Path, str]:
    """The files that are not as they should be, and what they should be."""
    wanted = {README: with_table(README.read_text()), ENV_EXAMPLE: env_example()}
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text() != text}


def main() -> int:
    """Check, or write."""
    found = stale()
    for path, text in found.items():
        if "--write" in sys.argv[1:]:
            path.write_text(text)
            print(f"wrote {path.name}")
        else:
            print(f"{path.name} is not true any more: python -m scripts.settings_table --write", file=sys.stderr)
    return 1 if found and "--write" not in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
