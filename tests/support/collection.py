"""The pytest plugin of the suite: every test on every stack, totals of each, and no silent skips under CI.

`conftest.py` registers `Suite`. Lists: tests/one_stack.txt (`nodeid stack reason`), tests/skips.txt (`nodeid reason`); a nodeid
there names a folder, a file, a class or a test, and everything in it.
"""

import ast
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.stacks import EMBEDDED, SERVICES, STACKS, Stack

OTHER = "other"


@dataclass(frozen=True)
class Entry:
    nodeid: str
    words: str

    def covers(self, nodeid: str) -> bool:
        rest = nodeid.removeprefix(self.nodeid)
        return nodeid.startswith(self.nodeid) and (not rest or rest[0] in "[:/")


def read_list(file: Path, root: Path) -> list[Entry]:
    """The entries of a list; raises UsageError for one that has no words or names a test that is not there."""
    entries = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        nodeid, _, words = line.strip().partition(" ")
        if not words.strip():
            raise pytest.UsageError(f"{file.name}:{number}: {nodeid}: no reason given")
        if not _exists(nodeid.partition("[")[0], root):
            raise pytest.UsageError(f"{file.name}:{number}: {nodeid}: no such test")
        entries.append(Entry(nodeid.rstrip("/"), words.strip()))
    return entries


def _exists(nodeid: str, root: Path) -> bool:
    path, *names = nodeid.split("::")
    if not (root / path).exists():
        return False
    here: list[ast.stmt] = ast.parse((root / path).read_text()).body if names else []
    for name in names:
        named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        found = next((each for each in here if isinstance(each, named) and each.name == name), None)
        if found is None:
            return False
        here = found.body
    return True


def read_one_stack(file: Path, root: Path) -> list[tuple[Entry, Stack]]:
    stacks = {stack.name: stack for stack in STACKS}
    result = []
    for entry in read_list(file, root):
        name, _, reason = entry.words.partition(" ")
        if name not in stacks or not reason.strip():
            raise pytest.UsageError(f"{file.name}: {entry.nodeid}: wanted `nodeid {'|'.join(stacks)} reason`")
        result.append((entry, stacks[name]))
    return result


@dataclass(eq=False)
class Suite:
    one_stack: list[tuple[Entry, Stack]]
    allowed_skips: list[Entry]
    strict_skips: bool = field(default_factory=lambda: os.environ.get("CI") == "true")
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)  # nodeid -> stack, worst outcome
    surprising_skips: dict[str, str] = field(default_factory=dict)  # nodeid -> why

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "stack" not in metafunc.fixturenames or _parametrizes_stack(metafunc):
            return
        nodeid = metafunc.definition.nodeid
        stacks = next(([stack] for entry, stack in self.one_stack if entry.covers(nodeid)), list(STACKS))
        metafunc.parametrize("stack", stacks, ids=str)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        callspec = getattr(item, "callspec", None)
        stack = callspec.params.get("stack") if callspec else None
        if isinstance(stack, Stack):
            item.user_properties.append(("stack", stack.name))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        stack = str(dict(report.user_properties).get("stack", OTHER))
        _, before = self.outcomes.get(report.nodeid, (stack, ""))
        if report.failed or before == "failed":
            self.outcomes[report.nodeid] = (stack, "failed")
        elif hasattr(report, "wasxfail"):
            self.outcomes[report.nodeid] = (stack, "expected to fail")
        elif report.skipped:
            self.outcomes[report.nodeid] = (stack, "skipped")
            self._skipped(report)
        elif report.when == "call":
            self.outcomes[report.nodeid] = (stack, "passed")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped(report)

    def _skipped(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not any(entry.covers(report.nodeid) for entry in self.allowed_skips):
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.surprising_skips[report.nodeid] = why.removeprefix("Skipped: ")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        is_worker = hasattr(session.config, "workerinput")
        if self.strict_skips and self.surprising_skips and not is_worker and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.strict_skips:
            for nodeid, why in self.surprising_skips.items():
                terminalreporter.write_line(f"not in tests/skips.txt: {nodeid}: skipped: {why}", red=True)
        if self.outcomes:
            terminalreporter.write_line(self.totals())

    def totals(self) -> str:
        """How it went on each stack, in one line."""
        counts: dict[str, Counter[str]] = {EMBEDDED.name: Counter(), SERVICES.name: Counter()}
        for stack, outcome in self.outcomes.values():
            counts.setdefault(stack, Counter())[outcome] += 1
        counts[OTHER] = counts.pop(OTHER, Counter())
        return " · ".join(f"{stack}: {_total(counter)}" for stack, counter in counts.items())


def _total(counter: Counter[str]) -> str:
    always = {"passed", "failed"}
    rest = [f", {count} {outcome}" for outcome, count in sorted(counter.items()) if outcome not in always]
    return f"{counter['passed']} passed, {counter['failed']} failed" + "".join(rest)


def _parametrizes_stack(metafunc: pytest.Metafunc) -> bool:
    """Does the test choose its stacks itself (the smoke set does)?"""
    names = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize") if mark.args]
    return any("stack" in ([n.strip() for n in each.split(",")] if isinstance(each, str) else each) for each in names)
