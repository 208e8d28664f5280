"""The application's source as syntax trees, and what to look for in them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.processes import ROOT

APP = ROOT / "app"


@cache
def trees() -> dict[str, ast.Module]:
    """Each module of the application (and its migrations) by its path."""
    files = [*APP.rglob("*.py"), *(ROOT / "migrations").rglob("*.py")]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted(files)}


def imports_in(tree: ast.Module) -> set[str]:
    """The modules that a module imports, whole names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def importers_of(*names: str) -> dict[str, set[str]]:
    """Which modules import one of these or something in it."""
    found = {
        path: {each for each in imports_in(tree) if any(each == name or each.startswith(f"{name}.") for name in names)}
        for path, tree in trees().items()
    }
    return {path: names_found for path, names_found in found.items() if names_found}


def calls_in(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Each call with the name that is called: `eval`, `re.compile`, `db.execute`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def calls_of(*names: str) -> list[str]:
    """Where one of these is called; a name may end with the attribute alone: `.execute`."""
    return [
        f"{path}:{call.lineno} {name}"
        for path, tree in trees().items()
        for name, call in calls_in(tree)
        if name in names or any(each.startswith(".") and name.endswith(each) for each in names)
    ]


def is_constant(node: ast.expr) -> bool:
    """Whether an expression is made at import time of literals and names in capitals."""
    if isinstance(node, ast.Name):
        return node.id.isupper()
    if isinstance(node, ast.BinOp):
        return is_constant(node.left) and is_constant(node.right)
    return isinstance(node, ast.Constant)


def requirement_names(file: Path) -> set[str]:
    """The packages a requirements file names, without extras."""
    lines = [line.split("#")[0].strip() for line in file.read_text().splitlines()]
    return {line.partition("[")[0].lower() for line in lines if line and not line.startswith("-")}
