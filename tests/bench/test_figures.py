"""Rounds become figures: medians, each round's own ratio, goals."""

from dataclasses import asdict

import pytest

from bench.speed.figures import Goal, Round, Row, Spread, compared, ratios, row_of, values
from bench.speed.words import beside, goal, middle, number, ratio

ROUNDS: list[Round] = [
    {"server": {"rate": 100.0, "p99": 8.0}, "route": {"rate": 50.0, "p99": 4.0}},
    {"server": {"rate": 10.0, "p99": 30.0}, "route": {"rate": 10.0, "p99": 10.0}},
    {"server": {"rate": 120.0, "p99": 9.0}, "route": {"rate": 40.0, "p99": 9.0}},
]


def test_a_ratio_is_the_median_of_the_rounds_own_ratios_not_the_ratio_of_medians() -> None:
    row = compared("me", ROUNDS, "server", "route")
    assert ratios(ROUNDS, "server", "route") == [2.0, 1.0, 3.0]
    assert row.ratio == Spread(2.0, 1.0, 3.0)
    assert row.measured == Spread(100.0, 10.0, 120.0)
    assert row.against == Spread(40.0, 10.0, 50.0)


def test_other_numbers_of_a_round_are_compared_by_name() -> None:
    assert values(ROUNDS, "server", "p99") == [8.0, 30.0, 9.0]
    assert compared("p99", ROUNDS, "server", "route", of="p99").ratio == Spread(2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [(Goal(">=", 2.0), True), (Goal(">=", 2.01), False), (Goal("<=", 2.0), True), (Goal("<=", 1.99), False)],
)
def test_a_goal_is_judged_by_the_median_of_the_ratio(wanted: Goal, reached: bool) -> None:
    assert compared("me", ROUNDS, "server", "route", goal=wanted).reached is reached


def test_a_goal_may_be_of_the_measured_value() -> None:
    assert Row("memory", measured=Spread.of([139.0, 150.0, 130.0]), goal=Goal("<=", 140, "measured")).reached is True
    assert Row("memory", measured=Spread.of([141.0]), goal=Goal("<=", 140, "measured")).reached is False


def test_what_was_not_measured_has_reached_nothing_and_missed_nothing() -> None:
    assert Row("two workers", goal=Goal(">=", 1.8), note="not measured").reached is None
    assert Row("me").reached is None


def test_rows_come_back_from_json_as_they_were() -> None:
    row = compared("login", ROUNDS, "server", "route", goal=Goal(">=", 0.92), hashing="bcrypt, cost 12", note="so")
    assert row_of(asdict(row)) == row
    assert row_of(asdict(Row("nothing", note="why"))) == Row("nothing", note="why")


@pytest.mark.parametrize(
    ("value", "said"), [(12345.6, "12,346"), (1000, "1,000"), (999.94, "999.9"), (12.345, "12.35"), (0.5, "0.50")]
)
def test_numbers_are_said_in_three_or_four_digits(value: float, said: str) -> None:
    assert number(value) == said


def test_a_row_in_words() -> None:
    row = compared("me", ROUNDS, "server", "route", unit="requests/s", goal=Goal(">=", 1.7))
    assert middle(row.measured, row.unit) == "100.0 requests/s"
    assert beside(row) == "40.00 route"
    assert ratio(row) == "2.00 (1.00–3.00)"
    assert goal(row.goal) == "≥ 1.7 ×"
    assert goal(Goal("<=", 140, "measured")) == "≤ 140"
    assert (middle(None), beside(Row("x")), ratio(Row("x")), goal(None)) == ("", "", "", "")
