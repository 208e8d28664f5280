"""The plugin: both stacks, lists that are checked, totals, no silent skips under CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.collection import Entry, read_list, read_one_stack
from tests.support.processes import ROOT

CONFTEST = """
from pathlib import Path
import pytest
from tests.support.collection import Suite, read_list, read_one_stack

HERE = Path(__file__).parent

def pytest_configure(config):
    lists = read_one_stack(HERE / "one_stack.txt", HERE), read_list(HERE / "skips.txt", HERE)
    config.pluginmanager.register(Suite(*lists))

@pytest.fixture
def stack(request):
    raise AssertionError("always parametrised")

@pytest.fixture
def client(stack):
    return stack
"""
TESTS = """
import pytest
from tests.support.stacks import SMOKE_STACKS

def test_both(client): pass
def test_fails_on_services(client): assert client.name == "embedded"
def test_one(stack): assert stack.name == "services"
@pytest.mark.parametrize("value", ["services-like"])
def test_values(stack, value): pass
def test_none(): pass
@pytest.mark.parametrize("stack", SMOKE_STACKS, ids=str)
def test_smoke(client): pass
@pytest.mark.skip(reason="no browser here")
def test_skipped(): pass
@pytest.mark.skip(reason="no nginx here")
def test_skipped_knowingly(): pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "one_stack.txt").write_text("# comment\n\ntest_it.py::test_one services needs Redis\n")
    (tmp_path / "skips.txt").write_text("test_it.py::test_skipped_knowingly no nginx in CI\n")
    return tmp_path


def run(suite: Path, *arguments: str, ci: bool = False) -> tuple[int, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CI"))}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist", *arguments],
        cwd=suite,
        env=environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | ({"CI": "true"} if ci else {}),
        check=False,
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stdout + result.stderr


def test_totals_are_counted_for_each_stack(suite: Path) -> None:
    status, output = run(suite, "-n", "2")

    assert status == 1
    assert (
        "embedded: 3 passed, 0 failed · services: 3 passed, 1 failed · postgres_alone: 1 passed, 0 failed"
        " · sqlite_redis: 1 passed, 0 failed · other: 1 passed, 0 failed, 2 skipped" in output
    )
    assert "test_fails_on_services[services]" in output


@pytest.mark.parametrize("workers", ["0", "2"])
def test_under_ci_an_unlisted_skip_fails_the_run(suite: Path, workers: str) -> None:
    status, output = run(suite, "-n", workers, "-k", "skipped or none", ci=True)

    assert status == 1
    assert "not in tests/skips.txt: test_it.py::test_skipped: skipped: no browser here" in output
    assert "test_skipped_knowingly: skipped" not in output


def test_elsewhere_a_skip_is_just_a_skip(suite: Path) -> None:
    status, output = run(suite, "-k", "skipped or none")

    assert status == 0
    assert "not in tests/skips.txt" not in output


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("test_it.py::test_gone services reason", "no such test"),
        ("test_gone.py services reason", "no such test"),
        ("test_it.py::test_one", "no reason given"),
        ("test_it.py::test_one services", "wanted"),
        ("test_it.py::test_one mysql reason", "wanted"),
    ],
)
def test_a_wrong_line_is_refused(suite: Path, line: str, complaint: str) -> None:
    (suite / "one_stack.txt").write_text(line)

    with pytest.raises(pytest.UsageError, match=complaint):
        read_one_stack(suite / "one_stack.txt", suite)


def test_the_lists_of_this_suite_are_in_order() -> None:
    read_one_stack(ROOT / "tests/one_stack.txt", ROOT)
    read_list(ROOT / "tests/skips.txt", ROOT)


def test_an_entry_covers_what_it_names_and_nothing_beside() -> None:
    assert Entry("tests/a.py::test_x", "").covers("tests/a.py::test_x[embedded]")
    assert Entry("tests/a.py", "").covers("tests/a.py::test_x")
    assert Entry("tests/faults", "").covers("tests/faults/test_a.py::test_x")
    assert not Entry("tests/a.py::test_x", "").covers("tests/a.py::test_xy")
    assert not Entry("tests/a.py::test_x[embedded]", "").covers("tests/a.py::test_x[services]")
