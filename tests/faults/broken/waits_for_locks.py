"""Waits for SQLite's lock, and for its one writer, as long as it takes."""

from sqlalchemy.engine import Engine

from app import database
from app.core import edge
from tests.faults.launching import launch, put

tune = database.tune_sqlite


def _tune_sqlite(engine: Engine, *, immediate: bool, wait_ms: int = 60_000) -> None:
    tune(engine, immediate=immediate, wait_ms=wait_ms)


put(database, "tune_sqlite", _tune_sqlite)
put(database, "POOL_WAIT_SECONDS", 60.0)
put(edge, "DEADLINE_SECONDS", 60.0)

if __name__ == "__main__":
    launch()
