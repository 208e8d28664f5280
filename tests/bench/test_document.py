"""The document and its charts are made of the results alone."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.speed import profiled, report, results
from bench.speed.figures import Goal, Row, Spread
from bench.speed.results import Stored, load, rows_of, save
from bench.speed.run import Sizes
from bench.speed.svg import Bar, Stack, bars, stacks
from tests.support.processes import ROOT

SVG = "{http://www.w3.org/2000/svg}"
ME = Row(
    "me",
    "requests/s",
    Spread(8123.4, 8000.0, 8300.0),
    "FastAPI route",
    Spread(7654.3, 7000.0, 8000.0),
    Spread(1.06, 1.01, 1.13),
    Goal(">=", 1.0),
)
LOGIN = Row("login", "logins/s", Spread.of([7.5]), "bcrypt", Spread.of([9.0]), Spread.of([0.83]), Goal(">=", 0.92), "", "cost 12")


def case(*rows: Row, command: str = "python -m bench.speed") -> Stored:
    return {
        "title": "A case",
        "command": command,
        "date": "2026-07-01 12:00 UTC",
        "commit": "abc123",
        "machine": {
            "cpu": "A core",
            "cores": 2,
            "memory_gib": 4,
            "system": "Linux 6",
            "python": "3.11",
            "wrk": "4.1",
            "redis-server": "8",
            "packages": {"fastapi": "0.1"},
        },
        "sizes": asdict(Sizes()),
        "seconds": 90,
        "others": 0.02,
        "rows": [asdict(row) for row in rows],
        "rounds": {},
    }


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page goes instead."""
    stored = tmp_path / "speed.json"
    monkeypatch.setattr(report, "load", lambda: load(stored))
    monkeypatch.setattr(report, "DOCS", tmp_path / "performance.md")
    monkeypatch.setattr(report, "IMAGES", tmp_path / "img")
    monkeypatch.setattr(report, "PROFILE", tmp_path / "profile.json")
    save("login", case(LOGIN, command="python -m bench.speed --only login --save"), ["me", "login"], stored)
    save("me", case(ME), ["me", "login"], stored)
    return tmp_path / "performance.md"


def test_cases_are_kept_in_the_order_of_the_table_and_come_back(page: Path) -> None:
    cases = load(page.parent / "speed.json")
    assert list(cases) == ["me", "login"]
    assert rows_of(cases["me"]) == [ME]


def test_a_case_measured_again_takes_the_place_of_the_one_before(page: Path) -> None:
    stored = page.parent / "speed.json"
    save("me", case(LOGIN), ["me", "login"], stored)
    assert rows_of(load(stored)["me"]) == [LOGIN]
    assert list(load(stored)) == ["me", "login"]


def test_the_page_says_each_figure_its_goal_and_its_command(page: Path) -> None:
    report.write_docs()
    text = page.read_text()
    assert "| me | 8,123 requests/s | 7,654 FastAPI route | 1.06 (1.01–1.13) | ≥ 1 × | reached |\n" in text
    assert "| login (cost 12) | 7.50 logins/s | 9.00 bcrypt | 0.83 (0.83–0.83) | ≥ 0.92 × | **missed** |" in text
    assert "| ≥ 1 × | reached | `python -m bench.speed` |\n" in text
    assert "1 of 2 goals are reached" in text
    said = (
        "`python -m bench.speed --only login --save`, 2026-07-01 12:00 UTC, commit abc123, 5 rounds of 5 s; other programs took"
    )
    assert said in text
    assert "{" not in text


def test_the_charts_of_the_page_are_there_and_are_svg(page: Path) -> None:
    report.write_docs()
    named = re.findall(r"\]\((img/[^)]+\.svg)\)", page.read_text())
    assert named
    for name in named:
        assert ET.parse(page.parent / name).getroot().tag == f"{SVG}svg"


def test_a_bar_is_as_long_as_its_value_and_shows_its_spread_and_goal() -> None:
    drawn = ET.fromstring(bars("A & B", [Bar("one", 1.0, "1.0", 0.5, 1.5, 2.0), Bar("<two>", 2.0, "2.0")]))
    lengths = [float(each.attrib["width"]) for each in drawn.findall(f"{SVG}rect")]
    assert lengths[1] == pytest.approx(2 * lengths[0], abs=0.2)
    assert [each.attrib["class"] for each in drawn.findall(f"{SVG}line")] == ["line", "goal"]
    texts = [each.text for each in drawn.findall(f"{SVG}text")]
    assert {"A & B", "one", "<two>"} <= set(texts)


def test_a_stacked_bar_is_as_long_as_its_parts() -> None:
    drawn = ET.fromstring(stacks("parts", [Stack("me", [("a", 30.0), ("b", 70.0)], "100"), Stack("you", [("b", 50.0)], "50")]))
    boxes = [each for each in drawn.findall(f"{SVG}rect") if each.attrib["height"] == "16"]
    lengths = [float(each.attrib["width"]) for each in boxes]
    assert lengths[1] / lengths[0] == pytest.approx(7 / 3, rel=0.01)
    assert boxes[1].attrib["fill"] == boxes[2].attrib["fill"] != boxes[0].attrib["fill"]


def test_the_profile_is_in_the_page_if_it_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    assert profiled.section(tmp_path, file) == ""
    flow = {"total": 100.0, "stages": {"signature": 30.0, "rest": 70.0}}
    file.write_text(json.dumps({"how": "So.", "command": "it", "date": "today", "commit": "abc", "flows": {"me": flow}}))
    text = profiled.section(tmp_path, file)
    assert "| signature | 30.0 | 30% |" in text
    assert (tmp_path / "profile.svg").exists()


def test_the_page_that_is_kept_is_the_one_its_results_make(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "load", lambda: load(results.RESULTS))
    monkeypatch.setattr(report, "PROFILE", profiled.RESULTS)
    report.write_docs()
    assert page.read_text() == (ROOT / "docs" / "performance.md").read_text()
    for image in (page.parent / "img").iterdir():
        assert image.read_text() == (ROOT / "docs" / "img" / image.name).read_text()
