"""docs/promises.md is true: each promise has tests and a control, they exist, and they are marked as proving it."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ROOT

PROMISES = tuple(f"P{number}" for number in range(1, 11))
NAMED = re.compile(r"`(?:tests/faults/)?(test_\w+\.py)::(test_\w+)`")


@dataclass(frozen=True)
class Row:
    tests: frozenset[tuple[str, str]]
    controls: frozenset[tuple[str, str]]


def rows_of(text: str) -> dict[str, Row]:
    """The table: promise -> the tests and the controls it names."""
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        if len(cells) == 5 and cells[0] in PROMISES:
            rows[cells[0]] = Row(frozenset(NAMED.findall(cells[3])), frozenset(NAMED.findall(cells[4])))
    return rows


def marked(folder: Path) -> dict[tuple[str, str], set[str]]:
    """Every test of the folder -> the promises it is marked with."""
    found: dict[tuple[str, str], set[str]] = {}
    for file in sorted(folder.glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[file.name, node.name] = {name for each in node.decorator_list for name in _promises_in(each)}
    return found


def _promises_in(decorator: ast.expr) -> list[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.promise":
        return [str(argument.value) for argument in decorator.args if isinstance(argument, ast.Constant)]
    return []


def flaws(text: str, tests: dict[tuple[str, str], set[str]]) -> list[str]:
    """What is not true of the document."""
    rows, found = rows_of(text), []
    for promise in PROMISES:
        row = rows.get(promise, Row(frozenset(), frozenset()))
        found += [] if row.tests else [f"{promise} has no test"]
        found += [] if row.controls else [f"{promise} has no control"]
        for name in sorted(row.tests | row.controls):
            if name not in tests:
                found.append(f"{promise}: no such test: {'::'.join(name)}")
            elif promise not in tests[name]:
                found.append(f"{promise}: not marked with it: {'::'.join(name)}")
        found += [f"{promise}: a control has 'control' in its name: {name}" for _, name in row.controls if "control" not in name]
    named = {name for row in rows.values() for name in row.tests | row.controls}
    return found + [f"not in the document: {'::'.join(name)}" for name, of in tests.items() if of and name not in named]


def test_each_promise_has_tests_and_a_control_that_exist() -> None:
    assert flaws((ROOT / "docs/promises.md").read_text(), marked(Path(__file__).parent)) == []


def test_a_promise_without_proof_is_found() -> None:
    text = "| P1 | a | b | `test_x.py::test_there` | `test_x.py::test_control` |\n| P2 | a | b | `test_x.py::test_gone` | |\n"
    tests = {("test_x.py", "test_there"): {"P1"}, ("test_x.py", "test_control"): {"P7"}}

    found = flaws(text, tests)

    assert "P2: no such test: test_x.py::test_gone" in found
    assert "P1: not marked with it: test_x.py::test_control" in found
    assert "P3 has no test" in found
    assert "P10 has no control" in found
