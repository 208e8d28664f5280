"""Can one threshold tell two kinds of answers apart by their time?

The attacker has measured answers whose kind is known (half of the pairs), chooses the best threshold and direction by them, and
is then asked about answers that were not seen before (the other half). A guess is right in 50 % of the cases.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles

HALVINGS = 101


@dataclass(frozen=True, slots=True)
class Pair:
    """How long one answer of each kind took, in nanoseconds; the two were asked one after the other, in random order."""

    known: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold, and whether known is what lies above it."""

    threshold: float
    known_is_slower: bool

    def says_known(self, taken: int) -> bool:
        """The attacker's word on one answer."""
        return (taken > self.threshold) is self.known_is_slower


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of many random halvings of the same pairs."""

    pairs: int
    accuracy: float  # mean share of right answers on the half that was not trained on
    low: float  # the halvings' 5th and 95th percentile
    high: float
    known_slower: float  # share of pairs whose known answer took longer
    known: tuple[float, float, float]  # quartiles, in milliseconds
    unknown: tuple[float, float, float]

    @property
    def at_best(self) -> float:
        """What the threshold achieves, or the comparison within each pair, which a machine's changing load does not disturb."""
        return max(self.accuracy, self.known_slower, 1 - self.known_slower)


def train(pairs: Sequence[Pair]) -> Rule:
    """The threshold and direction that are right most often on these pairs."""
    known, unknown = sorted(pair.known for pair in pairs), sorted(pair.unknown for pair in pairs)
    best, rule = -1, Rule(0, known_is_slower=True)
    for threshold in sorted({*known, *unknown}):
        below = bisect_right(known, threshold) - bisect_right(unknown, threshold)
        # Right, of all 2n: those known above and unknown below, or the other way round; both differ from n by `below`.
        if abs(below) > best:
            best, rule = abs(below), Rule(threshold, known_is_slower=below < 0)
    return rule


def accuracy(rule: Rule, pairs: Sequence[Pair]) -> float:
    """The share of answers the rule is right about."""
    right = sum(rule.says_known(pair.known) + (not rule.says_known(pair.unknown)) for pair in pairs)
    return right / (2 * len(pairs))


def judge(pairs: Sequence[Pair], *, seed: int = 1, halvings: int = HALVINGS) -> Verdict:
    """Train on one half and ask about the other, for many random halves: one halving is a matter of luck with few pairs."""
    chance = random.Random(seed)
    found = sorted(_halve(pairs, chance) for _ in range(halvings))
    return Verdict(
        pairs=len(pairs),
        accuracy=fmean(found),
        low=found[int(0.05 * halvings)],
        high=found[int(0.95 * halvings)],
        known_slower=fmean(pair.known > pair.unknown for pair in pairs),
        known=_quartiles([pair.known for pair in pairs]),
        unknown=_quartiles([pair.unknown for pair in pairs]),
    )


def _halve(pairs: Sequence[Pair], chance: random.Random) -> float:
    mixed = list(pairs)
    chance.shuffle(mixed)
    half = len(mixed) // 2
    return accuracy(train(mixed[:half]), mixed[half:])


def _quartiles(taken: Sequence[int]) -> tuple[float, float, float]:
    first, _, third = quantiles(taken, n=4)
    return first / 1e6, median(taken) / 1e6, third / 1e6
