"""The attacker of the timing tests: finds a difference that is there, and none where there is none."""

import random

import pytest

from bench.classifier import Pair, Rule, accuracy, judge, train


def some_pairs(shift: float, count: int = 400, seed: int = 7) -> list[Pair]:
    """Pairs with a normal spread of 100 µs whose known answer takes `shift` µs longer."""
    chance = random.Random(seed)
    return [Pair(int(chance.gauss(5000 + shift, 100) * 1000), int(chance.gauss(5000, 100) * 1000)) for _ in range(count)]


def test_a_clear_difference_is_learnt_in_either_direction() -> None:
    for shift in (600, -600):
        verdict = judge(some_pairs(shift))
        assert verdict.accuracy > 0.98
        assert (verdict.known_slower > 0.9) is (shift > 0)


def test_no_difference_leaves_the_attacker_guessing() -> None:
    found = [judge(some_pairs(0, seed=seed)).accuracy for seed in range(20)]
    assert max(found) < 0.55


@pytest.mark.parametrize(("shift", "least"), [(25.0, 0.52), (50.0, 0.56), (100.0, 0.65)])
def test_a_small_difference_is_found_as_far_as_theory_says(shift: float, least: float) -> None:
    """The best threshold between two equal normal spreads is right with probability Φ(shift / 2 / spread)."""
    assert least < judge(some_pairs(shift, count=4000)).accuracy < least + 0.06


def test_the_threshold_is_the_best_one_of_the_training_half() -> None:
    pairs = [Pair(5, 1), Pair(6, 2), Pair(7, 3), Pair(2, 8)]
    rule = train(pairs)
    every = [Rule(threshold, known_is_slower=slower) for threshold in range(10) for slower in (True, False)]
    assert accuracy(rule, pairs) == max(accuracy(each, pairs) for each in every) == 6 / 8
    assert rule.known_is_slower


def test_the_threshold_is_not_tried_on_what_it_was_trained_on() -> None:
    """With few pairs a rule fits its own half by luck; judged there, it would seem to know something."""
    pairs = some_pairs(0, count=20)
    assert accuracy(train(pairs), pairs) > 0.55
    assert judge(pairs).accuracy < 0.55
