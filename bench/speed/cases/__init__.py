"""What is measured, in the order of the table."""

from bench.speed.cases import crowded, logins, memory, reading, refreshing, scale, starting, workers
from bench.speed.run import Case

CASES: tuple[Case, ...] = (
    *reading.CASES,
    *refreshing.CASES,
    *logins.CASES,
    *crowded.CASES,
    *workers.CASES,
    *memory.CASES,
    *starting.CASES,
    *scale.CASES,
)
