"""Imports only look down, and nobody reaches inside another feature."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import APP, FEATURES, imports, modules, name_of, tree
from tests.support.processes import ROOT

INSIDE = {"repository", "routes", "pages", "jobs", "feature"}
OUTSIDE_OF_FEATURES = {"main", "assembly", "cli", "__main__"}  # they put the features together
INDEXES = {"models", "schemas"}
WRITE_SQL = {"repository", "models", "search_repository", "many_repository", "listing_repository"}


def reached(module: ast.Module, own: str) -> list[str]:
    """What a module of package `own` imports from the insides of other features."""
    return [
        ".".join(target)
        for target in imports(module)
        if target[0] != own and target[0] in FEATURES and len(target) > 1 and target[1] in INSIDE
    ]


def test_there_are_features() -> None:
    assert {"audit", "auth", "health", "mail", "passwords", "tickets", "users"} <= set(FEATURES)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_no_one_reaches_inside_another_feature(path: Path) -> None:
    own = name_of(path)[0] if name_of(path) else ""
    if own in OUTSIDE_OF_FEATURES:
        allowed = {f"{feature}.feature" for feature in FEATURES} if own == "assembly" else set()
        found = [target for target in reached(tree(path), own) if target not in allowed and own not in {"cli"}]
        assert found == []
        return
    assert reached(tree(path), own) == []


@pytest.mark.parametrize(
    "line",
    [
        "from app.users import repository",
        "from app.users.repository import find_user",
        "from app.users.routes import router",
        "import app.users.repository",
        "def late():\n    from app.users.feature import install",
    ],
)
def test_reaching_inside_is_found(line: str) -> None:
    """The control."""
    assert reached(ast.parse(line), "auth")
    assert not reached(ast.parse(line), "users")


@pytest.mark.parametrize(
    "line", ["from app.users import service", "from app.users.models import User", "from app.core import clock"]
)
def test_a_door_is_no_fault(line: str) -> None:
    assert not reached(ast.parse(line), "auth")


def lint_imports(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", str(config), "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )


def test_the_import_contracts_are_kept() -> None:
    result = lint_imports(ROOT, ROOT / "pyproject.toml")
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout
    names = [contract["name"] for contract in contracts()]
    assert all(f"{name} KEPT" in result.stdout for name in names)


def test_every_package_has_a_rank() -> None:
    (layers,) = [contract for contract in contracts() if contract["name"] == "Features only look down"]
    assert layers["exhaustive"] is True
    ranked = {name for line in layers["layers"] for name in line.split(" | ")}
    there = {path.stem for path in APP.glob("*.py")} | {path.parent.name for path in APP.glob("*/__init__.py")}
    assert there - {"__init__"} == ranked


def test_every_feature_is_under_the_contract_of_its_inside() -> None:
    (inside,) = [contract for contract in contracts() if contract["name"].startswith("Inside a feature")]
    assert {f"app.{feature}" for feature in FEATURES} <= set(inside["containers"])


def contracts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return found


def test_only_repositories_and_models_write_sql() -> None:
    """Services may order, never write the statement."""
    words = {"select", "insert", "update", "delete", "text"}
    wrong = []
    for path in modules():
        name = name_of(path)
        if len(name) < 2 or name[0] not in [*FEATURES, "jobs"] or name[1] in WRITE_SQL:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                wrong += [f"{'.'.join(name)}: {alias.name}" for alias in node.names if alias.name in words]
    assert wrong == []


def test_no_repository_commits() -> None:
    wrong = []
    for path in APP.glob("*/repository.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback", "begin"}:
                wrong.append(f"{path.parent.name}:{node.lineno}")
    assert wrong == []


@pytest.mark.asvs("V1.2.4", "V1.2.5", "V1.3.2", "V1.5.2")
def test_nothing_runs_shells_evaluates_text_or_unpickles() -> None:
    """And SQL is never put together from strings."""
    banned_modules = {"subprocess", "pickle", "marshal", "shelve", "yaml", "jsonpickle", "ctypes"}
    banned_calls = {"eval", "exec", "compile", "__import__", "system", "popen"}
    wrong = []
    for path in modules():
        for node in ast.walk(tree(path)):
            where = f"{path.relative_to(APP)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                wrong += [f"{where} {alias.name}" for alias in node.names if alias.name.split(".")[0] in banned_modules]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in banned_modules:
                wrong.append(f"{where} {node.module}")
            elif isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                plain_compile = called == "compile" and isinstance(node.func, ast.Attribute)  # re.compile
                if called in banned_calls and not plain_compile:
                    wrong.append(f"{where} {called}()")
                built = node.args and isinstance(node.args[0], ast.JoinedStr | ast.BinOp)
                if called in {"text", "execute", "exec_driver_sql"} and built and path.name != "database.py":
                    wrong.append(f"{where} {called}() of a string put together")
    assert wrong == []
