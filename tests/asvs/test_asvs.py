"""tests/asvs.csv and the marks in the tests agree, and enough is proved."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import asvs
from scripts.asvs import OPEN, PROVED, ROWS, STATES, WANTED, Row, faults, marks_in, read_marks, read_rows, report


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return read_rows()


@pytest.fixture(scope="module")
def marks() -> dict[str, list[str]]:
    return read_marks()


def test_every_proof_exists_and_everything_else_has_a_reason(rows: list[Row], marks: dict[str, list[str]]) -> None:
    assert faults(rows, marks) == []


def test_the_table_has_every_row_that_must_be_there_and_enough_are_proved(rows: list[Row]) -> None:
    counted = [row for row in rows if row.counts]
    assert len(counted) == ROWS == 116
    assert len({row.id for row in counted}) == ROWS
    assert sum(row.state == PROVED for row in counted) >= WANTED == 70


def test_the_report_names_each_row_and_the_totals(rows: list[Row], marks: dict[str, list[str]]) -> None:
    text = report(rows, marks)
    assert all(f"  {row.id} " in text for row in rows)
    assert f"api and config, level 1 and 2: {ROWS}" in text
    assert all(state in text for state in STATES)


def test_a_proof_that_does_not_exist_is_found(rows: list[Row], marks: dict[str, list[str]]) -> None:
    proved = next(row for row in rows if row.state == PROVED)
    without = {each: tests for each, tests in marks.items() if each != proved.id}
    assert faults(rows, without) == [f"{proved.id}: called proved, but no test is marked with it"]
    assert "not in the table" in faults(rows, {**marks, "V99.9.9": ["tests/x.py::test_x"]})[0]
    assert faults([replace(proved, state=OPEN, note="")], {proved.id: ["x"]}) == [f"{proved.id}: open without a reason"]
    assert "none of" in faults([replace(proved, state="maybe")], {proved.id: ["x"]})[0]
    assert "twice" in faults([proved, proved], {proved.id: ["x"]})[0]


def test_marks_are_read_from_functions_classes_and_modules() -> None:
    source = """
import pytest
pytestmark = [pytest.mark.asvs("V1.1.1")]
@pytest.mark.asvs("V2.2.2", "V3.3.3")
async def test_one(): ...
@pytest.mark.asvs("V4.4.4")
class TestIt:
    @pytest.mark.asvs("V5.5.5")
    def test_two(self): ...
def helper(): ...
"""
    assert dict(marks_in(source)) == {
        "test_one": ["V1.1.1", "V2.2.2", "V3.3.3"],
        "TestIt::test_two": ["V1.1.1", "V4.4.4", "V5.5.5"],
    }


def test_the_command_fails_where_they_do_not_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asvs.main() == 0
    with asvs.TABLE.open(newline="") as file:
        lines = list(csv.reader(file))
    monkeypatch.setattr(asvs, "read_rows", lambda: read_rows(_written(tmp_path, [*lines, lines[1]])))
    assert asvs.main() == 1
    assert "twice in the table" in capsys.readouterr().err


def _written(folder: Path, lines: list[list[str]]) -> Path:
    path = folder / "asvs.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return path
