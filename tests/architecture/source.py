"""The source as the architecture tests read it: files, imports, packages."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.processes import ROOT

APP = ROOT / "app"
FEATURES = sorted(folder.name for folder in APP.iterdir() if (folder / "feature.py").exists())


def modules() -> list[Path]:
    return sorted(APP.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> tuple[str, ...]:
    """("auth", "service") of app/auth/service.py."""
    parts = path.relative_to(APP).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(module: ast.Module) -> Iterator[tuple[str, ...]]:
    """What is imported from app, each down to the name, wherever in the file."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "app":
            base = tuple((node.module or "").split(".")[1:])
            yield from ((*base, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")[1:]) for alias in node.names if alias.name.split(".")[0] == "app")
