"""What is measured, in the order of the table."""

from bench.speed.cases import (
    bringing,
    console,
    crowded,
    log,
    logins,
    memory,
    metrics,
    reading,
    refreshing,
    scale,
    starting,
    workers,
)
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
    *metrics.CASES,
    *console.CASES,
    *log.CASES,
    *bringing.CASES,
)
