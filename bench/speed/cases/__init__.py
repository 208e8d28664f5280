"""What is measured, in the order of the table."""

from bench.speed.cases import reading, refreshing
from bench.speed.run import Case

CASES: tuple[Case, ...] = (*reading.CASES, *refreshing.CASES)
