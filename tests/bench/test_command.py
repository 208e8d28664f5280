"""The command without what it needs, and what it promises to leave alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.speed import __main__ as command
from bench.speed.cases import CASES
from bench.speed.figures import Row
from bench.speed.run import SMOKE, Bench, Case
from bench.speed.wrk import UnmeasuredError
from tests.support.processes import ROOT


@pytest.mark.parametrize("arguments", [[], ["--smoke"]])
def test_without_wrk_it_says_so_in_one_line_and_measures_nothing(arguments: list[str], tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", "bench.speed", *arguments]
    ended = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert (ended.stdout, ended.stderr.count("\n")) == ("", 1)
    assert "wrk" in ended.stderr


def test_names_of_cases_are_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def _measured(_bench: Bench) -> list[Row]:
    return [Row("good")]


def _unmeasured(_bench: Bench) -> list[Row]:
    raise UnmeasuredError("no figure")


def test_a_case_that_can_not_be_measured_is_an_error_and_the_next_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = (Case("bad", "bad", 0, _unmeasured), Case("good", "good", 0, _measured))
    monkeypatch.setattr(command, "CASES", cases)
    monkeypatch.setattr(command, "ORDER", [case.name for case in cases])
    monkeypatch.setattr(command, "has_wrk", lambda: True)
    kept: list[str] = []
    monkeypatch.setattr(command, "save", lambda name, *_: kept.append(name))
    found = command.measure(cases, SMOKE, keeps=False)
    assert [each.rows for each in found] == [[Row("bad", note="error: no figure")], [Row("good")]]
    monkeypatch.setattr("sys.argv", ["bench.speed", "--smoke"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert kept == []
