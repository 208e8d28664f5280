"""Which requirements of OWASP ASVS 5.0 are proved, by which tests: `python -m scripts.asvs` (or `make asvs`).

tests/asvs.csv says of each requirement whether it is proved, not applicable or open, and why where it isn't proved. What proves
it is found in the tests themselves: `@pytest.mark.asvs("V6.2.1")`. Exit 1 if the two don't agree.
"""

import ast
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
TABLE = TESTS / "asvs.csv"
PROVED, NOT_APPLICABLE, OPEN = "proved", "not applicable", "open"
STATES = (PROVED, NOT_APPLICABLE, OPEN)
ROWS, WANTED = 116, 70  # how many rows of the API and its configuration there are, and how many must be proved
CHAPTERS = {
    1: "Encoding and sanitization",
    2: "Validation and business logic",
    3: "Web front end",
    4: "API and web service",
    6: "Authentication",
    7: "Session management",
    8: "Authorization",
    9: "Self-contained tokens",
    11: "Cryptography",
    12: "Secure communication",
    13: "Configuration",
    14: "Data protection",
    15: "Secure coding and architecture",
    16: "Logging and error handling",
}


@dataclass(frozen=True)
class Row:
    """One requirement, in our words."""

    id: str
    level: int
    applies: str  # to the API, to configuration, to operation (documents), to web pages
    area: str
    requirement: str
    state: str
    note: str

    @property
    def counts(self) -> bool:
        """Whether it is one of the 114 rows of level 1 and 2 that an API and its configuration must answer for."""
        return self.applies in {"api", "config"} and self.level <= 2

    @property
    def chapter(self) -> int:
        """The number before the first dot."""
        return int(self.id.removeprefix("V").partition(".")[0])


def read_rows(path: Path = TABLE) -> list[Row]:
    """The table."""
    with path.open(newline="") as file:
        lines = list(csv.reader(file))[1:]
    return [Row(name, int(level), *rest) for name, level, *rest in lines]


def read_marks(folder: Path = TESTS) -> dict[str, list[str]]:
    """For each requirement the tests that are marked with it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for name, ids in marks_in(path.read_text()):
            for each in ids:
                found[each].append(f"{path.relative_to(folder.parent)}::{name}")
    return dict(found)


def marks_in(source: str) -> Iterator[tuple[str, list[str]]]:
    """Each test of a module with the requirements it is marked with, by itself, its class or its module."""
    tree = ast.parse(source)
    everywhere = [
        each
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        for each in _ids(node.value)
    ]
    yield from _tests_in(tree.body, everywhere, "")


def _tests_in(body: list[ast.stmt], inherited: list[str], prefix: str) -> Iterator[tuple[str, list[str]]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            own = [each for decorator in node.decorator_list for each in _ids(decorator)]
            yield from _tests_in(node.body, [*inherited, *own], f"{prefix}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            own = [each for decorator in node.decorator_list for each in _ids(decorator)]
            yield f"{prefix}{node.name}", [*inherited, *own]


def _ids(marker: ast.expr) -> Iterator[str]:
    for node in ast.walk(marker):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "asvs":
            for argument in node.args:
                yield str(argument.value) if isinstance(argument, ast.Constant) else ast.unparse(argument)


def faults(rows: list[Row], marks: dict[str, list[str]]) -> list[str]:
    """Where the table and the tests don't agree, or the table says too little."""
    known = Counter(row.id for row in rows)
    found = [f"{each}: twice in the table" for each, count in known.items() if count > 1]
    found += [f"{tests[0]}: marked with {each}, which is not in the table" for each, tests in marks.items() if each not in known]
    for row in rows:
        if row.state not in STATES:
            found.append(f"{row.id}: {row.state!r} is none of {STATES}")
        elif row.state == PROVED and row.id not in marks:
            found.append(f"{row.id}: called proved, but no test is marked with it")
        elif row.state == NOT_APPLICABLE and row.id in marks:
            found.append(f"{row.id}: called not applicable, but {marks[row.id][0]} is marked with it")
        elif row.state != PROVED and not row.note:
            found.append(f"{row.id}: {row.state} without a reason")
    return found


def report(rows: list[Row], marks: dict[str, list[str]]) -> str:
    """A table for each chapter, and the totals."""
    lines: list[str] = []
    chapters = sorted({row.chapter for row in rows})
    for chapter in chapters:
        lines += ["", f"V{chapter} {CHAPTERS.get(chapter, '')}"]
        for row in rows:
            if row.chapter == chapter:
                lines.append(f"  {row.id:<8} L{row.level} {row.state:<15} {_reason(row, marks.get(row.id, []))}")
    lines += ["", f"{'chapter':<40}{''.join(f'{state:>16}' for state in STATES)}"]
    for chapter in chapters:
        lines.append(_totals(f"V{chapter} {CHAPTERS.get(chapter, '')}", [row for row in rows if row.chapter == chapter]))
    for level in (1, 2):
        lines.append(_totals(f"level {level}", [row for row in rows if row.level == level]))
    counted = [row for row in rows if row.counts]
    lines.append(_totals(f"api and config, level 1 and 2: {len(counted)}", counted))
    lines.append(_totals(f"all {len(rows)}", rows))
    return "\n".join(lines)


def _reason(row: Row, tests: list[str]) -> str:
    if row.state != PROVED:
        return row.note
    first = tests[0] if tests else "no test"
    more = f" (+{len(tests) - 1})" if len(tests) > 1 else ""
    return f"{first}{more}{f'; {row.note}' if row.note else ''}"


def _totals(name: str, rows: list[Row]) -> str:
    counts = Counter(row.state for row in rows)
    return f"{name:<40}{''.join(f'{counts[state]:>16}' for state in STATES)}"


def main() -> int:
    """Print the report; 1 if something doesn't agree."""
    rows, marks = read_rows(), read_marks()
    print(report(rows, marks))
    wrong = faults(rows, marks)
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
