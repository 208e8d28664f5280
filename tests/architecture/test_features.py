"""Features introduce themselves, the indexes are complete, facts are told and used, names say something, files stay small."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

import app
import app.models
import app.schemas
from app.audit.facts import Fact
from app.database import Base
from tests.architecture.source import APP, FEATURES, modules, tree
from tests.support.processes import ROOT

MAX_LINES = 400
VAGUE = re.compile(r"helpers?|commons?|managers?|base|misc|shared|stuff|handlers?")
VAGUE_CLASS = re.compile(r".*(Manager|Helper|Util|Utils|Common)")
ALLOWED = {"app/auth/utils.py"}  # hashing and JWT


def app_modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(app.__path__, "app."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


@pytest.mark.parametrize("feature", [*FEATURES, "jobs"])
def test_a_feature_says_what_it_owns_and_needs(feature: str) -> None:
    words = ast.get_docstring(tree(APP / feature / "__init__.py")) or ""
    assert re.search(r"\bOwns:? ", words), words
    assert re.search(r"\bNeeds:? ", words), words


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_a_module_says_what_it_is_for_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(tree(path)), "no docstring"
    assert len(text.splitlines()) <= MAX_LINES


def test_every_table_is_in_the_index() -> None:
    list(app_modules())
    tables = {mapper.class_ for mapper in Base.registry.mappers}
    assert {table.__name__ for table in tables} | {"Base"} == set(app.models.__all__)
    assert all(getattr(app.models, table.__name__) is table for table in tables)


def test_every_table_lives_in_a_features_models() -> None:
    assert all(mapper.class_.__module__.endswith(".models") for mapper in Base.registry.mappers)


def test_every_wire_schema_is_in_the_index() -> None:
    schemas = {
        name
        for module in app_modules()
        for name, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, BaseModel)
        and found.__module__ == module.__name__
        and (module.__name__.endswith(".schemas") or module.__name__ == "app.core.problems")
    }
    assert schemas == set(app.schemas.__all__)


def test_wire_schemas_are_named_for_their_direction() -> None:
    assert all(re.fullmatch(r"\w+(In|Out)", name) for name in app.schemas.__all__ if name not in {"Problem", "FieldProblem"})


@pytest.mark.asvs("V16.1.1")
def test_every_fact_is_told_of_in_the_docs() -> None:
    words = (ROOT / "docs" / "audit.md").read_text()
    assert [fact.value for fact in Fact if f"`{fact.value}`" not in words] == []


def test_every_fact_is_recorded_somewhere() -> None:
    used = {
        node.attr
        for path in modules()
        if path != APP / "audit" / "facts.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Fact"
    }
    assert {fact.name for fact in Fact} - used == set()


def test_facts_are_named_as_facts() -> None:
    assert all(re.fullmatch(r"[a-z]+(\.[a-z_]+){1,3}", fact.value) for fact in Fact)
    assert all(len(fact.value) <= 64 for fact in Fact)


def test_modules_have_names_that_say_something() -> None:
    found = [str(path.relative_to(ROOT)) for path in modules() if VAGUE.fullmatch(path.stem) or path.stem in {"utils", "util"}]
    folders = [str(path.relative_to(ROOT)) for path in APP.rglob("*") if path.is_dir() and VAGUE.fullmatch(path.name)]
    assert set(found) - ALLOWED == set()
    assert folders == []


def test_classes_have_names_that_say_something() -> None:
    names = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and VAGUE_CLASS.fullmatch(node.name)
    }
    assert names == set()


def test_nobody_else_raises_http_exceptions_or_asks_the_time() -> None:
    banned = {("fastapi", "HTTPException"), ("datetime", "datetime.now"), ("random", "random")}
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom):
                assert not {(node.module, alias.name) for alias in node.names} & banned, path
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow"} and isinstance(node.value, ast.Name):
                assert node.value.id != "datetime" or path.name == "clock.py", f"{path}:{node.lineno}"


def test_settings_are_read_at_the_edge_alone() -> None:
    """Services and repositories get values."""
    for path in modules():
        if path.stem in {"service", "repository", "models", "sessions", "schemas"} and path.parent != APP:
            words = path.read_text()
            assert "app.config" not in words, path
            assert ".settings" not in words, path
